"""The draft of a migration: one for each graph, which keeps what the graph has, and lets every run continue.

Each program is what a project went through: the forms of a graph that were deployed, one after another, with a run that
waits under each, and the form that is about to be deployed.
"""

import ast
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel, create_model

from graphengine import END, START, Graph, Migration, Runner, ask
from graphengine.migration.compatibility import renamed_fields
from graphengine.testing import Preflight, preflight

Form = tuple[dict[str, Any], str, dict[str, Any]]
"""The fields of a state with their types and defaults, the name of the node, and the options of the graph."""

NUMBER: dict[str, Any] = {"number": (int, 1)}
CUSTOMER: dict[str, Any] = {"customer": (str, ...), "number": (int, 1)}


def to_sum(old: dict[str, Any]) -> dict[str, Any]:
    """Rename a field, as a migration that a project has."""
    old["sum"] = old.pop("number")
    return old


def add_note(old: dict[str, Any]) -> dict[str, Any]:
    """Give a field, as a migration that a project has."""
    return {**old, "note": "none"}


SIGN = Migration(renamed={"approve": "sign"})
TO_SUM = {"sum": (int, ...)}
PROGRAMS: dict[str, tuple[list[Form], Form]] = {
    "first": ([(NUMBER, "approve", {})], (CUSTOMER, "approve", {})),
    "second": (
        [(NUMBER, "approve", {}), (NUMBER, "sign", {"version": 2, "migrate": {1: SIGN}})],
        (CUSTOMER, "sign", {"version": 2, "migrate": {1: SIGN}}),
    ),
    "second, without a run of the present version": (
        [(NUMBER, "approve", {})],
        (CUSTOMER, "sign", {"version": 2, "migrate": {1: SIGN}}),
    ),
    "three versions": (
        [
            (NUMBER, "approve", {}),
            (NUMBER, "sign", {"version": 2, "migrate": {1: SIGN}}),
            (TO_SUM, "sign", {"version": 3, "migrate": {1: SIGN, 2: to_sum}}),
        ],
        (
            {"total": (int, ...), "customer": (str, ...)},
            "confirm",
            {"version": 3, "migrate": {1: SIGN, 2: to_sum}},
        ),
    ),
    "three versions, no migration yet": (
        [
            (NUMBER, "approve", {}),
            (NUMBER, "sign", {"version": 2}),
            (TO_SUM, "confirm", {"version": 3}),
        ],
        ({"total": (int, ...)}, "agree", {"version": 3}),
    ),
    "a version without its migration": (
        [(NUMBER, "approve", {})],
        ({"sum": (int, ...)}, "sign", {"version": 2}),
    ),
    "nodes and fields at once": (
        [({"number": (int, 1), "name": (str, "x")}, "approve", {})],
        ({"sum": (int, ...), "title": (str, ...), "customer": (str, ...)}, "sign", {}),
    ),
    "a type": ([({"number": (str, "one")}, "approve", {})], ({"number": (int, 1)}, "approve", {})),
    "what a migration gives is gone": (
        [(NUMBER, "approve", {})],
        ({"total": (int, ...)}, "approve", {"version": 2, "migrate": {1: to_sum}}),
    ),
    "a gap before the first migration": (
        [(NUMBER, "approve", {}), ({"number": (int, 1), "note": (str, "")}, "confirm", {"version": 3})],
        (
            {"number": (int, 1), "note": (str, ...)},
            "confirm",
            {"version": 3, "migrate": {2: Migration(add_note, renamed={"sign": "confirm"})}},
        ),
    ),
    "a gap between two migrations": (
        [(NUMBER, "approve", {}), (NUMBER, "sign", {"version": 2, "migrate": {1: SIGN}})],
        (
            {**NUMBER, "note": (str, ...)},
            "confirm",
            {"version": 4, "migrate": {1: SIGN, 3: Migration(add_note)}},
        ),
    ),
    "a gap after the last migration": (
        [(NUMBER, "approve", {}), (NUMBER, "sign", {"version": 2, "migrate": {1: SIGN}})],
        (CUSTOMER, "confirm", {"version": 3, "migrate": {1: SIGN}}),
    ),
    "a node that the last migration names is gone": (
        [(NUMBER, "approve", {}), (NUMBER, "sign", {"version": 2, "migrate": {1: SIGN}})],
        (CUSTOMER, "confirm", {"version": 2, "migrate": {1: SIGN}}),
    ),
    "two people who both wrote version 2": (
        [
            (NUMBER, "approve", {}),
            (NUMBER, "sign", {"version": 2, "migrate": {1: SIGN}}),
            (CUSTOMER, "approve", {"version": 2}),
        ],
        (CUSTOMER, "sign", {"version": 2, "migrate": {1: SIGN}}),
    ),
    "runs of the present form": (
        [(NUMBER, "approve", {}), (CUSTOMER, "sign", {"version": 2, "migrate": {1: SIGN}})],
        (CUSTOMER, "sign", {"version": 2, "migrate": {1: SIGN}}),
    ),
}


def form(fields: Mapping[str, Any], node: str, options: Mapping[str, Any], name: str = "invoice") -> Graph[Any]:
    """Return a graph of one form, which asks a question."""
    state = create_model("Invoice", ok=(bool, False), **fields)
    graph: Graph[Any] = Graph(name, state, **options)
    graph.add_node(node, ask("Right?", bool), writes="ok")
    graph.add_path(START, node, END)
    return graph


def options_of(found: Preflight, graph: str = "invoice") -> dict[str, Any]:
    """Run the draft of a graph, with values that a person fills in, and return the options of the graph."""
    (draft,) = found.drafts[graph]
    assert draft.count("Graph(") == 1
    assert "not enough" not in draft, draft
    fills = {"str": "'given'", "int": "7"}
    text = re.sub(r"= \.\.\.  # to do: .* (\w+)$", lambda m: f"= {fills[m[1]]}", draft, flags=re.MULTILINE)
    assert "..." not in text.partition("# to do:")[0]
    head, _, call = text.rpartition("\n")
    options: dict[str, Any] = {}
    names: dict[str, Any] = {"Any": Any, "Migration": Migration, "to_sum": to_sum, "add_note": add_note}
    names |= {"Graph": lambda *_, **given: options.update(given), "Invoice": None, "Outer": None}
    exec(f"{head}\n{call}", names)  # noqa: S102 - our own draft
    return options


@pytest.mark.parametrize("name", PROGRAMS)
async def test_one_draft_lets_the_runs_of_all_versions_continue(runner: Runner, name: str) -> None:
    """What is printed is what was tried: with the values of a person, every run ends under it."""
    forms, (fields, node, options) = PROGRAMS[name]
    for number, each in enumerate(forms):
        given = {"customer": "ada"} if "customer" in each[0] else {"sum": 5} if each[0] is TO_SUM else {}
        await runner.start(form(*each), given, run_id=f"r{number}").result()
    found = await preflight([form(fields, node, options)], runner.store)
    assert not found.fits
    made = options_of(found)
    kept = options.get("migrate", {})
    for version, step in kept.items():
        assert made["migrate"][version] in (step, step.state if isinstance(step, Migration) else step)
    after = await preflight([form(fields, node, made)], runner.store)
    assert after.fits, after
    for number in range(len(forms)):
        await runner.answer(f"r{number}", value=True)
        result = await runner.resume(f"r{number}", form(fields, node, made)).result()
        assert (result.status, result.state.ok) == ("finished", True)
        assert "customer" not in forms[number][0] or result.state.customer == "ada"


class Outer(BaseModel):
    """A state around another one."""

    number: int = 1
    sum: int = 2
    ok: bool = False


@pytest.mark.parametrize("is_versioned", [False, True], ids=["first migration", "second migration"])
async def test_a_graph_inside_another_has_a_draft_of_its_own(runner: Runner, *, is_versioned: bool) -> None:
    """Both graphs changed; each has its version, and the drafts hold together."""

    def outer(inner: Graph[Any], node: str, **options: Any) -> Graph[Any]:
        graph: Graph[Any] = Graph("outer", Outer, **options)
        graph.add_node(node, inner, writes={"ok": "ok"})
        graph.add_path(START, node, END)
        return graph

    inside: dict[str, Any] = {"version": 2, "migrate": {1: SIGN}} if is_versioned else {}
    await runner.start(outer(form(NUMBER, "approve", {}), "part"), run_id="old").result()
    if is_versioned:
        await runner.start(outer(form(NUMBER, "sign", inside), "part"), run_id="new").result()
    extra: dict[str, Any] = {"number": (int, 1), "sum": (int, ...)}
    today = outer(form(extra, "confirm", inside), "whole")
    found = await preflight([today], runner.store)
    assert sorted(found.drafts) == ["invoice", "outer"]
    around, within = options_of(found, "outer"), options_of(found)
    assert (around["version"], within["version"]) == (2, 3 if is_versioned else 2)
    migrated = outer(form(extra, "confirm", within), "whole", **around)
    after = await preflight([migrated], runner.store)
    assert after.fits, after


async def test_a_draft_that_is_not_enough_says_so(runner: Runner) -> None:
    """A migration of the graph fails, which no other step can repair."""

    def breaks(old: dict[str, Any]) -> dict[str, Any]:
        raise KeyError(old["number"])

    await runner.start(form(NUMBER, "approve", {}), run_id="old").result()
    await runner.start(form(NUMBER, "sign", {"version": 2}), run_id="new").result()
    today = form(CUSTOMER, "sign", {"version": 2, "migrate": {1: breaks}})
    (draft,) = (await preflight([today], runner.store)).drafts["invoice"]
    assert draft.startswith("# not enough: under this draft, run old would still be refused: migrate={1: breaks}")
    assert "2: from_2" in draft


async def test_a_function_without_a_name_is_written_or_left_to_the_person(runner: Runner) -> None:
    """The draft contains the source of a lambda. Where only a person can complete the draft, a comment says so."""
    await runner.start(form(NUMBER, "sign", {"version": 2}), run_id="new").result()
    today = form(CUSTOMER, "sign", {"version": 2, "migrate": {1: lambda old: {**old, "number": 2}}})
    (draft,) = (await preflight([today], runner.store)).drafts["invoice"]
    assert "migrate={1: lambda old: {**old, 'number': 2}, 2: from_2}" in draft
    assert re.findall("# to do: .*", draft) == ["# to do: give a value for the new field, of type str"]
    today = form(CUSTOMER, "sign", {"version": 2, "migrate": {1: partial(to_sum)}})
    found = await preflight([today], runner.store)
    (draft,) = found.drafts["invoice"]
    assert "# to do: put the present function of migrate={1: …} in place of `...`" in draft
    assert "migrate={1: ..., 2: from_2}" in draft
    assert "a draft of migrate= for invoice, to be completed at each `...`:" in str(found)


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_comment_says_where_a_draft_has_to_be_completed(runner: Runner, name: str) -> None:
    """In the line with the dots or before it; a draft without such a comment is complete code."""
    forms, (fields, node, options) = PROGRAMS[name]
    for number, each in enumerate(forms):
        given = {"customer": "ada"} if "customer" in each[0] else {"sum": 5} if each[0] is TO_SUM else {}
        await runner.start(form(*each), given, run_id=f"r{number}").result()
    found = await preflight([form(fields, node, options)], runner.store)
    (draft,) = found.drafts["invoice"]
    dots = [each for each in ast.walk(ast.parse(draft)) if isinstance(each, ast.Constant) and each.value is ...]
    assert len(dots) == draft.count("# to do:")
    assert ("to be checked:" in str(found)) == (not dots)


async def test_a_node_that_two_nodes_can_replace_is_left_to_the_person(runner: Runner) -> None:
    """The comment lists the nodes of today's graph."""
    await runner.start(form(NUMBER, "approve", {}), run_id="old").result()
    today: Graph[Any] = Graph("invoice", create_model("Invoice", ok=(bool, False), **NUMBER))
    for node in ("sign", "confirm"):
        today.add_node(node, ask("Right?", bool), writes="ok")
    today.add_path(START, "sign", "confirm", END)
    (draft,) = (await preflight([today], runner.store)).drafts["invoice"]
    assert "# to do: choose in moved= where runs at 'approve' continue: 'sign', 'confirm'" in draft
    assert "moved={'approve': ...}" in draft


async def test_of_several_the_similar_one_is_paired(runner: Runner) -> None:
    """`customer_name` was `customer`, not `city`; both are candidates by type."""
    old = form({"customer": (str, ""), "city": (str, "")}, "ask", {})
    new = form({"customer_name": (str, ...)}, "ask", {})
    await runner.start(old, {"customer": "ada"}, run_id="a").result()
    found = await preflight([new], runner.store)
    assert "old['customer_name'] = old.pop('customer')" in str(found)
    pairs = renamed_fields(old.compile().graph_spec, new.compile().graph_spec)
    assert pairs == {"customer": ["customer_name"], "city": ["customer_name"]}
