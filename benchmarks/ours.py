"""The measured graphs, as a user of graphengine writes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Limits, Runner, ask, iterations, value
from graphengine.reducers import add, append

ENTRY = "a line of the diary"
NEVER = 1_000_000_000
"""More steps than any run here takes: a limit stops it."""


class Counter(BaseModel):
    """The state of the counting graphs: a counter, and two fields that most graphs do not use."""

    count: int = 0
    name: str = ""
    ratio: float = 0.0


class Diary(BaseModel):
    """The state of the writing graph, whose list of entries grows with each step."""

    count: int = 0
    name: str = ""
    entries: Annotated[list[str], append] = []


class Pair(BaseModel):
    """A state of two fields, both of which are written in each visit."""

    count: int = 0
    name: str = ""


class Jobs(BaseModel):
    """A list of numbers, and the result of a nested graph for each number."""

    numbers: list[int] = []
    totals: list[int] = []


class Visits:
    """Notes when the visits of a node begin.

    This costs about 0.1 µs per visit, so only some of the measured graphs do it.
    """

    def __init__(self) -> None:
        self.times: list[float] = []

    def note(self) -> None:
        """Note that a visit begins now."""
        self.times.append(time.perf_counter())

    def seconds_a_step(self) -> float:
        """Return the mean time from one visit to the next, and forget all visits."""
        first, *_, last = self.times
        steps = len(self.times) - 1
        self.times.clear()
        return (last - first) / steps


def counting(steps: int) -> Graph[Counter]:
    """Return a graph whose only node visits itself until it has counted to `steps`.

    A visit is one validated update and one evaluated condition.
    """

    async def increase(count: int) -> int:
        return count + 1

    graph = Graph("counting", Counter, limits=Limits(visits=None))
    graph.add_node("increase", increase, writes="count")
    graph.add_edge(START, "increase")
    graph.add_edge("increase", END, when=value("count") >= steps)
    graph.add_edge("increase", "increase")
    return graph


async def row_bytes(runner: Runner) -> int:
    """Return the length in bytes of the recorded form of a step of the counting graph."""
    from graphengine.engine.step_json import encode_step  # noqa: PLC0415 - `since` runs these graphs over older trees

    run = runner.start(counting(3), Counter())
    await run.result()
    return len(encode_step((await runner.history(run.id))[1]))


def counting_noted(steps: int, visited: Callable[[], object]) -> Graph[Counter]:
    """Return the counting graph, whose node calls `visited` at the start of each visit."""

    async def increase(count: int) -> int:
        visited()
        return count + 1

    graph = Graph("counting", Counter, limits=Limits(visits=None))
    graph.add_node("increase", increase, writes="count")
    graph.add_edge(START, "increase")
    graph.add_edge("increase", END, when=value("count") >= steps)
    graph.add_edge("increase", "increase")
    return graph


def writing(steps: int, entry: str, visited: Callable[[], object]) -> Graph[Diary]:
    """Return a graph whose node appends to a list without reading it, and calls `visited` when a visit begins."""

    async def write(count: int) -> str:
        visited()
        return f"{entry} {count}"

    graph = Graph("writing", Diary, limits=Limits(visits=None))
    graph.add_node("write", write, writes="entries")
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=iterations("write") >= steps)
    graph.add_edge("write", "write")
    return graph


class Numbers(BaseModel):
    """A list of numbers, and their squares."""

    numbers: list[int] = []
    squares: list[int] = []


class Sum(BaseModel):
    """The sum of what the arms of a fork add, and the number of joins."""

    total: Annotated[int, add] = 0
    rounds: Annotated[int, add] = 0


class Asked(BaseModel):
    """A state of any size, and the answer of a person."""

    text: str = ""
    answer: bool = False


def mapping(concurrency: int, *, yields: bool = False) -> Graph[Numbers]:
    """Return a graph that squares each number of a list in a map.

    With `yields`, each item gives way to the event loop once, so that as many items as allowed are in flight.
    """

    async def square(number: int) -> int:
        if yields:
            await asyncio.sleep(0)
        return number * number

    graph = Graph("mapping", Numbers)
    graph.add_node("square", square, each={"number": "numbers"}, concurrency=concurrency, writes="squares")
    graph.add_path(START, "square", END)
    return graph


def chain(nodes: int) -> Graph[Counter]:
    """Return a graph with nodes in a row, each of which adds one."""

    async def increase(count: int) -> int:
        return count + 1

    graph = Graph("chain", Counter, limits=Limits(visits=None))
    names = [f"node{number}" for number in range(nodes)]
    for name in names:
        graph.add_node(name, increase, writes="count")
    graph.add_path(START, *names, END)
    return graph


def counting_pairs(steps: int) -> Graph[Pair]:
    """Return a counting graph whose node writes two fields. Its conditions are a function and a limit on visits."""

    async def increase(count: int) -> dict[str, object]:
        return {"count": count + 1, "name": f"number {count}"}

    graph = Graph("pairs", Pair, limits=Limits(visits=None))
    graph.add_node("increase", increase, writes=("count", "name"))
    graph.add_edge(START, "increase")
    graph.add_edge("increase", END, when=lambda count: count >= steps)
    graph.add_edge("increase", "increase", when=iterations("increase") < NEVER)
    return graph


def spreading(loops: int) -> Graph[Jobs]:
    """Return a graph that runs a nested graph for each number of a list. The nested graph loops `loops` times."""

    async def increase(count: int) -> int:
        return count + 1

    inner = Graph("inner", Counter, result="count", limits=Limits(visits=None))
    inner.add_node("increase", increase, writes="count")
    inner.add_edge(START, "increase")
    inner.add_edge("increase", END, when=iterations("increase") >= loops)
    inner.add_edge("increase", "increase")
    graph = Graph("spreading", Jobs, limits=Limits(visits=None))
    graph.add_node("inner", inner, each={"number": "numbers"}, inputs={"count": "number"}, writes="totals")
    graph.add_path(START, "inner", END)
    return graph


def fanning(arms: int, rounds: int) -> Graph[Sum]:
    """Return a graph with a fork and its join, which runs for this many rounds."""

    async def plan() -> None:
        pass

    async def one() -> int:
        return 1

    async def join() -> int:
        return 1

    graph = Graph("fanning", Sum, limits=Limits(visits=None))
    graph.add_node("plan", plan, writes=())
    names = [f"arm{number}" for number in range(arms)]
    for name in names:
        graph.add_node(name, one, writes="total")
        graph.add_edge(name, "join")
    graph.add_node("join", join, writes="rounds")
    graph.add_edge(START, "plan")
    graph.add_fork("plan", names, join="join")
    graph.add_edge("join", END, when=iterations("join") >= rounds)
    graph.add_edge("join", "plan")
    return graph


def nested(inner: Graph[Counter], visits: int = 1) -> Graph[Counter]:
    """Return a graph whose only node is the nested graph `inner`. Each visit of the node begins counting at 0."""
    graph = Graph("nested", Counter, limits=Limits(visits=None))
    graph.add_node("inner", inner, inputs={"name": "name"}, writes={"count": "count"})
    graph.add_edge(START, "inner")
    graph.add_edge("inner", END, when=iterations("inner") >= visits)
    graph.add_edge("inner", "inner")
    return graph


def asking() -> Graph[Asked]:
    """Return a graph that asks a person a question and waits for the answer."""
    graph = Graph("asking", Asked)
    graph.add_node("agree", ask("Continue?", bool), writes="answer")
    graph.add_path(START, "agree", END)
    return graph


def sleeping(seconds: float) -> Graph[Asked]:
    """Return a graph that sleeps."""

    async def nap(ctx: Context) -> bool:
        await ctx.sleep(seconds)
        return True

    graph = Graph("sleeping", Asked)
    graph.add_node("nap", nap, writes="answer")
    graph.add_path(START, "nap", END)
    return graph
