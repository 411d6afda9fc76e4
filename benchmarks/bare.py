"""Short durable runs against a loop that a program could have written by hand over `sqlite3`."""

from __future__ import annotations

import sqlite3
import tempfile
import time
import uuid
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benchmarks.measure import MICRO, Outcome, Settings, alternate
from benchmarks.ours import Counter, chain
from graphengine import Runner
from graphengine.databases.sqlite import SQLiteStore
from graphengine.engine.step_json import encode_step
from graphengine.stores.summaries import summary_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.measure import Figure, Side
    from graphengine import Graph
    from graphengine.databases.sqlite.files import Synchronous

_RUNS: Final = {"FULL": {1: 4, 10: 1}, "NORMAL": {1: 20, 10: 8}}
"""How many runs a round has, by `synchronous` and the number of nodes."""
_EARLIER: Final = 3000
"""How many commits come before the measurement."""
_TABLES: Final = (
    "CREATE TABLE runs (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, graph TEXT, status TEXT, summary TEXT)",
    "CREATE TABLE steps (run INTEGER, seq INTEGER, at REAL, body TEXT, PRIMARY KEY (run, seq)) WITHOUT ROWID",
)


class Recorded(NamedTuple):
    """What a run of ours leaves in its database, as a loop by hand would store it."""

    bodies: Sequence[str]
    summary: str


async def bare(settings: Settings) -> Outcome:
    """A run of one node and one of ten, against a loop over `sqlite3` with the same commits and the same rows.

    The loop has no graph, no nodes and no event loop. It has a table of runs, found by their ids, and one of steps. Its
    first commit inserts the run and the first step, each further one a step, and the last one also sets the run's
    status and its summary. The texts are those that a run of ours has recorded. Its database has SQLite's page size,
    write-ahead log and automatic checkpoints. LangGraph, with `durability="sync"`, commits a checkpoint of the state
    before each node.

    Enough runs come first that both logs are written over from the beginning, as in a process that runs for long. At
    FULL the figures are time, most of which is the disk's: the slower the disk, the nearer the ratio is to one. At
    NORMAL they are CPU time of the process.

    What is between ours and the loop at FULL is not the disk: by `strace`, a run of ours makes as many syncs (2.0 with
    one node, 11.1 with ten) and with ten nodes as many writes (45; with one 24 against 14, since its first commit also
    fills the indexes by which runs are found, and its last one those of what is over). Of a commit in the middle, the
    writing takes as long as the loop's commit, 0.2 ms at least; then there are 85 µs of our own work and, if both cores
    are awake, 50 µs to the writing thread and back. Cores that have fallen asleep make that dear: on a quiet virtual
    machine a commit awaited through aiosqlite took 596 µs and one of the loop 313, and ours took 2.9 to 3.7 times the
    loop's time with one node and 3.1 to 3.2 times with ten. Threads of ours sleep 4.9 times a commit, the loop twice,
    while the disk syncs; a thread that waits for commits sleeps at least four times. Without one, the event loop and
    all other runs would stand still while the disk syncs, for 0.3 ms or for seconds. At NORMAL the event loop writes
    itself, and takes 4.5 to 6.3 times the loop's CPU time: a run of one node is 530 calls of functions, of which none
    but SQLite's own takes more than 2 %.
    """
    figures: dict[str, Figure] = {}
    for synchronous, runs in _RUNS.items():
        for nodes in runs:
            name = f"{nodes} {'node' if nodes == 1 else 'nodes'} at {synchronous}"
            found = await _compared(settings, name, nodes, "FULL" if synchronous == "FULL" else "NORMAL")
            figures |= found
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
    """Record one run."""
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
