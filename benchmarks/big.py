"""What a large database costs: 100,000 runs and 10 million steps, unless told otherwise.

`python -m benchmarks.big [--runs N] [--steps N] [--folder PATH] [--write PATH]` builds the database with the store's
own writing functions, in a temporary folder unless one is named, measures, and prints what it found. The list of all
programs has a small version of it, `big`.

Every run has the recorded steps of one real run of a small graph; one in a hundred of them is a branch of the run
before it. They have twenty graphs, all statuses, and tags of which one is frequent and one rare. `writer` is a second
process that appends a step every few milliseconds and tells how long it had to wait.
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
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from msgspec import structs

from benchmarks.measure import MICRO, MILLI, Figure, Outcome, Settings, Target, alternate
from benchmarks.ours import NEVER, Counter, Visits, counting, counting_noted
from graphengine import Limits, Runner
from graphengine.engine.steps import Branched, Started, decode_step, encode_step
from graphengine.stores.base import Append, RunInfo
from graphengine.stores.sqlite import SQLiteStore, writes
from graphengine.testing.store_kit import append, new_run, step

if TYPE_CHECKING:
    from graphengine.engine.steps import Step
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
_STOPPED: Final = 30  # the number of a run that is as its steps have it
_BEGAN: Final = 1_700_000_000.0
_OUTLINE: Final = '{"nodes":[]}'
_SECONDS_BETWEEN_STEPS: Final = 0.002


@dataclass(frozen=True, slots=True)
class Size:
    """How large.

    Attributes:
        runs: Runs.
        steps: Steps of each.
        pruned: How many runs the prune takes; these are of a graph of their own.
        rounds: How often each thing is measured.
    """

    runs: int
    steps: int
    pruned: int
    rounds: int


async def big(settings: Settings) -> Outcome:
    """A database of many runs: lists, loads, steps and a prune in it; `python -m benchmarks.big` has the large one.

    Pages are of 20 runs, the middle one behind half of all runs, and each is asked for with other values. A load opens
    the database to read, loads a run picked at random and closes it. A step is one of the counting graph, committed at
    FULL: in a new run here, in the first one that was recorded, and in a database that holds nothing else. `show` is a
    whole process. While runs are pruned and room is given back, another process appends a step every 2 ms.
    """
    size = Size(2000, 50, 200, 15) if not settings.quick else Size(60, 5, 10, 1)
    with tempfile.TemporaryDirectory() as name:
        return await measured(Path(name), size)


async def measured(folder: Path, size: Size) -> Outcome:
    """Build the database in this folder, and measure."""
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
    pages = max(figure.median for name, figure in figures.items() if name.startswith("page"))
    targets = [
        Target("the slowest page of runs", pages, "≤", 50.0, "ms"),
        Target("open and load a run", figures["load"].median, "≤", 20.0, "ms"),
        Target("a step in a new run, against an empty database", figures["new"].against(figures["empty"]), "≤", 1.2),
        Target("a step in an old run, against an empty database", figures["old"].against(figures["empty"]), "≤", 1.2),
    ]
    return Outcome(f"A database of {size.runs:,} runs and {size.runs * size.steps:,} steps", figures, targets)


def _opened(path: Path) -> Runner:
    return Runner(SQLiteStore(path))


# -- building


async def build(path: Path, size: Size) -> None:
    """Make the database."""
    rows = await _recorded_rows(size.steps)
    branched = await _branched_rows(size.steps)
    async with Runner(SQLiteStore(path, synchronous="NORMAL")) as runner:
        await runner.start(counting(NEVER), Counter(), run_id=_FIRST, limits=Limits(steps=size.steps)).result()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for first in range(0, size.runs, 200):
            connection.execute("BEGIN IMMEDIATE")
            for number in range(first, min(first + 200, size.runs)):
                _add_run(connection, number, size, (rows, branched))
            connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


async def _recorded_rows(count: int) -> list[writes.Row]:
    """So many rows of a run of the counting graph that was stopped by its limit."""
    async with Runner() as runner:
        await runner.start(counting(NEVER), Counter(), run_id=_TEMPLATE, limits=Limits(steps=count - 2)).result()
        return _rows(await runner.history(_TEMPLATE))


async def _branched_rows(count: int) -> list[writes.Row]:
    """The own rows of a branch that leaves such a run in its middle."""
    graph = counting(NEVER)
    async with Runner() as runner:
        await runner.start(graph, Counter(), run_id=_PARENT, limits=Limits(steps=count - 2)).result()
        limits = Limits(steps=count - 3)
        await runner.branch(graph, _PARENT, count // 2, branch_id=_TEMPLATE, limits=limits).result()
        return _rows(await runner.history(_TEMPLATE))[count // 2 :]


def _rows(history: Sequence[Step]) -> list[writes.Row]:
    return [writes.Row(each.seq, each.at, encode_step(each).decode()) for each in history]


def _named(rows: Sequence[writes.Row], info: RunInfo) -> list[writes.Row]:
    """The rows as those of this run: the first one says whose they are."""
    first = decode_step(rows[0].seq, rows[0].body)
    facts = first.data
    if isinstance(facts, Started):
        facts = structs.replace(facts, run_id=info.id, graph=info.graph, fingerprint=info.fingerprint)
    elif isinstance(facts, Branched) and info.parent is not None:
        facts = structs.replace(facts, run_id=info.id, parent=info.parent, fingerprint=info.fingerprint)
    return [rows[0]._replace(body=encode_step(structs.replace(first, data=facts)).decode()), *rows[1:]]


def run_name(number: int) -> str:
    """The id of a run."""
    return f"{number:011x}-{number * 2654435761 % 2**32:08x}"


def _add_run(
    connection: sqlite3.Connection,
    number: int,
    size: Size,
    templates: tuple[Sequence[writes.Row], Sequence[writes.Row]],
) -> None:
    """One run with all its steps, in one state or another."""
    is_old = number < size.pruned
    graph = _OLD if is_old else f"g{number % _GRAPHS}"
    status = _status(number) if not is_old else "finished"
    tags = tuple(tag for tag, every in ((_FREQUENT, 4), (_RARE, 5000)) if number % every == 1)
    parent, shared = (run_name(number - 1), size.steps // 2) if number % 100 == 99 and not is_old else (None, 0)  # noqa: PLR2004
    created_at = _BEGAN + number
    info = RunInfo(
        run_name(number), graph, f"f{number % _GRAPHS}", "running", shared, created_at, created_at, parent, shared,
        tags=tags,
    )  # fmt: skip
    rows = _named(templates[0 if parent is None else 1], info)
    made = writes.create(connection, info, rows, _OUTLINE, _BUILDER)
    due_at = created_at + (0 if number % 7 else 1e9)
    ended = writes.Addition(info.id, made.key, made.fence, _BUILDER, (), status, (), None, None, None, due_at)
    writes.append(connection, ended)


def _status(number: int) -> Status:
    """Most are finished; a few of each kind are not."""
    kinds: dict[int, Status] = {10: "failed", 30: "stopped", 50: "waiting"}
    return kinds.get(number % 100, "finished")


# -- measuring


async def _pages(store: object, size: Size) -> dict[str, Figure]:
    """Pages of the list of runs, and what is due."""
    assert isinstance(store, SQLiteStore)  # noqa: S101 - opened above
    middle = run_name(size.runs // 2)
    wanted: dict[str, dict[str, str]] = {
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
            ask = partial(store.runs, limit=_PAGE, before=before, **given)  # type: ignore[arg-type]  # values of each
            label = f"{where} of runs, {name}"
            found[f"page {label}"] = await _timed(label, size.rounds, ask)
    found["due"] = await _timed("what is due, 100 runs", size.rounds, lambda: store.due(time.time()))
    return found


async def _timed(label: str, rounds: int, ask: Callable[[], Awaitable[object]]) -> Figure:
    times: list[float] = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        await ask()
        times.append((time.perf_counter() - began) * MILLI)
    return Figure(label, "ms", tuple(times[1:]))


async def _loads(path: Path, size: Size) -> dict[str, Figure]:
    """Opening the database and loading a run; the command that shows one."""
    chance = random.Random(1)  # noqa: S311 - which runs are looked at

    async def load() -> None:
        store = SQLiteStore(path, read_only=True)
        await store.open()
        await store.load(run_name(chance.randrange(size.pruned, size.runs)))
        await store.close()

    def shown() -> float:
        words = [sys.executable, "-m", "graphengine", "show", run_name(_STOPPED), "--db", str(path)]
        began = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program
        return (time.perf_counter() - began) * MILLI

    shows = tuple([shown() for _ in range(min(size.rounds, 5))])
    return {
        "load": await _timed("open the database and load a run", size.rounds, load),
        "show": Figure("graphengine show, a process", "ms", shows),
    }


async def _steps(folder: Path, path: Path, size: Size) -> dict[str, Figure]:
    """Steps of a new run and of an old one here, and in an empty database."""
    visits = Visits()
    graph = counting_noted(NEVER, visits.note)
    count = 20 * size.rounds
    with tempfile.TemporaryDirectory(dir=folder) as name:
        async with _opened(path) as here, _opened(Path(name) / "empty.db") as there:
            taken = (await here.store.info(_FIRST)).seq

            async def begin(runner: Runner) -> float:
                await runner.start(graph, Counter(), limits=Limits(steps=count)).result()
                return visits.seconds_a_step() * MICRO

            async def go_on() -> float:
                nonlocal taken
                taken += count
                await here.resume(graph, _FIRST, limits=Limits(steps=taken)).result()
                return visits.seconds_a_step() * MICRO

            visits.times.clear()
            sides = {"new": lambda: begin(here), "old": go_on, "empty": lambda: begin(there)}
            found = await alternate(sides, "µs", size.rounds)
    labels = {"new": "a step in a new run", "old": "a step in an old run", "empty": "a step in an empty database"}
    return {name: Figure(labels[name], "µs", figure.rounds) for name, figure in found.items()}


async def _prune(path: Path) -> dict[str, Figure]:
    """A prune of the oldest runs, while another process writes."""
    pruned, seconds, waits = await _beside_a_writer(path, lambda runner: runner.prune(keep_last=0, graph=_OLD))
    took = Figure(f"prune of {len(pruned.runs):,} runs, a run", "ms", (seconds * MILLI / len(pruned.runs),))
    return {"prune": took, "prune waits": Figure("a step of another process meanwhile", "ms", waits)}


async def _halve(path: Path, size: Size) -> dict[str, Figure]:
    """A prune of half of all runs and a vacuum, while another process writes."""
    kept = size.runs // _GRAPHS // 2
    pruned, seconds, waits = await _beside_a_writer(path, lambda runner: runner.prune(keep_last=kept))
    found, vacuum_seconds, vacuum_waits = await _beside_a_writer(path, lambda runner: runner.vacuum())
    sizes = f"from {found.before_bytes / MEGA:,.0f} to {found.after_bytes / MEGA:,.0f} MB"
    return {
        "half": Figure(f"prune of {len(pruned.runs):,} runs with {pruned.steps:,} steps", "s", (seconds,)),
        "half waits": Figure("a step of another process meanwhile", "ms", waits),
        "vacuum": Figure(f"vacuum, {sizes}", "s", (vacuum_seconds,)),
        "vacuum waits": Figure("a step of another process meanwhile", "ms", vacuum_waits),
    }


async def _beside_a_writer(path: Path, work: Callable[[Runner], Awaitable[T]]) -> tuple[T, float, tuple[float, ...]]:
    """What the work gives, the seconds it took, and the milliseconds of each step that another process took."""
    with Writer(path) as writer:
        async with _opened(path) as runner:
            await writer.settled()
            began = time.perf_counter()
            result = await work(runner)
            seconds = time.perf_counter() - began
        return result, seconds, tuple(writer.waits())


class Writer:
    """Another process that appends steps to a run of its own, one every few milliseconds."""

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
        """Return once it writes."""
        assert self._process is not None  # noqa: S101 - entered
        assert self._process.stdout is not None  # noqa: S101 - asked for
        await asyncio.to_thread(self._process.stdout.readline)

    def waits(self) -> list[float]:
        """End it; the milliseconds of each of its steps."""
        assert self._process is not None  # noqa: S101 - entered
        told, _ = self._process.communicate("\n")
        return [float(word) for word in told.split()]


async def write(path: Path) -> None:
    """Be that process, until a line comes in; then print what each step took, in milliseconds."""
    store = SQLiteStore(path, busy_timeout_seconds=600)
    await store.open()
    fence = await new_run(store, f"writer-{time.time_ns()}", created_at=time.time())
    run_id = (await store.runs(limit=1))[0].id
    asked = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    times: list[float] = []
    print("ready", flush=True)
    while not asked.done():
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
    parser.add_argument("--steps", type=int, default=100, help="of each run")
    parser.add_argument("--folder", type=Path, help="where it is made; a temporary folder if not given")
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the page to this file as well")
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
    """What was found, as a page."""
    from benchmarks import report  # noqa: PLC0415 - it lists this program

    parts = [f"# {outcome.title}\n", report.machine(), "\n## Targets\n", report.targets({"big": outcome})]
    return "\n".join([*parts, "\n## Figures\n", report.method("big"), "", report.figures(outcome)]) + "\n"


if __name__ == "__main__":
    main()
