"""A node that runs alone, as in a unit test."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pydantic import BaseModel

from benchmarks.measure import MICRO, Outcome, Settings, alternate
from graphengine import END, START, Graph, value
from graphengine.testing import run_node

if TYPE_CHECKING:
    from benchmarks.measure import Side

ALONE, FUNCTION = "run_node", "the function itself"


class Page(BaseModel):
    """A state with three fields. The node does not need the field `source`."""

    task: str
    source: str
    text: str = ""


async def write(task: str) -> str:
    return f"on {task}"


def writing() -> Graph[Page]:
    """Return a graph with one node and two outgoing edges."""
    graph = Graph("page", Page)
    graph.add_node("write", write, writes="text")
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=value("text") != "", label="written")
    graph.add_edge("write", "write")
    return graph


async def alone(settings: Settings) -> Outcome:
    """This program measures one call of `run_node(graph, "write", {"task": …})`, as the mean of 1,000 calls in a row.

    The node is an async function that reads one field of a pydantic state with three fields, and writes another field.
    As in a run, the update is validated, recorded and folded, and the conditions of the node's two edges are evaluated.
    The graph is compiled before the measurement. For comparison, the function is called directly.
    """
    count = settings.count(1000, 10)
    graph = writing()
    graph.compile()

    async def ours() -> float:
        began = time.perf_counter()
        for _ in range(count):
            await run_node(graph, "write", {"task": "bread"})
        return (time.perf_counter() - began) / count * MICRO

    async def function() -> float:
        began = time.perf_counter()
        for _ in range(count):
            await write("bread")
        return (time.perf_counter() - began) / count * MICRO

    sides: dict[str, Side] = {ALONE: ours, FUNCTION: function}
    found = await alternate(sides, "µs", settings.count(31, 2))
    return Outcome("A node run alone in a test", found)
