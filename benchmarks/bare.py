"""Short durable runs against a loop that a program could have written by hand over `sqlite3`."""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
import time
import uuid
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benchmarks.measure import MICRO, Outcome, Settings, alternate
from benchmarks.ours import Counter, chain, counting_noted
from graphengine import Runner
from graphengine.databases.sqlite import SQLiteStore
from graphengine.engine.step_json import encode_step
from graphengine.stores.base import summary_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.measure import Figure, Side
    from graphengine import Graph
    from graphengine.databases.sqlite.files import Synchronous

_RUNS: Final = {"FULL": {1: 4, 10: 1}, "NORMAL": {1: 20, 10: 8}}
"""How many runs a round has, by `synchronous` and the number of nodes."""
_STEPS: Final = 300
"""How many steps the long run has."""
_EARLIER: Final = 3000
"""How many commits come before the measurement."""
_TABLES: Final = (
    "CREATE TABLE runs (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, graph TEXT, status TEXT, summary TEXT)",
    "CREATE TABLE steps (run INTEGER, seq INTEGER, at REAL, body TEXT, PRIMARY KEY (run, seq)) WITHOUT ROWID",
)


class Recorded(NamedTuple):
    """What a run of graphengine leaves in its database, as the loop by hand stores it."""

    bodies: Sequence[str]
    summary: str


async def bare(settings: Settings) -> Outcome:
    """This program measures runs of one and of ten nodes, and compares them with a plain loop over `sqlite3`.

    The plain loop makes the same commits and writes the same rows as a run of graphengine, but it has no graph, no
    nodes and no event loop. It writes to a table of runs and a table of steps. Its first commit inserts the run and the
    first step. Each further commit inserts a step, and the last commit also sets the status and the summary of the run.
    The content of the rows was recorded by a run of graphengine.

    The database uses SQLite's page size, write-ahead log and automatic checkpoints. LangGraph uses `durability="sync"`,
    and commits a checkpoint of the state before each node.

    Before the measurement, the loop and graphengine write runs until each write-ahead log has grown to its full length
    and is written again from its start. This is the state of a process that has run for a long time.

    - At FULL, the figures are elapsed time. Most of it is the disk's. The slower the disk is, the nearer the ratio is
      to 1.
    - At NORMAL, the figures are the CPU time of the process.

    At FULL, a run of graphengine syncs the disk as often as the plain loop. The run is slower than the loop for two
    reasons: graphengine has more to compute, and a separate thread writes to the database. Without this thread, the
    event loop and all other runs would stand still during each sync. `docs/project/speed.md` says where the time of a
    commit is spent.
    """
    figures: dict[str, Figure] = {}
    for synchronous, runs in _RUNS.items():
        for nodes in runs:
            name = f"{nodes} {'node' if nodes == 1 else 'nodes'} at {synchronous}"
            found = await _compared(settings, name, nodes, "FULL" if synchronous == "FULL" else "NORMAL")
            figures |= found
    figures |= await _steps(settings)
    compared: dict[str, str] = {}
    for side in figures:
        name, _, library = side.partition(": ")
        if library != "graphengine":
            compared[side] = f"{name}: graphengine"
    return Outcome("Short durable runs, against a loop over sqlite3", figures, compared=compared)


async def _compared(settings: Settings, name: str, nodes: int, synchronous: Synchronous) -> dict[str, Figure]:
    clock = time.perf_counter if synchronous == "FULL" else time.process_time
    runs = settings.count(_RUNS[synchronous][nodes], 1)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runner = await stack.enter_async_context(Runner(SQLiteStore(folder / "ours.db", synchronous=synchronous)))
        graph = chain(nodes)
        graph.compile()
        recorded = await _recorded(runner, graph)
        by_hand = stack.enter_context(closing(_connected(folder / "bare.db", synchronous)))
        for _ in range(settings.count(_EARLIER // (nodes + 1), 1)):
            await runner.start(graph, Counter()).result()
            _run(by_hand, recorded)

        async def ours() -> float:
            began = clock()
            for _ in range(runs):
                await runner.start(graph, Counter()).result()
            return (clock() - began) / runs * MICRO

        async def loop() -> float:
            began = clock()
            for _ in range(runs):
                _run(by_hand, recorded)
            return (clock() - began) / runs * MICRO

        sides: dict[str, Side] = {f"{name}: graphengine": ours, f"{name}: a loop": loop}
        if settings.has("langgraph"):
            sides[f"{name}: LangGraph"] = await _langgraph(stack, folder, nodes, synchronous, clock)
        return await alternate(sides, "µs", settings.count(41, 1))


async def _steps(settings: Settings) -> dict[str, Figure]:
    name, count, clock, visits = "a step of a long run at NORMAL", settings.count(_STEPS, 10), time.process_time, [0.0]
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runner = await stack.enter_async_context(Runner(SQLiteStore(folder / "ours.db", synchronous="NORMAL")))
        graph = counting_noted(count, lambda: visits.append(clock()))
        body = (await _recorded(runner, graph)).bodies[1]
        by_hand = stack.enter_context(closing(_connected(folder / "bare.db", "NORMAL")))
        seqs = itertools.count(1)

        async def ours() -> float:
            visits.clear()
            await runner.start(graph, Counter()).result()
            return (visits[-1] - visits[0]) / (len(visits) - 1) * MICRO

        async def loop() -> float:
            began = clock()
            for _ in range(count):
                by_hand.execute("BEGIN IMMEDIATE")
                _add(by_hand, 1, next(seqs), body)
                by_hand.execute("COMMIT")
            return (clock() - began) / count * MICRO

        sides: dict[str, Side] = {f"{name}: graphengine": ours, f"{name}: a loop": loop}
        return await alternate(sides, "µs", settings.count(101, 1))


async def _recorded(runner: Runner, graph: Graph[Any]) -> Recorded:
    run = runner.start(graph, Counter())
    await run.result()
    summary = (await runner.store.info(run.id)).summary
    bodies = [encode_step(step).decode() for step in await runner.history(run.id)]
    return Recorded(bodies, "" if summary is None else summary_text(summary))


def _connected(path: Path, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    for statement in _TABLES:
        connection.execute(statement)
    return connection


def _run(connection: sqlite3.Connection, recorded: Recorded) -> None:
    """Record one run with the loop by hand."""
    first, *others = recorded.bodies
    connection.execute("BEGIN IMMEDIATE")
    run = (uuid.uuid4().hex, "chain", "running")
    key = connection.execute("INSERT INTO runs (id, graph, status) VALUES (?, ?, ?)", run).lastrowid
    _add(connection, key, 1, first)
    connection.execute("COMMIT")
    for seq, body in enumerate(others, 2):
        connection.execute("BEGIN IMMEDIATE")
        _add(connection, key, seq, body)
        if seq == len(recorded.bodies):
            ended = ("completed", recorded.summary, key)
            connection.execute("UPDATE runs SET status = ?, summary = ? WHERE key = ?", ended)
        connection.execute("COMMIT")


def _add(connection: sqlite3.Connection, key: int | None, seq: int, body: str) -> None:
    connection.execute("INSERT INTO steps (run, seq, at, body) VALUES (?, ?, ?, ?)", (key, seq, time.time(), body))


async def _langgraph(
    stack: AsyncExitStack, folder: Path, nodes: int, synchronous: str, clock: Callable[[], float]
) -> Side:
    from benchmarks import langgraph_side as peer  # noqa: PLC0415 - installed for the benchmarks only

    saver = await stack.enter_async_context(peer.saving(folder / "peer.db", synchronous))
    app, state = peer.chain(nodes, saver), Counter().model_dump()

    async def side() -> float:
        began = clock()
        await peer.run(app, state, nodes, durability="sync")
        return (clock() - began) * MICRO

    return side
