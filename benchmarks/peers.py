"""Workloads that several libraries have, with each of them in turns: in memory, and stored in SQLite."""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from benchmarks.measure import MICRO, Outcome, Settings, alternate
from benchmarks.ours import Counter, Sum, chain, counting, fanning
from graphengine import Runner
from graphengine.databases.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from benchmarks.measure import Figure, Side
    from graphengine import Graph

Kind: TypeAlias = Literal["chain", "loop", "fork", "at once"]
Run: TypeAlias = "Callable[[], Awaitable[int]]"
"""Run a workload once. Return what its nodes counted, so that a wrong run is noticed."""
Library: TypeAlias = "Mapping[Kind, Callable[[int], Run]]"
"""For each kind of workload that a library has, a function that prepares one of this size."""

OURS: Final = "graphengine"
STEPS: Final = 10
"""The steps of each run of the kind `at once`."""
_IN_MEMORY: Final = {"langgraph": "langgraph_side", "burr": "burr_side", "pydantic_graph": "pydantic_graph_side"}
_STORED: Final = {"langgraph": "langgraph_side", "burr": "burr_side", "dbos": "dbos_side"}
"""The packages that take part, and our modules that use them: each has `side`, as `_ours` below."""


@dataclass(frozen=True, slots=True)
class Databases:
    """Where the libraries store runs: each library has its own file in this folder, in WAL mode."""

    folder: Path
    synchronous: Literal["NORMAL", "FULL"]


@dataclass(frozen=True, slots=True)
class Workload:
    """A graph that several libraries can express, and its size.

    Attributes:
        title: A description of what is measured.
        kind: The shape of the graph.
        size: The number of nodes, visits, arms or runs.
        parts: The number by which the time of a run is divided.
    """

    title: str
    kind: Kind
    size: int
    parts: int = 1

    @property
    def counted(self) -> int:
        """The sum that the nodes must have counted, with which the result is checked."""
        return self.size * (STEPS if self.kind == "at once" else 1)


async def peers(settings: Settings) -> Outcome:
    """This program measures the CPU time of a run in memory, for workloads that several libraries can express.

    In this benchmark, each node is an async function that adds one to one of the three fields of the state. There are
    three workloads: nodes in a row, a loop of one node with a condition, and a node that is followed by ten parallel
    nodes and their join. The graphs are built once, before the measurement. The figures are the time from the call to
    the result.

    The libraries do not do the same work:

    - graphengine validates each update, and records each step in its in-memory store. The others record nothing here.
    - LangGraph runs without a checkpointer. It validates the state that it passes to a node. The variant `TypedDict`
      validates nothing.
    - Burr runs without a persister. It validates what an action reads and writes. Each run builds an `Application`, as
      Burr requires. The variant with a plain `State` validates nothing.
    - The nodes of pydantic-graph change one shared state in place. The variant with a class as a node needs no
      decision.
    """
    nodes, visits, arms = settings.count(100, 4), settings.count(200, 5), settings.count(10, 3)
    workloads = [
        Workload("a run of 1 node", "chain", 1),
        Workload("a run of 10 nodes", "chain", 10),
        Workload(f"a run of {nodes} nodes", "chain", nodes),
        Workload(f"a visit in a loop of {visits}", "loop", visits, visits),
        Workload(f"a fork of {arms} nodes and their join", "fork", arms),
    ]
    figures, compared = await _measured(settings, _IN_MEMORY, None, workloads)
    return Outcome("Other libraries, in memory", figures, compared=compared)


async def durable_peers(settings: Settings) -> Outcome:
    """This program measures the CPU time of the same kind of workloads, with each step durable in SQLite.

    In this benchmark, each library uses an SQLite database that is already open. The databases are in WAL mode with
    `synchronous = NORMAL`, except in the last workload, which uses FULL, the default of graphengine. The libraries
    differ in what they commit before the next node starts:

    - graphengine commits the validated update.
    - LangGraph commits a checkpoint of the whole state (`durability="sync"`).
    - Burr commits the whole state (`AsyncSQLitePersister`).
    - DBOS commits what the step returned.

    The row "a step of 100 runs of 10 at once" measures 100 runs of ten steps that are started together in one process.
    Their time is divided by the number of all steps. In the variant "without async", the steps are plain functions, and
    the program uses the synchronous calls of the library. These calls block the thread that makes them.

    DBOS has no settings for WAL mode and `synchronous`, so the benchmark sets both on the database itself. For
    production, DBOS recommends Postgres, and `python -m benchmarks.postgres` compares the libraries there. Burr, too,
    recommends another database than SQLite. pydantic-graph is missing from this table, because it stores nothing.
    """
    nodes, visits = settings.count(10, 3), settings.count(100, 5)
    arms, runs = settings.count(10, 3), settings.count(100, 3)
    workloads = [
        Workload("a run of 1 node", "chain", 1),
        Workload(f"a run of {nodes} nodes", "chain", nodes),
        Workload(f"a visit in a loop of {visits}", "loop", visits, visits),
        Workload(f"a fork of {arms} nodes and their join", "fork", arms),
        Workload(f"a step of {runs} runs of {STEPS} at once", "at once", runs, runs * STEPS),
    ]
    at_full = [Workload(f"a visit in a loop of {visits} at FULL", "loop", visits, visits)]
    with tempfile.TemporaryDirectory() as normal, tempfile.TemporaryDirectory() as full:
        figures, compared = await _measured(settings, _STORED, Databases(Path(normal), "NORMAL"), workloads)
        more, compared_too = await _measured(settings, _STORED, Databases(Path(full), "FULL"), at_full)
    return Outcome("Other libraries, in SQLite", figures | more, compared=compared | compared_too)


async def _measured(
    settings: Settings, modules: Mapping[str, str], databases: Databases | None, workloads: Sequence[Workload]
) -> tuple[dict[str, Figure], dict[str, str]]:
    """Measure each workload with all libraries, which take turns.

    Returns:
        The figures; and for each figure of another library, the name of our figure with which it is compared.
    """
    figures: dict[str, Figure] = {}
    compared: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        libraries = dict(await stack.enter_async_context(_ours(databases)))
        for package, module in modules.items():
            if settings.has(package):
                try:
                    side = import_module(f"benchmarks.{module}").side
                    libraries |= await stack.enter_async_context(side(databases))
                except Exception as error:  # noqa: BLE001 - another library must not hide the others
                    _report(package, error)
        for workload in workloads:
            sides: dict[str, Side] = {}
            for name, library in libraries.items():
                if workload.kind in library:
                    run = library[workload.kind](workload.size)
                    if name == OURS or await _works(name, workload, run):
                        times = 1 if workload.parts > 1 else settings.count(20 if databases is None else 10, 1)
                        sides[f"{workload.title}: {name}"] = _side(run, workload, times)
            figures |= await alternate(sides, "µs", settings.count(15 if databases is None else 9, 1))
            ours = f"{workload.title}: {OURS}"
            compared |= {name: ours for name in sides if name != ours}
    return figures, compared


def _side(run: Run, workload: Workload, times: int) -> Side:
    async def side() -> float:
        gc.collect()  # what other sides left
        began = time.process_time()
        counted = [await run() for _ in range(times)]
        seconds = time.process_time() - began
        _check(workload, counted)
        return seconds / times / workload.parts * MICRO

    return side


async def _works(name: str, workload: Workload, run: Run) -> bool:
    """Return whether another library can run a workload. If it cannot, report the reason."""
    try:
        _check(workload, [await run()])
    except Exception as error:  # noqa: BLE001 - as above
        _report(f"{name}: {workload.title}", error)
        return False
    return True


def _check(workload: Workload, counted: list[int]) -> None:
    if set(counted) != {workload.counted}:
        message = f"its nodes counted {counted}, not {workload.counted}"
        raise RuntimeError(message)


def _report(name: str, error: Exception) -> None:
    print(f"{name} is left out: {error!r}", file=sys.stderr)


@asynccontextmanager
async def _ours(databases: Databases | None) -> AsyncIterator[Mapping[str, Library]]:
    """Yield the workloads of graphengine, in memory or stored in a database."""
    if databases is None:
        yield {OURS: {"chain": _prepared(chain), "loop": _prepared(counting), "fork": _forked()}}
        return
    store = SQLiteStore(databases.folder / "graphengine.db", synchronous=databases.synchronous)
    async with Runner(store) as runner:
        loop = _prepared(counting, runner)
        yield {
            OURS: {
                "chain": _prepared(chain, runner),
                "loop": loop,
                "fork": _forked(runner),
                "at once": lambda runs: at_once(loop(STEPS), runs),
            }
        }


def at_once(one: Run, runs: int) -> Run:
    """Return a workload that runs `one` several times at once."""

    async def run() -> int:
        return sum(await asyncio.gather(*(one() for _ in range(runs))))

    return run


def _prepared(build: Callable[[int], Graph[Counter]], runner: Runner | None = None) -> Callable[[int], Run]:
    def prepare(size: int) -> Run:
        graph = build(size)
        graph.compile()

        async def run() -> int:
            ended = graph.run(Counter()) if runner is None else runner.start(graph, Counter()).result()
            return (await ended).state.count

        return run

    return prepare


def _forked(runner: Runner | None = None) -> Callable[[int], Run]:
    def prepare(arms: int) -> Run:
        graph = fanning(arms, 1)
        graph.compile()

        async def run() -> int:
            ended = graph.run(Sum()) if runner is None else runner.start(graph, Sum()).result()
            return (await ended).state.total

        return run

    return prepare
