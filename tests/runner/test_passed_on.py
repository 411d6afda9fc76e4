"""Values that nodes pass on share objects between fields: no node can change what another one reads, or the record."""

import logging
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, value
from graphengine.reducers import extend
from graphengine.runner.result import Result
from tests.kit.runs import failing

Docs = list[dict[str, Any]]

GIVEN: Docs = [{"text": "a", "tags": ["x"], "body": "." * 1000}, {"text": "b", "tags": [], "body": "." * 1000}]


class Desk(BaseModel):
    """Fields that nodes pass documents between."""

    docs: Docs = []
    kept: Docs = []
    log: Annotated[Docs, extend] = []
    best: dict[str, Any] | None = None
    seen: str = ""
    n: int = 0


class Late:
    """Work that a node leaves behind, which changes a value when the test says so."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.contexts: list[Context] = []

    def keep(self, docs: Docs) -> Docs:
        """Remember the documents, in the context of the node, as a task or a timer of it would, and pass them on."""
        self.held.append(docs)
        self.contexts.append(copy_context())
        return [*docs]

    def change(self) -> int:
        """Change them now."""
        for docs in self.held:
            docs[0]["text"] = "spoilt"
            docs[0]["tags"].append("spoilt")
        return 1


@pytest.fixture
def late() -> Late:
    """Return what a node of the test leaves behind."""
    return Late()


def chain(*nodes: tuple[str, Callable[..., object], str], **inputs: dict[str, str]) -> Graph[Desk]:
    """Return a chain of nodes, each with the field that it writes."""
    graph = Graph("desk", Desk)
    for name, function, writes in nodes:
        graph.add_node(name, function, writes=writes, thread=False, inputs=inputs.get(name, {}))
    graph.add_path(START, *(name for name, *_ in nodes), END)
    return graph


def texts(docs: Docs) -> str:
    """Return the texts of documents."""
    return " ".join(doc["text"] for doc in docs)


def pass_on(docs: Docs) -> Docs:
    """Pass the documents on, in a list of its own."""
    return [*docs]


async def run(graph: Graph[Desk], **given: object) -> Result[Desk]:
    """Run it, and check that the record is that of an undisturbed run."""
    result = await graph.run({"docs": GIVEN, **given})
    assert result.values["docs"] == GIVEN
    return result


async def test_items_that_are_passed_on_keep_their_objects() -> None:
    """Nothing is decoded: the fields and the node share the items, and each has a list of its own."""
    found: list[Docs] = []

    def give(docs: Docs) -> Docs:
        found.append([*docs])
        return found[0]

    def look(docs: Docs, kept: Docs) -> int:
        found.extend((docs, kept))
        return 1

    await run(chain(("give", give, "kept"), ("look", look, "n")))
    assert len({id(docs) for docs in found}) == 3
    assert len({tuple(map(id, docs)) for docs in found}) == 1


async def test_a_node_that_changes_a_shared_item_fails_and_no_field_has_the_change() -> None:
    """The field that it read and the field that shares the item are read anew."""

    def spoil(kept: Docs) -> int:
        kept[0]["text"] = "spoilt"
        return 1

    graph = Graph("desk", Desk)
    graph.add_node("pass", pass_on, writes="kept")
    graph.add_node("spoil", spoil, writes="n", fallback=7)
    graph.add_node("read", lambda docs, kept: texts([*docs, *kept]), writes="seen")
    graph.add_path(START, "pass", "spoil", "read", END)
    result = await run(graph)
    assert (result.state.n, result.state.seen) == (7, "a b a b")


async def test_the_list_that_a_node_returned_stays_its_own() -> None:
    """It can grow after the node has ended."""
    returned: list[Docs] = []

    def give(docs: Docs) -> Docs:
        returned.append([*docs])
        return returned[0]

    def grow() -> int:
        returned[0].append({"text": "c"})
        return 1

    result = await run(
        chain(("give", give, "kept"), ("grow", grow, "n"), ("read", texts, "seen"), read={"docs": "kept"})
    )
    assert (result.state.seen, result.state.kept) == ("a b", GIVEN)
    assert returned[0] is not result.state.kept


async def test_a_late_change_reaches_no_node_and_is_blamed_on_none(
    late: Late, caplog: pytest.LogCaptureFixture
) -> None:
    """What a node left behind changes a value: the next reader gets the recorded one, and a warning names the field."""
    graph = chain(
        ("keep", late.keep, "kept"), ("change", late.change, "n"), ("read", texts, "seen"), read={"docs": "kept"}
    )
    with caplog.at_level(logging.WARNING, "graphengine.runner"):
        result = await run(graph)
    assert (result.state.seen, result.state.kept) == ("a b", GIVEN)
    assert [record.getMessage().partition(" (run")[0] for record in caplog.records] == [
        "kept was changed in place after the node that had read it ended; node read"
    ]


async def test_a_part_that_was_changed_late_is_read_as_recorded(late: Late) -> None:
    """A node that reads a part by its path sees the recorded part, and passes that on."""

    def best(first: dict[str, Any], tags: list[str]) -> dict[str, Any]:
        return {**first, "count": len(tags)}

    graph = chain(
        ("keep", late.keep, "kept"),
        ("change", late.change, "n"),
        ("best", best, "best"),
        best={"first": "docs[0]", "tags": "docs[0].tags"},
    )
    result = await run(graph)
    assert result.state.best == {**GIVEN[0], "count": 1}


async def test_a_late_change_is_not_blamed_on_a_condition(late: Late) -> None:
    """An edge's function is called again with the recorded value."""
    graph = Graph("desk", Desk)
    graph.add_node("keep", late.keep, writes="kept", thread=False)
    graph.add_node("change", late.change, writes="n", thread=False)
    graph.add_path(START, "keep", "change")
    graph.add_edge("change", END, when=lambda kept: kept[0]["text"] == "a", label="recorded")
    graph.add_edge("change", END, label="spoilt")
    assert (await run(graph)).label == "recorded"


async def test_what_a_node_kept_and_changed_is_recorded_as_it_is(late: Late) -> None:
    """A node that returns an object that it did not read in this visit is not taken to pass on a recorded value."""

    def change() -> dict[str, Any]:
        late.change()
        return {"log": late.held[0], "n": 1}

    graph = Graph("desk", Desk)
    graph.add_node("keep", late.keep, writes="kept", thread=False)
    graph.add_node("change", change, writes=("log", "n"), thread=False)
    graph.add_path(START, "keep", "change", END)
    result = await run(graph)
    assert (texts(result.state.log), texts(result.state.docs)) == ("spoilt b", "a b")


async def test_arms_share_nothing_with_each_other_or_with_what_follows(late: Late) -> None:
    """What an arm left behind changes what it passed on, after the join: no field and no other node sees it."""
    graph = Graph("desk", Desk)
    graph.add_node("plan", lambda n: n + 1, writes="n")
    graph.add_node("left", late.keep, writes="log", thread=False)
    graph.add_node("right", pass_on, writes="kept")
    graph.add_node("change", late.change, writes="n", thread=False)
    graph.add_node("read", lambda docs, kept, log: texts([*docs, *kept, *log]), writes="seen")
    graph.add_edge(START, "plan")
    graph.add_fork("plan", ["left", "right"], join="change")
    graph.add_edge("left", "change")
    graph.add_edge("right", "change")
    graph.add_path("change", "read", END)
    result = await run(graph, log=GIVEN[:1])
    assert result.state.seen == "a b a b a a b"
    assert texts(result.state.log) == "a a b"


async def test_a_change_while_a_node_runs_fails_that_node(late: Late) -> None:
    """It may have seen the change, so what it returned is not recorded."""

    def read(kept: Docs) -> str:
        late.change()
        return texts(kept)

    broken = await failing(
        chain(("keep", late.keep, "kept"), ("read", read, "seen")).run(Desk(docs=GIVEN)),
        "changed its input 'kept' in place",
    )
    assert broken.state == Desk(docs=GIVEN, kept=GIVEN)


async def test_without_checks_nothing_is_shared() -> None:
    """A Runner that does not look for changes keeps the values of all fields apart."""

    def spoil(kept: Docs) -> int:
        kept[0]["text"] = "spoilt"
        return 1

    graph = chain(("pass", pass_on, "kept"), ("spoil", spoil, "n"), ("read", texts, "seen"))
    async with Runner(check=False) as runner:
        result = await runner.start(graph, Desk(docs=GIVEN)).result()
    assert (result.state.seen, result.state.docs) == ("a b", GIVEN)


async def test_a_change_that_json_cannot_carry_is_found(late: Late) -> None:
    """Also at the end of the run, whose result has the recorded values."""

    def change() -> int:
        for docs in late.held:
            docs[0]["text"] = object()
        return 1

    result = await run(chain(("keep", late.keep, "kept"), ("change", change, "n")))
    assert (result.state.kept, result.state.docs) == (GIVEN, GIVEN)


async def test_an_item_that_is_kept_for_long_does_not_keep_the_list_it_came_from() -> None:
    """A run that keeps one small item of each of many large lists holds the items' bytes."""
    graph = Graph("desk", Desk)
    graph.add_node(
        "make", lambda n: {"docs": [{"text": "x"}, {"text": "y" * 100_000}], "n": n + 1}, writes=("docs", "n")
    )
    graph.add_node("keep", lambda docs: docs[:1], writes="log")
    graph.add_path(START, "make", "keep")
    graph.add_edge("keep", END, when=value("n") >= 3)
    graph.add_edge("keep", "make")
    result = await graph.run()
    held = result.recorded["log"]
    assert [bytes(record) for record in held] == [b'{"text":"x"}'] * 3
    assert all(record.copy() is record for record in held), "a record that is a part of a larger one is copied"


FIELDS = ("docs", "kept", "log")
WAYS: dict[str, Callable[[Docs], Docs]] = {
    "the same": lambda docs: docs,
    "a copy": lambda docs: [*docs],
    "the last": lambda docs: docs[-1:],
    "twice": lambda docs: [*docs, *docs],
    "the ends": lambda docs: [docs[0], docs[-1]] if docs else [],
    "and one more": lambda docs: [*docs, {"text": "new", "body": "." * 1000}],
    "one more between": lambda docs: [*docs[:1], {"text": "new", "body": "." * 1000}, *docs[-1:]],
}
STEP = st.tuples(st.sampled_from(FIELDS), st.sets(st.sampled_from(FIELDS), min_size=1), st.sampled_from(sorted(WAYS)))


def after(state: dict[str, Docs], read: str, write: set[str], way: str) -> dict[str, Docs]:
    """Return the fields after a step, worked out on plain lists."""
    given = WAYS[way](state[read])
    return {
        name: (([*state["log"], *given] if name == "log" else given) if name in write else state[name])
        for name in FIELDS
    }


@settings(max_examples=60)
@given(steps=st.lists(STEP, min_size=1, max_size=6), arms=st.booleans())
async def test_passing_on_in_any_way_gives_what_plain_lists_give(
    steps: list[tuple[str, set[str], str]],
    arms: bool,  # noqa: FBT001 - drawn
) -> None:
    """Steps in a row pass any field on to any fields; with arms, each second one stands beside one that only reads."""
    expected: dict[str, Docs] = {"docs": GIVEN, "kept": [], "log": []}
    graph = Graph("any", Desk)
    last = START
    for at, (read, write, way) in enumerate(steps):
        expected = after(expected, read, write, way)
        function = partial(_given, way=WAYS[way], write=write)
        graph.add_node(f"n{at}", function, writes=tuple(sorted(write)), inputs={"docs": read}, thread=False)
        if arms and at % 2:
            graph.add_node(f"f{at}")
            graph.add_node(f"r{at}", texts, writes="seen", inputs={"docs": read}, thread=False)
            graph.add_node(f"j{at}")
            graph.add_edge(last, f"f{at}")
            graph.add_fork(f"f{at}", [f"n{at}", f"r{at}"], join=f"j{at}")
            graph.add_edge(f"n{at}", f"j{at}")
            graph.add_edge(f"r{at}", f"j{at}")
            last = f"j{at}"
        else:
            graph.add_edge(last, f"n{at}")
            last = f"n{at}"
    graph.add_edge(last, END)
    result = await graph.run({"docs": GIVEN})
    assert {name: result.values[name] for name in FIELDS} == expected
    assert {name: getattr(result.state, name) for name in FIELDS} == expected


def _given(docs: Docs, *, way: Callable[[Docs], Docs], write: set[str]) -> dict[str, Docs]:
    return dict.fromkeys(sorted(write), way(docs))
