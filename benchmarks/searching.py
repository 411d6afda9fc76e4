"""Search and trends over 100,000 runs, and what the index of words costs a run."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from benchmarks.measure import MICRO, MILLI, Figure, Outcome, Settings, alternate
from benchmarks.ours import Counter, chain
from graphengine import Runner
from graphengine.databases.sqlite import SQLiteStore, words
from graphengine.kernel.testing.kit import append, step
from graphengine.records.search import wanted_of
from graphengine.records.selection import Wanted, newest
from graphengine.records.trends import trends
from graphengine.stores.base import Append, RunInfo, Summary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.measure import Side
    from graphengine.stores.base import Store

SEARCHES: Final = {
    "a word that every run has": "tides",
    "a word that one run in nine has": "harbour",
    "three words": "harbour timeout g1",
    "words and filters": "timeout status:failed graph:g1 since:3650d",
    "the beginning of an id": "run-4711",
    "a letter": "h",
    "no run has it": "unheard",
}
GRAPH: Final = chain(1)
_TOPICS: Final = ["harbour", "bridge", "lantern", "orchard", "meadow", "granite", "willow", "copper", "saffron"]
"""The runs have 20 graphs, and one in seven fails."""
_BEGAN: Final = 1_700_000_000.0


async def fill(store: Store, runs: int) -> None:
    """Add runs that began 20 s apart. Each has an input of a few words, and a summary."""
    for first in range(0, runs, 500):
        await asyncio.gather(*(_add(store, number) for number in range(first, min(first + 500, runs))))


async def _add(store: Store, number: int) -> None:
    at = _BEGAN + 20 * number
    tags = ("nightly",) if number % 10 == 0 else ()
    info = RunInfo(f"run-{number:06}", f"g{number % 20}", "f1", "running", 0, at, at, tags=tags)
    text = f"Write about the tides and the {_TOPICS[number % len(_TOPICS)]} of town {number}, in 300 words"
    fence = await store.create(info, [step(1, at=at, field="topic", value=text)], {"nodes": []})
    ended = "finished", Summary("approved", "end", 0, 0.01, 1200, 3, 2.5)
    if number % 7 == 0:
        ended = "failed", Summary("write: TimeoutError: no answer", "failed", 0, 0.02, 900, 2, 4.0, {"retries": 2})
    await append(store, Append(info.id, fence, [step(2, at=at + 5)], ended[0], summary=ended[1]))  # type: ignore[arg-type]  # a status


async def searching(settings: Settings) -> Outcome:
    """This program measures searches and trends over 100,000 runs, and what the index of words costs a run.

    A search returns the newest 20 runs, as `graphengine runs` shows them. Runs of one node with and without the index
    take turns. They are recorded in SQLite at `synchronous = NORMAL`, and their figures are CPU time of the process.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = SQLiteStore(folder / "many.db", synchronous="NORMAL")
        await store.open()
        stack.push_async_callback(store.close)
        await fill(store, settings.count(100_000, 500))
        figures = await queries(store, settings)
        with_index = await stack.enter_async_context(Runner(SQLiteStore(folder / "with.db", synchronous="NORMAL")))
        without = await stack.enter_async_context(Runner(SQLiteStore(folder / "without.db", synchronous="NORMAL")))
        runs = settings.count(256, 2)
        sides: dict[str, Side] = {
            "a run": partial(_runs, with_index, runs, (words.added, words.has)),
            "a run without the index": partial(_runs, without, runs, (_nothing, _nothing)),
        }
        figures |= await alternate(sides, "µs", settings.count(41, 1))
    ratio = figures["a run"].against(figures["a run without the index"])
    return Outcome("Search and trends", figures, {"a run, against one without the index": ratio})


async def queries(store: Store, settings: Settings) -> dict[str, Figure]:
    """Measure searches and trends."""
    figures: dict[str, Figure] = {}
    for name, search in SEARCHES.items():
        figures[name] = await _measured(name, settings, partial(newest, store, wanted_of(search, Wanted(20))))
    for by in ("graph", "tag"):
        name = f"trends by {by}"
        figures[name] = await _measured(name, settings, partial(trends, store, by=by))
    return figures


async def _measured(name: str, settings: Settings, read: Callable[[], Awaitable[object]]) -> Figure:
    rounds: list[float] = []
    for _ in range(settings.count(9, 1)):
        began = time.perf_counter()
        await read()
        rounds.append((time.perf_counter() - began) * MILLI)
    return Figure(name, "ms", tuple(rounds))


def _nothing(connection: object, key: int) -> None:
    del connection, key


async def _runs(runner: Runner, runs: int, hooks: tuple[Callable[..., Any], Callable[..., Any]]) -> float:
    """Drive runs of one node, one after the other, and return the CPU time of each run."""
    added, has = hooks
    with patch.object(words, "added", added), patch.object(words, "has", has):
        began = time.process_time()
        for _ in range(runs):
            await runner.start(GRAPH, Counter()).result()
        return (time.process_time() - began) / runs * MICRO
