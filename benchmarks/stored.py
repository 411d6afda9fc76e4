"""The size of a run on disk, and the cost of resuming and branching it."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import MILLI, Figure, Outcome, Settings, alternate
from benchmarks.ours import NEVER, Visits, counting_noted, writing
from graphengine import Limits, Runner
from graphengine.databases.sqlite import SQLiteStore

MEGA = 1_000_000
MESSAGE = "m" * 1_000
_WAL_HEADER_BYTES, _WAL_FRAME_BYTES = 32, 24


async def size(settings: Settings) -> Outcome:
    """This program measures the bytes of the closed database, with all files that SQLite leaves next to it.

    In this benchmark, each of 1,000 steps appends a message of 1 KB to a list. For comparison, LangGraph's saver stores
    the same steps with its default, `durability="async"`. With `durability="sync"`, the saver stores the same number of
    bytes.
    """
    steps = settings.count(1000, 20)
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Runner(SQLiteStore(folder / "ours.db", synchronous="NORMAL")) as runner:
            await runner.start(writing(steps, MESSAGE, _nothing)).result()
        figures["graphengine"] = Figure("graphengine", "MB", (_megabytes(folder, "ours.db"),))
        if settings.has("langgraph"):
            from benchmarks import langgraph_side as peer  # noqa: PLC0415 - installed for the benchmarks only

            async with peer.saving(folder / "peer.db") as saver:
                await peer.run(peer.writing(steps, MESSAGE, _nothing, saver), {"entries": []}, steps)
            figures["LangGraph"] = Figure("LangGraph", "MB", (_megabytes(folder, "peer.db"),))
    ours = figures["graphengine"].median
    ratios: dict[str, float] = {}
    if "LangGraph" in figures:
        ratios["LangGraph's database against ours"] = figures["LangGraph"].median / ours
    return Outcome("Database, closed, after 1,000 steps that each append a 1 KB message", figures, ratios)


def _nothing() -> None:
    """Do nothing at the start of a visit."""


def _megabytes(folder: Path, name: str) -> float:
    return sum(path.stat().st_size for path in folder.glob(f"{name}*")) / MEGA


async def resume(settings: Settings) -> Outcome:
    """This program measures the time from `Runner(path)` until the next node starts, in a process that has run others.

    In this benchmark, the run had stopped at its limit of 10,000 steps, and is resumed with a limit that is higher by
    one. The figure is the time of the whole resume: the Runner opens the database, takes the lease, loads the run,
    folds its steps into a state, records that the run was resumed (one commit at FULL), and starts the node. Each round
    uses a fresh copy of the closed database file, which is still in the memory of the operating system.
    """
    steps = settings.count(10_000, 300)
    visits = Visits()
    graph = counting_noted(NEVER, visits.note)
    with tempfile.TemporaryDirectory() as name:
        original, copied = Path(name) / "original.db", Path(name) / "copied.db"
        async with Runner(SQLiteStore(original, synchronous="NORMAL")) as runner:
            await runner.start(graph, run_id="long", limits=Limits(visits=steps)).result()

        async def side() -> float:
            shutil.copyfile(original, copied)
            visits.times.clear()
            began = time.perf_counter()
            async with Runner(copied) as runner:
                await runner.resume("long", graph, limits=Limits(visits=steps + 1)).result()
            return (visits.times[0] - began) * MILLI

        found = await alternate({"graphengine": side}, "ms", settings.count(15, 2))
    return Outcome("Load and resume of a run of 10,000 small steps", found)


async def branch(settings: Settings) -> Outcome:
    """This program measures what SQLite writes between the call of `branch` and the start of the branch's first node.

    The figures are commits and pages in the write-ahead log. Each step of the parent run appends 1 KB, and the branch
    begins in its middle. One parent has 100 steps, the other has 1,000 steps and a state of 1 MB. A commit is a frame
    of the log that contains the size of the database. A branch writes the run's row, its first step and their index
    entries, but neither the state nor the history.
    """
    short = await _branched(settings.count(100, 10))
    long = await _branched(settings.count(1000, 40))
    figures = {
        "commits": Figure("commits", "", (long.commits,)),
        "long": Figure("pages written, parent of 1,000 steps", "of 8 KiB", (long.pages,)),
        "short": Figure("pages written, parent of 100 steps", "of 8 KiB", (short.pages,)),
        "time": Figure("time until the first node starts, parent of 1,000 steps", "ms", (long.milliseconds,)),
    }
    return Outcome("Branch of a run at a step in its middle", figures)


class _Branched(NamedTuple):
    """What a branch wrote, and how long it took to begin."""

    commits: int
    pages: int
    milliseconds: float


async def _branched(steps: int) -> _Branched:
    """Record a run with this many steps, and measure a branch from its middle."""
    seen: list[tuple[int, int]] = []
    times: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "runs.db"
        log = path.with_name("runs.db-wal")

        def visited() -> None:
            if times:
                times.append(time.perf_counter())
                seen.append(log_frames(log))

        graph = writing(NEVER, MESSAGE, visited)
        async with Runner(SQLiteStore(path, synchronous="NORMAL")) as runner:
            parent = await runner.start(graph, limits=Limits(visits=steps)).result()
        async with Runner(SQLiteStore(path)) as runner:
            await runner.history(parent.run_id)
            before = log_frames(log)
            times.append(time.perf_counter())
            middle = steps // 2
            await runner.branch(parent.run_id, graph, middle, limits=Limits(visits=middle + 1)).result()
    pages, commits = (after - earlier for after, earlier in zip(seen[0], before, strict=True))
    return _Branched(commits, pages, (times[1] - times[0]) * MILLI)


def log_frames(log: Path) -> tuple[int, int]:
    """Return the number of frames in a write-ahead log, and how many of them end a commit.

    Source: "WAL-Frame Header Format", https://sqlite.org/fileformat2.html#walformat.
    """
    body = log.read_bytes()
    page_bytes = int.from_bytes(body[8:12])
    starts = range(_WAL_HEADER_BYTES, len(body), _WAL_FRAME_BYTES + page_bytes)
    salt = body[16:24]
    live = [at for at in starts if body[at + 8 : at + 16] == salt]
    return len(live), sum(1 for at in live if any(body[at + 4 : at + 8]))
