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
    """A state of three fields, one of which the node does not need."""

    task: str
    source: str
    text: str = ""


async def write(task: str) -> str:
    """Return a text."""
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
    """Call `run_node(graph, "write", {"task": …})` 1,000 times, one after the other, and divide the time.

    The node is an async function that reads one field of a pydantic state of three and writes another: its update is
    validated, recorded and folded as in a run, and the conditions of its two outgoing edges are evaluated. For
    comparison, the function is called directly. The graph is compiled before.
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
