"""The cost of everyday work at scale: a long run, many sleeping runs, many short runs, many runs over one source."""

from __future__ import annotations

import asyncio
import gc
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.measure import KILO, MILLI, Figure, Outcome, Settings, Target
from benchmarks.ours import NEVER, Counter, counting, sleeping
from graphengine import END, START, Graph, Limits, Runner, value
from graphengine.engine.fold import evolve
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.stored import encode_snapshot
from graphengine.stores.base import Append
from graphengine.stores.sqlite import SQLiteStore

SHORT, LONG = "short", "long"
_AT_ONCE: Final = 500
_SLEEP_SECONDS: Final = 86_400.0
_DRAFTS: Final = 10
_SOURCE: Final = "lorem ipsum dolor sit amet, " * 37_500
_MEGA: Final = 1_000_000
_STATUS: Final = Path("/proc/self/status")


async def long_run(settings: Settings) -> Outcome:
    """Commands on a run of 100,000 steps and on one of 1,000, each a process of its own, in turns.

    `show` lists the last 200 steps, `watch` follows the run to its end, and a picture counts all visits. The database
    is built by the store's own `append`, in batches, with the snapshots that its policy asks for.
    """
    sizes = {SHORT: settings.count(1000, 20), LONG: settings.count(100_000, 60)}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "runs.db"
        async with Runner(SQLiteStore(path, synchronous="NORMAL")) as runner:
            for run_id, steps in sizes.items():
                await _record(runner, run_id, steps)
        words = {
            "show": ["show"],
            "show --step": ["show", "--step", "10"],
            "watch": ["watch"],
            "render": ["render", "-o", str(Path(name) / "run.svg")],
            "render text": ["render", "-o", str(Path(name) / "run.txt")],
        }
        times: dict[tuple[str, str], list[float]] = {}
        for _ in range(settings.count(5, 1)):
            for (command, given), run_id in itertools.product(words.items(), sizes):
                first, *rest = given
                times.setdefault((command, run_id), []).append(command_seconds(path, first, run_id, *rest) * MILLI)
    figures = {
        f"{command} {run_id}": Figure(f"{command}, {sizes[run_id]:,} steps", "ms", tuple(found))
        for (command, run_id), found in times.items()
    }
    targets = [
        Target(f"`{command}` on the long run, against the short one", _ratio(figures, command), "≤", limit)
        for command, limit in (("show", 1.5), ("show --step", 1.5), ("watch", 1.5))
    ]
    more = figures[f"render {LONG}"].median - figures[f"render {SHORT}"].median
    a_step = max(more, 0.001) / (sizes[LONG] - sizes[SHORT]) * KILO
    figures["a step"] = Figure("what each step more adds to a picture", "µs", (a_step,))
    return Outcome("Commands on a long run", figures, targets)


def _ratio(figures: dict[str, Figure], command: str) -> float:
    return figures[f"{command} {LONG}"].against(figures[f"{command} {SHORT}"])


async def _record(runner: Runner, run_id: str, count: int) -> None:
    """Record a run of the counting graph with that many steps, as a Runner records it, and faster."""
    graph = counting(NEVER)
    async with Runner() as memory:
        await memory.start(graph, Counter(), run_id=run_id, limits=Limits(steps=count - 2)).result()
        steps = await memory.history(run_id)
        info = await memory.store.info(run_id)
        outline = await memory.store.outline(info.fingerprint)
    store = runner.store
    await runner.due()  # opens the store
    fence = await store.create(info, [], outline or {})
    snapshot = Snapshot()
    for first in range(0, len(steps), _AT_ONCE):
        batch = steps[first : first + _AT_ONCE]
        for step in batch:
            evolve(snapshot, step)
        status = "running" if first + _AT_ONCE < len(steps) else info.status
        written = store.append(Append(run_id, fence, batch, status, snapshot=lambda: encode_snapshot(snapshot)))
        if written is not None:
            await written


def command_seconds(path: Path, *words: str) -> float:
    """Return how long a command of `graphengine` takes on a database, as a process."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "graphengine", *words, "--db", str(path)]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - ours
    return time.perf_counter() - began


async def sleepers(settings: Settings) -> Outcome:
    """10,000 sleeping runs in one process, and 1,000 for comparison.

    Measured for each run: the time from the first start until all sleep, the memory of the process, and the time to
    close the Runner. And for all: the share of one core that the process takes while they sleep, and a look for due
    runs.
    """
    few, many = settings.count(1000, 5), settings.count(10_000, 10)
    small, large = await _asleep(few, settings.count(5, 1)), await _asleep(many, settings.count(5, 1))
    figures: dict[str, Figure] = {}
    for count, found in ((few, small), (many, large)):
        figures |= {f"{name} {count}": Figure(f"{name}, {count:,} runs", *each) for name, each in found.items()}
    targets = [
        Target("memory of a sleeping run", figures[f"memory of a run {many}"].median, "≤", 16.0, "KB"),
        Target("a core while all sleep", figures[f"a core while all sleep {many}"].median, "≤", 5.0, "%"),
        Target("what is due", figures[f"what is due {many}"].median, "≤", 20.0, "ms"),
        Target("to close", figures[f"to close, a run {many}"].median * many / MILLI, "≤", 1.0, "s"),
    ]
    return Outcome(f"{many:,} sleeping runs", figures, targets)


async def _asleep(count: int, seconds: float) -> dict[str, tuple[str, tuple[float, ...]]]:
    """Return the figures of so many sleeping runs, each with its unit."""
    graph = sleeping(_SLEEP_SECONDS)
    graph.compile()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "runs.db"
        runner = Runner(SQLiteStore(path, synchronous="NORMAL"))
        async with runner:
            await runner.due()
            gc.collect()
            empty, began = resident_bytes(), time.perf_counter()
            for first in range(0, count, _AT_ONCE):
                wanted = min(first + _AT_ONCE, count)
                for _ in range(first, wanted):
                    runner.start(graph, {"text": ""})
                await _all_wait(runner, wanted)
            started = time.perf_counter() - began
            await asyncio.sleep(0.1)
            gc.collect()
            held = resident_bytes() - empty
            busy, began = time.process_time(), time.perf_counter()
            await asyncio.sleep(seconds)
            busy, slept = time.process_time() - busy, time.perf_counter() - began
            began = time.perf_counter()
            await runner.due([graph.name])
            due = time.perf_counter() - began
            began = time.perf_counter()
        closed = time.perf_counter() - began
    return {
        "from start to sleep, a run": ("ms", (started / count * MILLI,)),
        "memory of a run": ("KB", (max(held, 1) / count / KILO,)),
        "a core while all sleep": ("%", (100 * busy / slept,)),
        "what is due": ("ms", (due * MILLI,)),
        "to close, a run": ("ms", (closed / count * MILLI,)),
    }


async def _all_wait(runner: Runner, count: int) -> None:
    """Return when so many runs wait."""
    while True:
        await asyncio.sleep(0.02)
        if not await runner.store.runs(limit=1, status="running"):  # quick; the list is read once, at the end
            waiting = await runner.store.runs(limit=count, status="waiting")
            if len(waiting) == count:
                return


async def growth(settings: Settings) -> Outcome:
    """The memory of a process after 20,000 more short runs in SQLite, 50 at a time, with all garbage collected.

    Resident memory, as the system reports it, after 2,000 runs and after 22,000.
    """
    before, more = settings.count(2000, 50), settings.count(20_000, 50)
    graph = counting(3)
    graph.compile()
    with tempfile.TemporaryDirectory() as name:
        async with Runner(SQLiteStore(Path(name) / "runs.db", synchronous="NORMAL")) as runner:

            async def run(count: int) -> int:
                for _ in range(count // 50):
                    await asyncio.gather(*(runner.start(graph, Counter()).result() for _ in range(50)))
                gc.collect()
                return resident_bytes()

            first = await run(before)
            grown = max(await run(more) - first, 1) / _MEGA
    figures = {"grown": Figure(f"grown by, over {more:,} runs", "MB", (grown,))}
    targets = [Target("resident memory over 20,000 short runs", grown, "≤", 5.0, "MB")]
    return Outcome("Memory of a process over many short runs", figures, targets)


def resident_bytes() -> int:
    """Return the resident memory of this process; 1 where the system does not report it."""
    lines = _STATUS.read_text(encoding="utf-8").splitlines() if _STATUS.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 1)


async def sources(settings: Settings) -> Outcome:
    """The database of 100 runs over one source of 1 MB, each of which sets its draft ten times to that text.

    Every run records the source in its first step and in ten drafts; the database holds the text once.
    """
    runs = settings.count(100, 3)
    graph = _drafts()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "runs.db"
        async with Runner(SQLiteStore(path, synchronous="NORMAL")) as runner:
            began = time.perf_counter()
            for _ in range(runs):
                await runner.start(graph, Counter(name=_SOURCE)).result()
            seconds = time.perf_counter() - began
        size = path.stat().st_size / _MEGA
    figures = {
        "size": Figure(f"the database, {runs} runs", "MB", (size,)),
        "run": Figure("a run", "ms", (seconds / runs * MILLI,)),
        "text": Figure("what the runs recorded of that text", "MB", (runs * (_DRAFTS + 1) * len(_SOURCE) / _MEGA,)),
    }
    return Outcome("100 runs over one source of 1 MB", figures, [Target("the database", size, "≤", 5.0, "MB")])


def _drafts() -> Graph[Counter]:
    """Return a graph that sets its text ten times."""

    def draft(name: str, count: int) -> dict[str, object]:
        return {"name": name, "count": count + 1}

    graph = Graph("drafts", Counter)
    graph.add_node("draft", draft, writes=("name", "count"), thread=False)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", END, when=value("count") >= _DRAFTS)
    graph.add_edge("draft", "draft")
    return graph
