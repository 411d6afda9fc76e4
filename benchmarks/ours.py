"""The graphs that are measured, as a user of graphengine writes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, iterations, value
from graphengine.reducers import append

ENTRY = "a line of the diary"
NEVER = 1_000_000_000
"""More steps than any run here does: a limit stops it."""


class Counter(BaseModel):
    """Three fields of plain types."""

    count: int = 0
    name: str = ""
    ratio: float = 0.0


class Diary(BaseModel):
    """Three fields, one of them a list that grows."""

    count: int = 0
    name: str = ""
    entries: Annotated[list[str], append] = []


class Visits:
    """When a node was visited. It costs a visit about 0.1 µs, so only what needs it has it."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def note(self) -> None:
        """A visit begins."""
        self.times.append(time.perf_counter())

    def seconds_a_step(self) -> float:
        """From the first visit's begin to the last one's, divided by the steps between; then begin anew."""
        first, *_, last = self.times
        steps = len(self.times) - 1
        self.times.clear()
        return (last - first) / steps


def counting(steps: int) -> Graph[Counter]:
    """A node that counts, visited so many times; a visit is one validated update and one condition."""

    async def increase(count: int) -> int:
        return count + 1

    graph = Graph("counting", Counter, limits=Limits(steps=None))
    graph.add_node("increase", increase, writes="count")
    graph.add_edge(START, "increase")
    graph.add_edge("increase", END, when=value("count") >= steps)
    graph.add_edge("increase", "increase")
    return graph


def counting_noted(steps: int, visited: Callable[[], object]) -> Graph[Counter]:
    """The same, and each visit begins by calling `visited`."""

    async def increase(count: int) -> int:
        visited()
        return count + 1

    graph = Graph("counting", Counter, limits=Limits(steps=None))
    graph.add_node("increase", increase, writes="count")
    graph.add_edge(START, "increase")
    graph.add_edge("increase", END, when=value("count") >= steps)
    graph.add_edge("increase", "increase")
    return graph


def writing(steps: int, entry: str, visited: Callable[[], object]) -> Graph[Diary]:
    """A node that appends to a list it does not read, visited so many times; each begins by calling `visited`."""

    async def write(count: int) -> str:
        visited()
        return f"{entry} {count}"

    graph = Graph("writing", Diary, limits=Limits(steps=None))
    graph.add_node("write", write, writes="entries")
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=iterations("write") >= steps)
    graph.add_edge("write", "write")
    return graph
