"""Maps, forks and graphs as nodes: the cost of an item, of a fork with its join, and of a step in a graph."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import MICRO, Figure, Outcome, Settings, alternate
from benchmarks.ours import Counter, Numbers, Sum, counting, fanning, mapping, nested
from benchmarks.stored import log_frames
from graphengine import END, START, ChildRun, Context, Graph, Runner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from benchmarks.measure import Side

OURS, PEER = "graphengine", "LangGraph"
CONCURRENCY = 16
"""How many items run at a time by default."""
PLAIN, INSIDE, AS_NODE = "a plain step", "a step in a graph", "a graph of one step, from its node's start to its end"


async def mapped(settings: Settings) -> Outcome:
    """This program measures a map of a node over 1,000 numbers: the time from the call to the result, per item.

    The node squares a number. graphengine maps 16 items at a time, in memory, and records each item. Its results are a
    list in the order of the numbers. LangGraph sends each number to a node (`Send`), all at once and without a
    checkpointer, and concatenates lists of one number in a pydantic state.
    """
    count = settings.count(1000, 20)
    graph, numbers = mapping(CONCURRENCY), list(range(count))
    squares = [number * number for number in numbers]

    async def ours() -> float:
        began = time.perf_counter()
        result = await graph.run(Numbers(numbers=numbers))
        seconds = time.perf_counter() - began
        _check(result.state.squares == squares)
        return seconds / count * MICRO

    sides: dict[str, Side] = {OURS: ours}
    if settings.has("langgraph"):
        from benchmarks import langgraph_side as peer  # noqa: PLC0415 - installed for the benchmarks only

        app = peer.mapping()

        async def langgraph() -> float:
            began = time.perf_counter()
            result = await app.ainvoke({"numbers": numbers})
            seconds = time.perf_counter() - began
            _check(sorted(result["squares"]) == squares)
            return seconds / count * MICRO

        sides["LangGraph, Send"] = langgraph
    found = await alternate(sides, "µs", settings.count(15, 2))
    return Outcome("Map over 1,000 items in memory", found)


async def commits(settings: Settings) -> Outcome:
    """This program counts the commits in SQLite's write-ahead log for a map over 1,000 numbers, per item.

    It also measures the time of an item. `synchronous` is FULL, and each item is durable before another item takes its
    place. An open reader keeps SQLite from restarting the log, so that the log contains every commit. The rows about
    the run itself are included: the start of the run, the start of the map, and its end.
    """
    count, figures = settings.count(1000, 20), {}
    for concurrency in (1, CONCURRENCY, 64):
        times, shares = [], []
        for _ in range(settings.count(3, 1)):
            seconds, written = await _map_durably(count, concurrency)
            times.append(seconds / count * MICRO)
            shares.append(written / count)
        side = f"{concurrency} at a time"
        figures[f"commits {concurrency}"] = Figure(f"commits an item, {side}", "", tuple(shares))
        figures[f"time {concurrency}"] = Figure(f"an item, {side}", "µs", tuple(times))
    return Outcome("Map over 1,000 items in SQLite, synchronous = FULL", figures)


async def _map_durably(count: int, concurrency: int) -> tuple[float, int]:
    """Run a map in a new database. Return its time in seconds, and the number of commits."""
    graph = mapping(concurrency)
    graph.compile()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        async with Runner(path) as runner:
            with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM runs").fetchone()
                _, before = log_frames(path.with_name("runs.db-wal"))
                began = time.perf_counter()
                await runner.start(graph, Numbers(numbers=list(range(count)))).result()
                seconds = time.perf_counter() - began
                _, after = log_frames(path.with_name("runs.db-wal"))
    return seconds, after - before


async def fork(settings: Settings) -> Outcome:
    """This program measures one round of a fork of 10 arms and their join, as the mean of 100 rounds (LangGraph: 10).

    A round consists of a node, ten parallel nodes that each add one to a number, and a node that runs when all ten have
    ended. LangGraph has an edge to each of the ten nodes and an edge that waits for all of them. Its state is a
    pydantic model.
    """
    arms, rounds = 10, settings.count(100, 3)
    graph = fanning(arms, rounds)

    async def ours() -> float:
        began = time.perf_counter()
        result = await graph.run(Sum())
        seconds = time.perf_counter() - began
        _check(result.state == Sum(total=arms * rounds, rounds=rounds))
        return seconds / rounds * MICRO

    sides: dict[str, Side] = {OURS: ours}
    if settings.has("langgraph"):
        from benchmarks import langgraph_side as peer  # noqa: PLC0415 - installed for the benchmarks only

        few = settings.count(10, 2)
        app, state = peer.fanning(arms, few), Sum().model_dump()

        async def langgraph() -> float:
            return await peer.run(app, state, few) * MICRO

        sides[PEER] = langgraph
    found = await alternate(sides, "µs", settings.count(15, 2))
    ratios: dict[str, float] = {}
    if settings.has("langgraph"):
        ratio = found[PEER].against(found[OURS])
        ratios["LangGraph's fork and join of 10 arms, against ours"] = ratio
    return Outcome("Fork of 10 arms and their join, in memory", found, ratios)


async def subgraph(settings: Settings) -> Outcome:
    """This program measures a step inside a nested graph, in memory, against a step of the run's own graph.

    The time is taken from the call to the result, and divided by the number of visits. The step is that of the program
    `step`. To measure a step in a nested graph, the same graph is the only node of the run, so that its 2,000 visits
    share one start and one end. The program also measures a nested graph with a single visit, 500 times. Each time
    takes three rows of the log: for the start, the step and the end.
    """
    steps, visits = settings.count(2000, 20), settings.count(500, 5)
    plain, inside, as_node = counting(steps), nested(counting(steps)), nested(counting(1), visits)

    async def plain_step() -> float:
        began = time.perf_counter()
        await plain.run(Counter())
        return (time.perf_counter() - began) / steps * MICRO

    async def step_inside() -> float:
        began = time.perf_counter()
        result = await inside.run(Counter())
        seconds = time.perf_counter() - began
        _check(result.state.count == steps)
        return seconds / steps * MICRO

    async def graph_as_node() -> float:
        began = time.perf_counter()
        await as_node.run(Counter())
        return (time.perf_counter() - began) / visits * MICRO

    sides: dict[str, Side] = {PLAIN: plain_step, INSIDE: step_inside, AS_NODE: graph_as_node}
    found = await alternate(sides, "µs", settings.count(15, 2))
    ratios = {f"{INSIDE}, against {PLAIN}": found[INSIDE].against(found[PLAIN])}
    return Outcome("Steps of a graph that is a node, in memory", found, ratios)


def _forms(child: Graph[Counter]) -> Mapping[str, Callable[[Context, int], Awaitable[int]]]:
    """Return the ways in which a node can await its child runs, by name. Each returns the sum of the results."""

    async def begin(ctx: Context, count: int) -> list[ChildRun[Counter, object]]:
        return [await ctx.start(child) for _ in range(count)]

    async def gathered(ctx: Context, count: int) -> int:
        results = await asyncio.gather(*(run.result() for run in await begin(ctx, count)))
        return sum(result.state.count for result in results)

    async def in_a_group(ctx: Context, count: int) -> int:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run.result()) for run in await begin(ctx, count)]
        return sum(task.result().state.count for task in tasks)

    async def completed(ctx: Context, count: int) -> int:
        found = asyncio.as_completed([run.result() for run in await begin(ctx, count)])
        return sum([(await each).state.count for each in found])

    async def in_order(ctx: Context, count: int) -> int:
        return sum([(await run.result()).state.count for run in await begin(ctx, count)])

    async def one_by_one(ctx: Context, count: int) -> int:
        return sum([(await (await ctx.start(child)).result()).state.count for _ in range(count)])

    return {
        "gather": gathered,
        "TaskGroup": in_a_group,
        "as_completed": completed,
        "awaited in order": in_order,
        "started and awaited one by one": one_by_one,
    }


async def children(settings: Settings) -> Outcome:
    """This program measures the CPU time of a child run of one node, in memory, for five ways to await children.

    In this benchmark, a node starts many child runs and awaits their results. The figure is the time of the whole run,
    divided by the number of children. For comparison, one Runner drives plain runs of the same graph one after the
    other. The ratios of the second table show whether a child costs more if the node starts 1,000 of them instead of
    100.
    """
    child, few, many = counting(1), settings.count(100, 3), settings.count(1000, 5)

    async def plain() -> float:
        async with Runner() as runner:
            began = time.process_time()
            for _ in range(few):
                await runner.start(child).result()
            return (time.process_time() - began) / few * MICRO

    async def started(form: Callable[[Context, int], Awaitable[int]], count: int) -> float:
        async def start(ctx: Context) -> int:
            return await form(ctx, count)

        parent = Graph("parent", Counter)
        parent.add_node("start", start, writes="count")
        parent.add_path(START, "start", END)
        parent.compile()
        async with Runner() as runner:
            began = time.process_time()
            result = await runner.start(parent).result()
            seconds = time.process_time() - began
        _check(result.state.count == count)
        return seconds / count * MICRO

    forms = _forms(child)
    sides: dict[str, Side] = {"a plain run": plain}
    for name, form in forms.items():
        sides |= {f"{name}, a child of {count:,}": partial(started, form, count) for count in (few, many)}
    found = await alternate(sides, "µs", settings.count(5, 1))
    ratios = {
        f"{name}, {many:,} against {few:,}": found[f"{name}, a child of {many:,}"].against(
            found[f"{name}, a child of {few:,}"]
        )
        for name in forms
    }
    return Outcome("Child runs of a node", found, ratios)


def _check(is_right: bool) -> None:  # noqa: FBT001 - its only argument
    if not is_right:
        message = "a measured run had a wrong result"
        raise RuntimeError(message)
