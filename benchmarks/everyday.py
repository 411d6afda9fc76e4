"""The cost of everyday work at scale: a long run, many sleeping runs, many short runs, many runs over one source."""

from __future__ import annotations

import asyncio
import gc
import itertools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from pydantic import BaseModel

from benchmarks.commands import Cost, cost_of
from benchmarks.measure import KILO, MILLI, Figure, Outcome, Settings
from benchmarks.ours import NEVER, Asked, Counter, Numbers, asking, counting, sleeping
from graphengine import END, START, Context, Graph, Limits, Runner, value
from graphengine.databases.sqlite import SQLiteStore
from graphengine.engine.fold import evolve, fold
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.stored import encode_snapshot
from graphengine.history import load
from graphengine.runner import cached_snapshots
from graphengine.stores.base import Append

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphengine.engine.steps import Step

SHORT, LONG = "short", "long"
_AT_ONCE: Final = 500
_SLEEP_SECONDS: Final = 86_400.0
_ANSWER: Final = "runs that ask"
_DRAFTS: Final = 10
_DRAFT_BYTES: Final = 300_000
_SOURCE: Final = "lorem ipsum dolor sit amet, " * 37_500
_MEGA: Final = 1_000_000
_STATUS: Final = Path("/proc/self/status")


async def long_run(settings: Settings) -> Outcome:
    """Commands on a run of 100,000 steps are compared with the same commands on a run of 1,000 steps.

    `show` lists the last 200 steps, `watch` follows the run to its end, and a picture counts all visits. Each command
    is a process of its own, and the two runs take turns. The store's own `append` builds the database in batches, with
    as many snapshots as usual. The figures are the CPU time and the peak memory of the process.
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
        }
        slower = {
            "render text": ["render", "-o", str(Path(name) / "run.txt")],
            "timeline": ["render", "--timeline", "-o", str(Path(name) / "run.svg")],
            "export": ["export", "-o", str(Path(name) / "run.json")],
        }
        words |= {} if settings.quick else slower
        costs: dict[tuple[str, str], list[Cost]] = {}
        for _ in range(settings.count(3, 1)):
            for (command, given), run_id in itertools.product(words.items(), sizes):
                first, *rest = given
                costs.setdefault((command, run_id), []).append(cost_of(path, first, run_id, *rest))
    figures: dict[str, Figure] = {}
    for (command, run_id), found in costs.items():
        label = f"{command}, {sizes[run_id]:,} steps"
        figures[f"{command} {run_id}"] = Figure(label, "ms", tuple(each.cpu_ms for each in found))
        if command in ("render", "export"):
            peaks = tuple(max(each.peak_mb, 1) for each in found)
            figures[f"memory of {command} {run_id}"] = Figure(f"peak memory of {label}", "MB", peaks)
    ratios = {
        f"`{command}` on the long run, against the short one": _ratio(figures, command)
        for command in ("show", "show --step", "watch")
    }
    memory = _ratio(figures, "memory of render")
    ratios["memory of a picture of the long run, against the short one"] = memory
    more = figures[f"render {LONG}"].median - figures[f"render {SHORT}"].median
    a_step = max(more, 0.001) / (sizes[LONG] - sizes[SHORT]) * KILO
    figures["a step"] = Figure("what each step more adds to a picture", "µs", (a_step,))
    return Outcome("Commands on a long run", figures, ratios)


def _ratio(figures: dict[str, Figure], command: str) -> float:
    return figures[f"{command} {LONG}"].against(figures[f"{command} {SHORT}"])


async def _record(runner: Runner, run_id: str, count: int) -> None:
    """Record a run of the counting graph with `count` steps.

    The run is executed in memory. Its steps are then appended to the store in batches, which is faster and leaves the
    same records.
    """
    graph = counting(NEVER)
    async with Runner() as memory:
        await memory.start(graph, Counter(), run_id=run_id, limits=Limits(visits=count - 2)).result()
        steps = await memory.history(run_id)
        info = await memory.store.info(run_id)
        graph_spec = await memory.store.graph_spec(info.fingerprint)
    store = runner.store
    await runner.runs()  # opens the store
    fence = await store.create(info, [], graph_spec or {})
    snapshot = Snapshot()
    for first in range(0, len(steps), _AT_ONCE):
        batch = steps[first : first + _AT_ONCE]
        for step in batch:
            evolve(snapshot, step)
        status = "running" if first + _AT_ONCE < len(steps) else info.status
        written = store.append(Append(run_id, fence, batch, status, snapshot=lambda: encode_snapshot(snapshot)))
        if written is not None:
            await written


async def sleepers(settings: Settings) -> Outcome:
    """This program measures 10,000 runs that sleep in one process, and 10,000 that wait for an answer.

    The first rows of the table are about 1,000 sleeping runs. The same rows follow for 10,000 sleeping runs, and for
    10,000 runs that ask a question and wait for its answer. Three rows show the cost of one run: the time until all
    runs sleep, the memory of the process, and the time to close the Runner, each divided by the number of runs. Two
    rows are about all runs together: the share of one core that the process uses while the runs sleep, and the time to
    look for runs whose sleep is over.
    """
    few, many, seconds = settings.count(1000, 5), settings.count(10_000, 10), settings.count(5, 1)
    figures: dict[str, Figure] = {}
    for kind, count in (("runs", few), ("runs", many), (_ANSWER, many)):
        found = await _asleep(asking() if kind == _ANSWER else sleeping(_SLEEP_SECONDS), count, seconds)
        of = "" if kind == "runs" else f" {_ANSWER}"
        figures |= {f"{name} {count}{of}": Figure(f"{name}, {count:,} {kind}", *each) for name, each in found.items()}

    return Outcome(f"{many:,} sleeping and waiting runs", figures)


async def _asleep(graph: Graph[Asked], count: int, seconds: float) -> dict[str, tuple[str, tuple[float, ...]]]:
    """Measure `count` runs that sleep or wait at once. Return the figures by name, each with its unit."""
    graph.compile()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "runs.db"
        runner = Runner(SQLiteStore(path, synchronous="NORMAL"))
        async with runner:
            await runner.runs()
            gc.collect()
            empty, began = resident_bytes(), time.perf_counter()
            for first in range(0, count, _AT_ONCE):
                wanted = min(first + _AT_ONCE, count)
                for _ in range(first, wanted):
                    runner.start(graph, {"text": ""})
                await _all_wait(runner, wanted)
            started = time.perf_counter() - began
            await asyncio.sleep(min(3.0, seconds))  # until each has been looked at once
            gc.collect()
            held = resident_bytes() - empty
            busy, began = time.process_time(), time.perf_counter()
            await asyncio.sleep(seconds)
            busy, slept = time.process_time() - busy, time.perf_counter() - began
            began = time.perf_counter()
            await runner.store.due(time.time(), graphs=[graph.name])
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
    """Return as soon as `count` runs wait."""
    while True:
        await asyncio.sleep(0.02)
        if not await runner.store.runs(limit=1, status="running"):  # quick; the list is read once, at the end
            waiting = await runner.store.runs(limit=count, status="waiting")
            if len(waiting) == count:
                return


async def growth(settings: Settings) -> Outcome:
    """This program measures how much memory a process has gained after 20,000 more short runs in SQLite.

    Resident memory, as the system reports it, is measured after 2,000 runs and after 22,000, 50 of which run at a time,
    and after garbage collection.

    The program also measures the CPU time of an answer to one of many questions that a node asks in a row, in memory.
    After each answer the node runs again from its start, because a run that waits for a person keeps nothing in memory.
    The programs `children` and `chats` measure what grows with child runs and with turns.

    Two figures are counts, which other work on the machine does not change: how often a node begins that receives
    messages which are already there, and how many steps an answer to an item of a map folds while another item works.
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
    few, many = settings.count(10, 1), settings.count(100, 2)
    await _answered(1)  # what is loaded with the first
    times = {count: await _answered(count) * MILLI for count in (few, many)}
    figures |= {f"{count} asks": Figure(f"an answer of {count}", "ms", (took,)) for count, took in times.items()}
    ratios = {f"an answer of {many} against one of {few}": times[many] / times[few]}
    for count in (few, 4 * many):
        attempts, folded = await _attempts_of(count), await _folded_by_answer(count)
        figures[f"{count} messages"] = Figure(f"attempts of a node that receives {count} messages", "", (attempts,))
        figures[f"{count} items"] = Figure(f"steps folded by an answer to one of {count} items", "", (folded,))
    return Outcome("Memory of a process over many short runs", figures, ratios)


async def _attempts_of(count: int) -> int:
    """Return how often a node begins that receives `count` messages one after the other.

    All messages are there before the node reads the second one.
    """
    attempts = 0

    async def drain(ctx: Context, count: int) -> int:
        nonlocal attempts
        attempts += 1
        return sum([await ctx.receive("in", int) for _ in range(count)])

    graph = Graph("messages", Questions)
    graph.add_node("drain", drain, writes="total")
    graph.add_path(START, "drain", END)
    async with Runner() as runner:
        run = runner.start(graph, {"count": count}, run_id="messages")
        await run.result()
        for number in range(count):
            await run.send("in", number)
        await runner.resume("messages", graph).result()
    return attempts


async def _folded_by_answer(count: int) -> float:
    """Return how many steps the process folds for each answer to an item of a map, while another item works."""
    folded, working = 0, asyncio.Event()

    async def ask_one(ctx: Context, number: int) -> int:
        if number:
            return await ctx.ask(f"Number {number}?", int)
        await working.wait()
        return 0

    def counted(log: Sequence[Step], snapshot: Snapshot | None = None) -> Snapshot:
        nonlocal folded
        folded += len(log)
        return fold(log, snapshot)

    graph = Graph("items", Numbers)
    graph.add_node("ask", ask_one, each={"number": "numbers"}, concurrency=count + 1, writes="squares")
    graph.add_path(START, "ask", END)
    async with Runner() as runner:
        run = runner.start(graph, Numbers(numbers=list(range(count + 1))), run_id="items")
        while len(waits := await runner.waits("items")) < count:  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0.01)
        with patch.object(cached_snapshots, "fold", counted), patch.object(load, "fold", counted):
            for wait in waits:
                await runner.answer("items", 1, graph, wait=wait)
        working.set()
        await run.result()
    return folded / count


class Questions(BaseModel):
    """The number of questions to ask, and the sum of the answers."""

    count: int = 1
    total: int = 0


async def _ask_all(ctx: Context, count: int) -> int:
    """Ask `count` questions, one after the other, and return the sum of the answers."""
    return sum([await ctx.ask(f"Number {number}?", int) for number in range(count)])


async def _answered(count: int) -> float:
    """Return the CPU time in seconds of each answer to a node that asks `count` questions."""
    graph = Graph("questions", Questions)
    graph.add_node("ask", _ask_all, writes="total")
    graph.add_path(START, "ask", END)
    async with Runner() as runner:
        run = runner.start(graph, {"count": count}, run_id="questions")
        result = await run.result()
        began = time.process_time()
        while result.status == "waiting":
            run = await runner.answer("questions", 1, graph, wait=result.waits[0])
            result = await run.result()
        return (time.process_time() - began) / count


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes; 1 if the system does not report it."""
    lines = _STATUS.read_text(encoding="utf-8").splitlines() if _STATUS.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 1)


async def sources(settings: Settings) -> Outcome:
    """This program measures the size of the database for runs that record the same long text many times.

    The first workload is the target: 100 runs set their draft ten times to a source of 1 MB, so that eleven steps
    contain the source. The other workloads record long texts in other shapes:

    - A draft of 300 KB in 60 paragraphs is written ten times with one paragraph changed, once as a text and once as a
      list of paragraphs.
    - A document of 1 MB is given to each of 200 items of a map.
    - A list of 100 texts of 10 KB gets one text more in each of ten visits, which set the whole list.
    """
    runs, few = settings.count(100, 3), settings.count(10, 1)
    figures: dict[str, Figure] = {}
    shapes: dict[str, tuple[int, Graph[Any], dict[str, Any], float]] = {
        "sources": (runs, _drafts(), {"name": _SOURCE}, (_DRAFTS + 1) * len(_SOURCE)),
        "edited": (few, _edited(as_list=False), {}, _DRAFTS * _DRAFT_BYTES),
        "paragraphs": (few, _edited(as_list=True), {}, _DRAFTS * _DRAFT_BYTES),
        "items": (few, _mapped(), {"items": list(range(settings.count(200, 4))), "text": _SOURCE}, 200 * len(_SOURCE)),
        "texts": (few, _listed(), {}, sum(10_000 * (100 + more) for more in range(_DRAFTS))),
    }
    labels = {
        "sources": f"{runs} runs, the source in each draft",
        "edited": f"{few} runs, one paragraph of a text changed in each draft",
        "paragraphs": f"{few} runs, one of a list of paragraphs changed",
        "items": f"{few} runs, the source given to each item of a map",
        "texts": f"{few} runs, a list of texts that grows",
    }
    for name, (count, graph, given, recorded) in shapes.items():
        size, seconds = await _recorded(graph, given, count)
        figures[name] = Figure(f"the database, {labels[name]}", "MB", (size,))
        figures[f"{name}, recorded"] = Figure("what these runs recorded of texts", "MB", (count * recorded / _MEGA,))
        if name == "sources":
            figures["run"] = Figure("a run", "ms", (seconds / count * MILLI,))
    size = figures["sources"].median
    return Outcome("100 runs over one source of 1 MB", figures)


async def _recorded(graph: Graph[Any], given: dict[str, Any], count: int) -> tuple[float, float]:
    """Record `count` runs. Return the size of the database in megabytes, and the seconds that the runs took."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "runs.db"
        async with Runner(SQLiteStore(path, synchronous="NORMAL")) as runner:
            began = time.perf_counter()
            for _ in range(count):
                await runner.start(graph, given).result()
            seconds = time.perf_counter() - began
        return path.stat().st_size / _MEGA, seconds


class _Draft(BaseModel):
    """The state of the graphs that record long texts."""

    count: int = 0
    text: str = ""
    parts: list[str] = []
    items: list[int] = []
    lengths: list[int] = []


def _paragraphs(changed: int, bytes_each: int, count: int) -> list[str]:
    """Return different paragraphs, one of which contains the number of the visit that changed it."""
    words = [f"paragraph {number} of the draft " for number in range(count)]
    words[changed % count] += f"changed in visit {changed} "
    return [(each * (bytes_each // len(each) + 1))[:bytes_each] for each in words]


def _edited(*, as_list: bool) -> Graph[_Draft]:
    """Return a graph that writes its draft ten times, each time with another paragraph changed."""

    def draft(count: int) -> dict[str, object]:
        parts = _paragraphs(count, _DRAFT_BYTES // 60, 60)
        return {"count": count + 1, **({"parts": parts} if as_list else {"text": "\n".join(parts)})}

    return _looping(draft, "parts" if as_list else "text")


def _listed() -> Graph[_Draft]:
    """Return a graph that writes a list of texts in each visit. The list has one text more than in the visit before."""

    def collect(count: int) -> dict[str, object]:
        return {"count": count + 1, "parts": _paragraphs(0, 10_000, 100 + count)}

    return _looping(collect, "parts")


def _looping(node: Callable[..., dict[str, object]], field: str) -> Graph[_Draft]:
    graph = Graph("texts", _Draft)
    graph.add_node("draft", node, writes=(field, "count"), thread=False)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", END, when=value("count") >= _DRAFTS)
    graph.add_edge("draft", "draft")
    return graph


def _mapped() -> Graph[_Draft]:
    """Return a graph that gives the same long text to each item of a map."""
    graph = Graph("mapped", _Draft)
    graph.add_node(
        "measure", lambda item, text: len(text) + item, each={"item": "items"}, writes="lengths", thread=False
    )
    graph.add_path(START, "measure", END)
    return graph


def _drafts() -> Graph[Counter]:
    """Return a graph that writes the same text ten times."""

    def draft(name: str, count: int) -> dict[str, object]:
        return {"name": name, "count": count + 1}

    graph = Graph("drafts", Counter)
    graph.add_node("draft", draft, writes=("name", "count"), thread=False)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", END, when=value("count") >= _DRAFTS)
    graph.add_edge("draft", "draft")
    return graph
