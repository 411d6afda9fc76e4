"""The memory of runs: a map while it works, and runs that wait. Traced by `tracemalloc`, never timed."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import KILO, Figure, Outcome, Settings
from benchmarks.ours import Asked, Numbers, asking, mapping, sleeping
from graphengine import Runner
from graphengine.runner.run_events import StepRecorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine import Graph
    from graphengine.runner.run import Run

CONCURRENCY, WIDE = 16, 1600
TEXT = 100 * KILO
LONG_SECONDS = 86_400.0


async def working(settings: Settings) -> Outcome:
    """This program measures the memory that the engine needs while a map works.

    The figure is the peak memory minus the memory that is left after the end of the map and after garbage collection.
    The results are left: the final state, and the run's log, which the store keeps in memory. The map squares numbers.
    Each node yields to the event loop once, so that as many items as allowed are in flight.

    The target is what each of 9,000 more items adds at the same concurrency. This should be no more than a list of the
    results and its copy, because nothing is kept for a finished item. What each of 1,584 more items at a time adds is
    shown for comparison.
    """
    few, many = settings.count(1000, 20), settings.count(10_000, 60)
    wide = settings.count(WIDE, 40)
    await _working_bytes(few, CONCURRENCY)  # objects that are created once do not count
    small, large, widest = [], [], []
    for _ in range(settings.count(3, 1)):
        small.append(await _working_bytes(few, CONCURRENCY))
        large.append(await _working_bytes(many, CONCURRENCY))
        widest.append(await _working_bytes(many, wide))
    figures = {
        "few": Figure(f"{few:,} items, {CONCURRENCY} at a time", "KB", tuple(each / KILO for each in small)),
        "many": Figure(f"{many:,} items, {CONCURRENCY} at a time", "KB", tuple(each / KILO for each in large)),
        "wide": Figure(f"{many:,} items, {wide:,} at a time", "KB", tuple(each / KILO for each in widest)),
    }
    more = (figures["many"].median - figures["few"].median) * KILO / (many - few)
    at_a_time = (figures["wide"].median - figures["many"].median) * KILO / (wide - CONCURRENCY)
    figures["each"] = Figure("each item more, beyond its result", "bytes", (max(more, 1.0),))
    figures["at a time"] = Figure("each item more at a time", "bytes", (max(at_a_time, 1.0),))
    return Outcome("Working memory of a map", figures)


async def _working_bytes(count: int, concurrency: int) -> float:
    """Return the memory that a map of `count` items needs while it works, in bytes."""
    graph = mapping(concurrency, yields=True)
    graph.compile()
    with _traced():
        async with Runner() as runner:
            result = await runner.start(graph, Numbers(numbers=list(range(count)))).result()
            _, most = tracemalloc.get_traced_memory()
            gc.collect()
            left, _ = tracemalloc.get_traced_memory()
            del result
    return float(most - left)


async def waiting(settings: Settings) -> Outcome:
    """This program measures how much memory a process keeps for each of 200 runs that wait, stored in SQLite.

    Each run has a state of 100 KB. The figure is the memory when all runs wait and garbage is collected, minus the
    memory before the first run, divided by the number of runs. A run that asks a question is finished for the process:
    only its result remains, if it is referenced. The Runner wakes a run that sleeps. It therefore keeps an asyncio task
    and a timer for this run, but neither its state nor its log.
    """
    runs, beforehand = settings.count(200, 3), settings.count(5, 1)
    await _held_bytes(asking(), beforehand)
    await _held_bytes(sleeping(LONG_SECONDS), beforehand)
    rounds = settings.count(3, 1)
    asks = [max(await _held_bytes(asking(), runs) / KILO, 0.001) for _ in range(rounds)]
    sleeps = [max(await _held_bytes(sleeping(LONG_SECONDS), runs) / KILO, 0.001) for _ in range(rounds)]
    figures = {
        "ask": Figure("a run that waits for an answer", "KB", tuple(asks)),
        "sleep": Figure("a run that sleeps", "KB", tuple(sleeps)),
    }
    return Outcome("Memory for a run that waits, with a state of 100 KB", figures)


async def _held_bytes(graph: Graph[Asked], runs: int) -> float:
    """Return the memory that the process keeps for each of `runs` waiting runs, in bytes."""
    graph.compile()
    with tempfile.TemporaryDirectory() as folder:
        async with Runner(Path(folder) / "runs.db") as runner:
            await runner.runs()  # opens the store
            with _traced():
                before, _ = tracemalloc.get_traced_memory()
                for number in range(runs):
                    await _waits(runner.start(graph, {"text": f"{number:05}" * (TEXT // 5)}))
                await asyncio.sleep(0.01)  # the last run releases its objects
                gc.collect()
                after, _ = tracemalloc.get_traced_memory()
    return (after - before) / runs


async def _waits(run: Run[Asked]) -> None:
    """Wait until a run waits."""
    async for event in run.events():
        if isinstance(event, StepRecorded) and event.step.kind == "waiting":
            return


@contextmanager
def _traced() -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
