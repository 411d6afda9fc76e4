"""Joins: the records of the values that arms hand on."""

from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, Runner
from graphengine.reducers import extend

Items = list[dict[str, int]]


class State(BaseModel):
    items: Items = []
    log: Annotated[Items, extend] = []
    seen: int = 0
    other: str = ""


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
