"""Steps of runs stored in SQLite: one run, and many runs at once."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import tempfile
import time
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import aiosqlite

from benchmarks.measure import AS_COMMAND, MICRO, Outcome, Settings, alternate, as_command
from benchmarks.ours import Counter, Visits, counting, counting_noted, row_bytes
from graphengine import Runner
from graphengine.databases.sqlite import SQLiteStore
from graphengine.databases.sqlite.files import PAGE_BYTES

if TYPE_CHECKING:
    from benchmarks.measure import Side

_RAW_BATCHES = "raw sqlite3: the rows by executemany, 2,000 a commit, FULL"
Synchronous = Literal["FULL", "NORMAL"]
OURS, RAW, PEER = "graphengine", "raw aiosqlite: one insert, one commit", 'LangGraph, durability="sync"'


async def full(settings: Settings) -> Outcome:
    """This program measures a durable step at `synchronous = FULL`: the time from visit to visit of a loop's node.

    In this benchmark, a run visits one node in a loop. The figure is the time between the first and the last visit,
    divided by the number of steps between them. Each step is durable before the next node starts. For comparison, a
    loop without a library inserts an equally long row, commits it, and awaits both through aiosqlite. Its database has
    the same page size, journal mode and `synchronous`.
    """
    return await _durable(settings, "FULL")


async def normal(settings: Settings) -> Outcome:
    """This program measures the same as `full`, at `synchronous = NORMAL`, and compares it with LangGraph's saver.

    LangGraph's figure is the time of a run from the call to the result, divided by the number of steps. The run uses
    LangGraph's SQLite saver with `synchronous = NORMAL` and `durability="sync"`, and the same pydantic model as its
    state.
    """
    return await _durable(settings, "NORMAL")


async def _durable(settings: Settings, synchronous: Synchronous) -> Outcome:
    steps = settings.count(100, 10)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = SQLiteStore(folder / "ours.db", synchronous=synchronous)
        runner = await stack.enter_async_context(Runner(store))
        raw = await stack.enter_async_context(aiosqlite.connect(folder / "raw.db"))
        sides = {OURS: _ours(runner, steps), RAW: await _raw(raw, steps, synchronous, await row_bytes(runner))}
        if settings.has("langgraph") and synchronous == "NORMAL":
            from benchmarks import langgraph_side as peer  # noqa: PLC0415 - installed for the benchmarks only

            few = settings.count(40, 5)
            saver = await stack.enter_async_context(peer.saving(folder / "peer.db"))
            app, state = peer.counting(few, saver), Counter().model_dump()

            async def langgraph() -> float:
                return await peer.run(app, state, few, durability="sync") * MICRO

            sides[PEER] = langgraph
        found = await alternate(sides, "µs", settings.count(25, 2))
    ratio = found[OURS].against(found[RAW])
    ratios = {f"a durable step at {synchronous}, against a raw commit": ratio}
    if PEER in found:
        ratio = found[PEER].against(found[OURS])
        ratios["LangGraph's durable step at NORMAL, against ours"] = ratio
    return Outcome(f"Durable step in SQLite, synchronous = {synchronous}", found, ratios)


def _ours(runner: Runner, steps: int) -> Side:
    visits = Visits()
    graph = counting_noted(steps, visits.note)

    async def run() -> float:
        await runner.start(graph, Counter()).result()
        return visits.seconds_a_step() * MICRO

    return run


async def _raw(connection: aiosqlite.Connection, steps: int, synchronous: Synchronous, length: int) -> Side:
    await connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    await connection.execute("PRAGMA journal_mode = WAL")
    await connection.execute(f"PRAGMA synchronous = {synchronous}")
    await connection.execute("CREATE TABLE steps (id INTEGER PRIMARY KEY, at REAL, body TEXT)")
    numbers, body = itertools.count(1), "x" * length

    async def commit() -> float:
        began = time.perf_counter()
        for _ in range(steps):
            await connection.execute("INSERT INTO steps VALUES (?, ?, ?)", (next(numbers), time.time(), body))
            await connection.commit()
        return (time.perf_counter() - began) / steps * MICRO

    return commit


async def many(settings: Settings) -> Outcome:
    """This program measures steps per second of 2,000 runs of 10 steps that start at once, in one SQLite file.

    In this benchmark, one Runner drives all 2,000 runs. The time is measured from the first `start` to the last
    `result()`. A new database is used in each round, with `synchronous` at FULL (the default) or at NORMAL. Only visits
    of nodes count as steps; the row with which each run starts is not counted. For comparison, `executemany` inserts
    equal rows at FULL without a graph, an engine or an event loop, 2,000 rows in each transaction.

    If a process drives many runs at once, Python's garbage collector takes much time, because it searches the objects
    of all these runs again and again. In your programs, call `gc.set_threshold(50_000, 20, 20)` to let it collect less
    often. The commands of graphengine do this already.
    """
    runs, steps = settings.count(2000, 20), 10
    async with Runner() as runner:
        length = await row_bytes(runner)

    def at_once(synchronous: Synchronous) -> Side:
        async def side() -> float:
            with tempfile.TemporaryDirectory() as folder:
                async with Runner(SQLiteStore(Path(folder) / "runs.db", synchronous=synchronous)) as runner:
                    graph = counting(steps)
                    graph.compile()
                    began = time.perf_counter()
                    started = [runner.start(graph, Counter()) for _ in range(runs)]
                    await asyncio.gather(*(run.result() for run in started))
                    return runs * steps / (time.perf_counter() - began)

        return side

    async def raw() -> float:
        return _raw_batches(runs, steps, length)

    full, seldom = at_once("FULL"), f"FULL{AS_COMMAND}"
    sides = {"FULL": full, seldom: as_command(full), "NORMAL": at_once("NORMAL"), _RAW_BATCHES: raw}
    found = await alternate(sides, "steps/s", settings.count(5, 2))
    ratios = {"durable steps, against raw inserts of equal rows": found["FULL"].against(found[_RAW_BATCHES])}
    return Outcome("2,000 runs of 10 durable steps at once", found, ratios)


def _raw_batches(runs: int, steps: int, length: int) -> float:
    """Return how many rows per second `sqlite3` inserts, in transactions with one row for each run."""
    body = b"x" * length
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(sqlite3.connect(Path(folder) / "raw.db", isolation_level=None)) as connection,
    ):
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE steps (id INTEGER PRIMARY KEY, at REAL, body TEXT, sum INTEGER) STRICT")
        began = time.perf_counter()
        for seq in range(steps):
            rows = [(run << 32 | seq, time.time(), body, seq) for run in range(runs)]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO steps VALUES (?, ?, CAST(? AS TEXT), ?)", rows)
            connection.execute("COMMIT")
        return runs * steps / (time.perf_counter() - began)
