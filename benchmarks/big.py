"""The cost of a large database: 100,000 runs and 10 million steps by default.

`python -m benchmarks.big [--runs N] [--steps N] [--folder PATH] [--write PATH]` builds the database with the store's
own write functions, in a temporary folder by default, measures, and prints the results. The program `big` of
`python -m benchmarks` is a small version.

Every run has the recorded steps of a real run of a small graph that ended with its status; one in a hundred is a branch
of the run before it. They have twenty graphs, all statuses, and tags of which one is frequent and one rare.

`writer` is a second process that appends a step every few milliseconds and reports how long it had to wait.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeVar

from msgspec import structs

from benchmarks.commands import cost_of
from benchmarks.measure import MICRO, MILLI, Figure, Outcome, Settings, alternate
from benchmarks.ours import NEVER, Counter, Visits, counting, counting_noted
from graphengine import END, START, Graph, Limits, RunFailed, Runner, ask, value
from graphengine.databases.sqlite import SQLiteStore, writes
from graphengine.engine.step_json import decode_step, encode_step
from graphengine.engine.steps import Branched, Started
from graphengine.kernel.testing.kit import append, new_run, step
from graphengine.stores.base import Append, RunInfo

if TYPE_CHECKING:
    from graphengine.engine.graph_spec import GraphSpec
    from graphengine.stores.base import Status

T = TypeVar("T")

MEGA: Final = 1_000_000
_GRAPHS: Final = 20
_PAGE: Final = 20
_OLD: Final = "g_old"
_FREQUENT, _RARE = "nightly", "release"
_FIRST: Final = "first"
_BUILDER: Final = "the builder"
_TEMPLATE, _PARENT = "template", "parent"
_QUICK: Final = ("runs", "doctor")
_WHOLE: Final = ("prune --dry-run", "doctor")
"""Commands that read all runs."""

_SHOWN: Final = 2  # the number, in a hundred, of a run that is finished and no branch
_BEGAN: Final = 1_700_000_000.0
_SECONDS_BETWEEN_STEPS: Final = 0.002


@dataclass(frozen=True, slots=True)
class Size:
    """The size of the measured database.

    Attributes:
        runs: The number of runs.
        steps: The number of steps of each run.
        pruned: How many runs the first prune removes. They belong to a graph of their own.
        rounds: How often each measurement is repeated.
    """

    runs: int
    steps: int
    pruned: int
    rounds: int


async def big(settings: Settings) -> Outcome:
    """This program measures a database of many runs; `python -m benchmarks.big` measures a much larger one.

    - Pages of the list of runs have 20 runs. The middle page starts after half of all runs. Pages are requested with
      different filters.
    - A load opens the database for reading, loads a random run, and closes the database.
    - A step is a step of the counting graph, committed at FULL. Steps of a new run and of the first recorded run are
      compared with steps in an otherwise empty database.
    - A command is a whole process.
    - During the prune and the vacuum, another process appends a step every 2 ms.
    """
    size = Size(2000, 50, 200, 15) if not settings.quick else Size(60, 5, 10, 1)
    with tempfile.TemporaryDirectory() as name:
        return await measured(Path(name), size)


async def measured(folder: Path, size: Size) -> Outcome:
    """Build a database of this size in a folder, and measure it."""
    path = folder / "big.db"
    await build(path, size)
    figures = {"file": Figure("the file", "MB", (path.stat().st_size / MEGA,))}
    figures["step"] = Figure("the file, a step", "bytes", (path.stat().st_size / (size.runs * size.steps),))
    async with _opened(path) as runner:
        figures |= await _pages(runner.store, size)
    figures |= await _loads(path, size)
    figures |= await _steps(folder, path, size)
    figures |= await _prune(path)
    figures |= await _halve(path, size)
    ratios = {
        "a step in a new run, against an empty database": figures["new"].against(figures["empty"]),
        "a step in an old run, against an empty database": figures["old"].against(figures["empty"]),
    }
    return Outcome(f"A database of {size.runs:,} runs and {size.runs * size.steps:,} steps", figures, ratios)


def _opened(path: Path) -> Runner:
    return Runner(SQLiteStore(path))


# -- building


async def build(path: Path, size: Size) -> None:
    """Build the database."""
    templates = {kind: await _recorded(kind, size.steps) for kind in ("finished", "failed", "waiting", "due")}
    templates["stopped"] = await _recorded("stopped", size.steps)
    templates["branch"] = await _branched(size.steps)
    async with Runner(SQLiteStore(path, synchronous="NORMAL")) as runner:
        await runner.start(counting(NEVER), Counter(), run_id=_FIRST, limits=Limits(visits=size.steps)).result()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for first in range(0, size.runs, 200):
            connection.execute("BEGIN IMMEDIATE")
            for number in range(first, min(first + 200, size.runs)):
                _add_run(connection, number, size, templates)
            connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


class _Asked(Counter):
    """The state of the recorded runs: the counter, and the answer of a person."""

    answer: bool = False


class _Template(NamedTuple):
    """A recorded run that is copied many times: its steps, its status, and when its first timer is due."""

    rows: Sequence[writes.Row]
    status: Status
    due_at: float | None
    graph_spec: GraphSpec


def _ending(kind: str, steps: int) -> Graph[_Asked]:
    """Return a graph whose runs have this many steps and end in this way."""
    last = steps - 2

    async def increase(count: int) -> int:
        if count == last and kind == "failed":
            message = "the benchmark fails here"
            raise ValueError(message)
        return count + 1

    graph = Graph("counting", _Asked, limits=Limits(visits=None))
    seconds = 1e9 if kind == "waiting" else 3600.0
    graph.add_node("increase", increase, writes="count")
    graph.add_node("agree", ask("Continue?", bool, timeout_seconds=seconds), writes="answer")
    graph.add_edge(START, "increase")
    graph.add_edge("increase", END, when=value("count") >= (last + 1 if kind == "finished" else NEVER))
    graph.add_edge("increase", "agree", when=value("count") >= (last if kind in ("waiting", "due") else NEVER))
    graph.add_edge("increase", "increase")
    graph.add_edge("agree", END)
    return graph


async def _recorded(kind: str, steps: int) -> _Template:
    """Record a run that ends in this way: with a status, or with `due`, waiting for a timer that is due soon."""
    async with Runner() as runner:
        graph = _ending(kind, steps)
        limits = Limits(visits=steps - 2 if kind == "stopped" else None)
        with suppress(RunFailed):
            await runner.start(graph, _Asked(), run_id=_TEMPLATE, limits=limits).result()
        return await _template(runner, 0)


async def _branched(steps: int) -> _Template:
    """Record a branch from the middle of a run. The steps that it shares with its parent are not recorded again."""
    graph = _ending("stopped", steps)
    async with Runner() as runner:
        await runner.start(graph, _Asked(), run_id=_PARENT, limits=Limits(visits=steps - 2)).result()
        limits = Limits(visits=steps - 3)
        await runner.branch(_PARENT, graph, steps // 2, run_id=_TEMPLATE, limits=limits).result()
        return await _template(runner, steps // 2)


async def _template(runner: Runner, shared: int) -> _Template:
    history = (await runner.history(_TEMPLATE))[shared:]
    info = await runner.store.info(_TEMPLATE)
    graph_spec = await runner.store.graph_spec(info.fingerprint) or {}
    return _Template(
        [writes.Row(each.seq, each.at, encode_step(each)) for each in history], info.status, info.due_at, graph_spec
    )


def _named(rows: Sequence[writes.Row], info: RunInfo) -> list[writes.Row]:
    """Return the copied rows with the id and the time of the new run, which the first row contains."""
    first = structs.replace(decode_step(rows[0].seq, rows[0].body), at=info.created_at)
    facts = first.data
    if isinstance(facts, Started):
        facts = structs.replace(facts, run_id=info.id, graph=info.graph, fingerprint=info.fingerprint)
    elif isinstance(facts, Branched) and info.parent is not None:
        facts = structs.replace(facts, run_id=info.id, parent=info.parent, fingerprint=info.fingerprint)
    body = encode_step(structs.replace(first, data=facts))
    return [structs.replace(rows[0], at=info.created_at, body=body), *rows[1:]]


def run_name(number: int) -> str:
    """Return the id of the run with this number."""
    return f"{number:011x}-{number * 2654435761 % 2**32:08x}"


def _add_run(connection: sqlite3.Connection, number: int, size: Size, templates: Mapping[str, _Template]) -> None:
    """Add the run with this number, with all its steps. The number determines its status, graph and tags."""
    is_old = number < size.pruned
    is_branch = number % 100 == 99 and not is_old  # noqa: PLR2004
    of = (number - is_branch) % _GRAPHS
    tags = tuple(tag for tag, every in ((_FREQUENT, 4), (_RARE, 5000)) if number % every == 1)
    parent, shared = (run_name(number - 1), size.steps // 2) if is_branch else (None, 0)
    created_at = _BEGAN + number
    info = RunInfo(
        run_name(number), _OLD if is_old else f"g{of}", f"f{of}", "running", shared, created_at, created_at,
        parent, shared, tags=tags,
    )  # fmt: skip
    template = templates["finished" if is_old else "branch" if is_branch else _kind(number)]
    created = writes.create(connection, info, _named(template.rows, info), template.graph_spec, None, _BUILDER)
    facts = info.id, created.key, created.fence, _BUILDER, (), template.status, template.due_at
    writes.append(connection, writes.Addition(*facts))


def _kind(number: int) -> str:
    """Return how the run with this number ends. Most runs are finished, and a few have each other status."""
    kinds = {10: "failed", 30: "stopped", 50: "due" if number % 7 else "waiting"}
    return kinds.get(number % 100, "finished")


# -- measuring


async def _pages(store: object, size: Size) -> dict[str, Figure]:
    """Measure pages of the list of runs with different filters, and the list of due runs."""
    assert isinstance(store, SQLiteStore)  # noqa: S101 - opened above
    middle = run_name(size.runs // 2)
    wanted: dict[str, dict[str, Any]] = {
        "all": {},
        "of a status": {"status": "finished"},
        "of a rare status": {"status": "failed"},
        "of a graph": {"graph": "g7"},
        "of a graph and a rare status": {"graph": "g10", "status": "failed"},
        "of a frequent tag": {"tag": _FREQUENT},
        "of a rare tag": {"tag": _RARE},
        "of a frequent tag and a rare status": {"tag": _FREQUENT, "status": "failed"},
    }
    found: dict[str, Figure] = {}
    for name, given in wanted.items():
        for where, before in (("first page", None), ("middle page", middle)):
            ask = partial(store.runs, limit=_PAGE, before=before, **given)  # values of each
            label = f"{where} of runs, {name}"
            found[f"page {label}"] = await _timed(label, size.rounds, ask)
    found["due"] = await _timed("what is due, 100 runs", size.rounds, lambda: store.due(time.time() + 7200))
    return found


async def _timed(label: str, rounds: int, ask: Callable[[], Awaitable[object]]) -> Figure:
    times: list[float] = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        await ask()
        times.append((time.perf_counter() - began) * MILLI)
    return Figure(label, "ms", tuple(times[1:]))


async def _loads(path: Path, size: Size) -> dict[str, Figure]:
    """Measure opening the database and loading a run, and the processes of commands that list and show runs."""
    chance = random.Random(1)  # noqa: S311 - selects the runs

    async def load() -> None:
        store = SQLiteStore(path, read_only=True)
        await store.open()
        await store.load(run_name(chance.randrange(size.pruned, size.runs)))
        await store.close()

    run_id, other = (run_name(size.pruned + _SHOWN + more) for more in (0, _GRAPHS))
    commands = {
        "runs": ["runs"],
        "runs of a misspelt tag": ["runs", "--tag", "nihgtly"],
        "show": ["show", run_id],
        "show by the beginning of an id": ["show", run_id[:-1]],
        "watch": ["watch", run_id],
        "render, a picture": ["render", run_id, "-o", str(path.with_name("run.svg"))],
        "diff": ["diff", run_id, other],
        "render, two runs": ["render", run_id, other, "-o", str(path.with_name("runs.svg"))],
        "export": ["export", run_id],
        "prune --dry-run": ["prune", "--keep-last", "100", "--dry-run"],
        "doctor": ["doctor"],
    }
    found = {"load": await _timed("open the database and load a run", size.rounds, load)}
    for name in _QUICK if size.rounds == 1 else commands:
        words = commands[name]
        costs = [cost_of(path, *words) for _ in range(min(size.rounds, 5 if name not in _WHOLE else 1))]
        found[name] = Figure(f"graphengine {name}, CPU time", "ms", tuple(each.cpu_ms for each in costs))
        if name in _WHOLE:
            peak = max(each.peak_mb for each in costs)
            found[f"memory of {name}"] = Figure(f"graphengine {name}, peak memory", "MB", (max(peak, 1.0),))
    return found


async def _steps(folder: Path, path: Path, size: Size) -> dict[str, Figure]:
    """Measure steps of a new run and of an old run in the database, and steps in an empty database."""
    visits = Visits()
    graph = counting_noted(NEVER, visits.note)
    count = 20 * size.rounds
    with tempfile.TemporaryDirectory(dir=folder) as name:
        async with _opened(path) as here, _opened(Path(name) / "empty.db") as there:
            taken = (await here.store.info(_FIRST)).seq

            async def begin(runner: Runner) -> float:
                await runner.start(graph, Counter(), limits=Limits(visits=count)).result()
                return visits.seconds_a_step() * MICRO

            async def resume() -> float:
                nonlocal taken
                taken += count
                await here.resume(_FIRST, graph, limits=Limits(visits=taken)).result()
                return visits.seconds_a_step() * MICRO

            visits.times.clear()
            sides = {"new": lambda: begin(here), "old": resume, "empty": lambda: begin(there)}
            found = await alternate(sides, "µs", size.rounds)
    labels = {"new": "a step in a new run", "old": "a step in an old run", "empty": "a step in an empty database"}
    return {name: Figure(labels[name], "µs", figure.rounds) for name, figure in found.items()}


async def _prune(path: Path) -> dict[str, Figure]:
    """Measure a prune of the oldest runs while another process writes."""
    pruned, seconds, waits = await _during_writes(path, lambda runner: runner.admin.prune(keep_last=0, graph=_OLD))
    took = Figure(f"prune of {len(pruned.runs):,} runs, a run", "ms", (seconds * MILLI / len(pruned.runs),))
    return {"prune": took, "prune waits": Figure("a step of another process meanwhile", "ms", waits)}


async def _halve(path: Path, size: Size) -> dict[str, Figure]:
    """Measure a prune of half of all runs, and a vacuum, while another process writes."""
    kept = size.runs // _GRAPHS // 2
    pruned, seconds, waits = await _during_writes(path, lambda runner: runner.admin.prune(keep_last=kept))
    found, vacuum_seconds, vacuum_waits = await _during_writes(path, lambda runner: runner.admin.vacuum())
    sizes = f"from {found.before_bytes / MEGA:,.0f} to {found.after_bytes / MEGA:,.0f} MB"
    return {
        "half": Figure(f"prune of {len(pruned.runs):,} runs with {pruned.steps:,} steps", "s", (seconds,)),
        "half waits": Figure("a step of another process meanwhile", "ms", waits),
        "vacuum": Figure(f"vacuum, {sizes}", "s", (vacuum_seconds,)),
        "vacuum waits": Figure("a step of another process meanwhile", "ms", vacuum_waits),
    }


async def _during_writes(path: Path, work: Callable[[Runner], Awaitable[T]]) -> tuple[T, float, tuple[float, ...]]:
    """Do some work while another process appends steps.

    Returns:
        The result of the work, its time in seconds, and the time of each appended step in milliseconds.
    """
    with Writer(path) as writer:
        async with _opened(path) as runner:
            await writer.settled()
            began = time.perf_counter()
            result = await work(runner)
            seconds = time.perf_counter() - began
        return result, seconds, tuple(writer.waits())


class Writer:
    """Another process that appends a step to its own run every few milliseconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        words = [sys.executable, "-m", "benchmarks.big", "--writer", str(self._path)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process is not None:
            process.kill()
            process.communicate()

    async def settled(self) -> None:
        """Wait until the process has begun to append steps."""
        assert self._process is not None  # noqa: S101 - entered
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        await asyncio.to_thread(self._process.stdout.readline)

    def waits(self) -> list[float]:
        """End the process, and return how many milliseconds each of its steps took."""
        assert self._process is not None  # noqa: S101 - entered
        output, _ = self._process.communicate("\n")
        return [float(word) for word in output.split()]


async def write(path: Path) -> None:
    """Append steps until a line arrives on stdin, then print how many milliseconds each step took.

    This function runs in the process of `Writer`.
    """
    store = SQLiteStore(path, busy_timeout_seconds=600)
    await store.open()
    fence = await new_run(store, f"writer-{time.time_ns()}", created_at=time.time())
    run_id = (await store.runs(limit=1))[0].id
    end = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    times: list[float] = []
    print("ready", flush=True)
    while not end.done():
        began = time.perf_counter()
        await append(store, Append(run_id, fence, [step(len(times) + 1)], "running"))
        times.append((time.perf_counter() - began) * MILLI)
        await asyncio.sleep(_SECONDS_BETWEEN_STEPS)
    await append(store, Append(run_id, fence, [], "stopped"))
    await store.close()
    print(" ".join(f"{each:.3f}" for each in times))


def main() -> None:
    """Build a large database and measure it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.big", description=main.__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=100, help="the steps of each run")
    parser.add_argument("--folder", type=Path, help="where to build it; a temporary folder by default")
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the page to this file too")
    parser.add_argument("--writer", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.writer is not None:
        asyncio.run(write(given.writer))
        return
    size = Size(given.runs, given.steps, min(1000, given.runs // 10), 15)
    with nullcontext(given.folder) if given.folder else tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        text = page(asyncio.run(measured(Path(folder), size)))
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    print(text)
    if given.write is not None:
        given.write.write_text(text, encoding="utf-8")


def page(outcome: Outcome) -> str:
    """Return the results as a Markdown page."""
    from benchmarks import report  # noqa: PLC0415 - it lists this program

    parts = [f"# {outcome.title}\n", report.machine(), "", report.method("big"), "", report.figures(outcome)]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
