"""Joins: which values they take over from their arms."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner
from graphengine.reducers import extend

Items = list[dict[str, int]]


class State(BaseModel):
    items: Items = []
    log: Annotated[Items, extend] = []
    seen: int = 0
    other: str = ""


def write() -> dict[str, Any]:
    """Write two fields."""
    return {"items": [{"a": 1}], "log": [{"b": 2}]}


@pytest.mark.parametrize("vandal", [False, True])
@pytest.mark.parametrize("checks", [False, True])
async def test_a_join_takes_the_values_of_its_arms_unless_one_was_changed(*, vandal: bool, checks: bool) -> None:
    """They are not read from the record again, but if a node changed one in place, or that is not checked, they are."""
    inputs: list[Items] = []

    def read(items: Items) -> int:
        inputs.append(items)
        if vandal:
            items[0]["a"] = 9
        return len(items)

    def merge(items: Items, log: Items) -> None:
        inputs.append(items)
        assert (items, log) == ([{"a": 1}], [{"b": 2}])

    graph = Graph("joins", State)
    graph.add_node("write", write, writes=("items", "log"))
    graph.add_node("read", read, writes="seen", fallback=7)
    graph.add_node("other", lambda: "x", writes="other")
    graph.add_node("merge", merge)
    graph.add_fork(START, ["write", "other"], join="merge")
    graph.add_edge("write", "read")
    for node in ("read", "other"):
        graph.add_edge(node, "merge")
    graph.add_edge("merge", END)
    async with Runner(check=checks) as runner:
        result = await runner.start(graph).result()
    assert result.state == State(items=[{"a": 1}], log=[{"b": 2}], seen=7 if vandal and checks else 1, other="x")
    assert (inputs[0] is inputs[1]) == (checks and not vandal)


async def test_a_value_from_before_a_fork_keeps_the_record_that_it_had() -> None:
    """An arm that wrote the field since does not record its new value for the old object."""
    kept: list[Items] = []

    def keep(items: Items) -> None:
        kept.append(items)

    graph = Graph("joins", State)
    graph.add_node("keep", keep)
    graph.add_node("write", lambda: [{"a": 9}], writes="items")
    graph.add_node("hand_on", lambda: kept[0], writes="log")
    graph.add_node("other", lambda: "x", writes="other")
    graph.add_node("merge", lambda: None)
    graph.add_edge(START, "keep")
    graph.add_fork("keep", ["write", "other"], join="merge")
    graph.add_edge("write", "hand_on")
    for node in ("hand_on", "other"):
        graph.add_edge(node, "merge")
    graph.add_edge("merge", END)
    async with Runner() as runner:
        result = await runner.start(graph, State(items=[{"a": 1}])).result()
    assert (result.state.items, result.state.log) == ([{"a": 9}], [{"a": 1}])
