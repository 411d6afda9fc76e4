"""States of every kind: the next node sees what a node returned, and the log restores it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import END, START, Graph, Replace
from graphengine.engine.stored import from_record, to_record
from graphengine.errors import InputError
from graphengine.state.encoded import opened
from tests.kit.facts import said
from tests.kit.kinds import VALUES, Everything, EverythingWhole, Spot, joined, neat
from tests.kit.scenario import work
from tests.kit.session import Session

searched = settings(max_examples=30, suppress_health_check=list(HealthCheck))
REDUCED: dict[str, Callable[[Any, Any], Any]] = {
    "log": lambda old, new: [*old, new],
    "days": lambda old, new: [*old, *new],
    "table": lambda old, new: {**old, **new},
    "total": lambda old, new: old + new,
    "money": lambda old, new: old + new,
    "latest": max,
    "union": joined,
    "maybe_log": lambda old, new: [*(old or []), new],
    "strict_log": lambda old, new: [*old, new],
    "tidy": lambda _, new: neat(new),
    "even": lambda _, new: [item for item in new if item % 2 == 0],
}


def looping(state: type[BaseModel] = Everything) -> Graph[Any]:
    """Return a graph whose one node can write any field, any number of times."""
    graph: Graph[Any] = Graph("kinds", state)
    graph.add_node("a", work)
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=lambda: False)
    graph.add_edge("a", "a")
    return graph


GRAPH, WHOLE = looping(), looping(EverythingWhole)
UPDATES = st.fixed_dictionaries({}, optional=VALUES).map(lambda update: dict(list(update.items())[:12]))


@searched
@given(st.sampled_from((GRAPH, WHOLE)), st.lists(UPDATES, min_size=1, max_size=5), st.data())
def test_a_value_of_every_kind_comes_back_equal(
    graph: Graph[Any], updates: list[dict[str, Any]], data: st.DataObject
) -> None:
    """A written value is read again, equal and of the same type: at once, after a crash, and from JSON."""
    session = Session(graph, mirror=True)
    session.start()
    expected: dict[str, Any] = {name: deepcopy(session.view().get(name)) for name in VALUES}
    for update in updates:
        step = session.finish(update)
        if said(step).get("error"):
            assert len(expected["strict_log"]) == 6
            return
        for name, new in update.items():
            expected[name] = deepcopy(REDUCED[name](expected[name], new) if name in REDUCED else new)
        if graph is WHOLE:
            expected["flag"], expected["tree"].name = expected["ratio"] > 0, str(expected["path"])
        if data.draw(st.booleans(), "crash"):
            session.crash()
        for name, value in expected.items():
            seen = session.view().get(name)
            assert seen == value, name
            assert type(seen) is type(value), name
    session.check_log()


@searched
@given(st.fixed_dictionaries({name: VALUES[name] for name in VALUES if name not in REDUCED}))
def test_a_run_begins_with_its_initial_state(state: dict[str, Any]) -> None:
    """An initial state of every kind is recorded completely and read back equal."""
    session = Session(GRAPH, mirror=True)
    session.start(state)
    session.crash()
    assert {name: session.view().get(name) for name in state} == state


@searched
@given(st.sampled_from(sorted(REDUCED)), st.data())
def test_replace_sets_a_field_of_every_kind(name: str, data: st.DataObject) -> None:
    """Replace overrides each reducer, and the next update is joined to the new value."""
    if name in ("tidy", "even"):
        return
    session = Session(GRAPH, mirror=True)
    session.start()
    default = session.view().get(name)
    session.finish({name: data.draw(VALUES[name])})
    session.finish({name: Replace(default)})
    assert session.view().get(name) == default
    new = data.draw(VALUES[name])
    session.finish({name: new})
    assert session.view().get(name) == REDUCED[name](default, new)


@searched
@given(st.lists(UPDATES, min_size=1, max_size=4))
def test_a_stored_snapshot_continues_independently(updates: list[dict[str, Any]]) -> None:
    """A snapshot rebuilt from its record shares nothing with the original, and continues in the same way."""
    session = Session(GRAPH)
    session.start()
    for update in updates:
        before = from_record(to_record(session.snapshot))
        record = to_record(from_record(to_record(before)))
        step = session.finish(update)
        assert to_record(before) == record
        again = Session(GRAPH, snapshot=before, log=session.log[:-1], rows=session.rows[:-1], _folded=before)
        assert step.update == again.at_once(update)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ratio", float("nan")),
        ("ratio", float("inf")),
        ("number", float("-inf")),
        ("total", float("nan")),
        ("anything", [float("nan")]),
        ("point", (1, float("inf"))),
        ("price", Decimal("NaN")),
        ("anything", (1, 2)),
        ("anything", {1: 2}),
        ("anything", dt.date(2026, 1, 1)),
        ("choice", "b"),
        ("capped", [1, 2, 3, 4, 5]),
        ("fixed", (1, "")),
        ("spot", {"xPosition": "left"}),
        ("spot", {"x": "left"}),
        ("table", None),
        ("days", None),
        ("log", None),
        pytest.param("number", 10**5000, id="a number too long for JSON"),
    ],
)
def test_a_value_that_cannot_be_recorded_fails_its_node(name: str, value: object) -> None:
    """A value that would not read back equal is refused by name, and nothing of its update is written."""
    session = Session(GRAPH)
    session.start()
    before = to_record(session.snapshot)["frames"][""]["values"]
    step = session.finish({"flag": True, name: value})
    assert step.kind == "failed"
    assert said(step)["error"]["kind"] in ("invalid_update", "not_recordable")
    assert to_record(session.snapshot)["frames"][""]["values"] == before


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("tidy", "lone \ud800", "lone \ufffd"),
        ("either", "lone \udfff", "lone \ufffd"),
        ("by_number", {1: "\ud800"}, {"1": "\ufffd"}),
        ("anything", {"deep": ["\ud800"]}, {"deep": ["\ufffd"]}),
    ],
)
def test_a_lone_surrogate_is_struck(name: str, value: object, kept: object) -> None:
    """From an update, and from an initial state."""
    for begun, update in (({name: value}, {}), ({}, {name: value})):
        session = Session(GRAPH)
        session.start(begun)
        assert session.finish({"flag": True, **update}).kind == "node"
        assert opened(session.snapshot.root.values[name]) == kept


@pytest.mark.parametrize("value", [{"ratio": float("nan")}, {"anything": (1, 2)}, {"day": "never"}])
def test_a_state_that_cannot_be_recorded_starts_no_run(value: dict[str, object]) -> None:
    """The same holds for an initial state."""
    with pytest.raises(InputError):
        Session(GRAPH).start(value)


def test_an_alias_names_its_field_only_from_outside() -> None:
    """An initial state can use aliases; updates and records use the fields' names."""
    session = Session(GRAPH, mirror=True)
    session.start({"withAnAlias": [{"xPosition": 3}]})
    assert opened(session.snapshot.root.values["aliased"]) == [{"x": 3, "when": None, "__fields_set__": ["x"]}]
    step = session.finish({"withAnAlias": []})
    assert said(step)["error"]["kind"] == "invalid_update"
    session.resume()
    session.finish({"aliased": [Spot(xPosition=4)]})
    session.crash()
    assert session.view().get("aliased") == [Spot(xPosition=4)]
