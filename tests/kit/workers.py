"""Workers in tests: they work until something has happened."""

import asyncio
from collections.abc import Sequence
from typing import Any

from graphengine import Graph, Runner
from graphengine.worker.worker import RunOutcome, Worker, WorkerEvent
from tests.kit.runs import SOON


async def let_work(runner: Runner, ends: int, *graphs: Graph[Any], **options: Any) -> Sequence[WorkerEvent]:
    """Let a worker work until so many runs have ended or wait, and return its events."""
    events: list[WorkerEvent] = []

    def note(event: WorkerEvent) -> None:
        events.append(event)
        if sum(isinstance(each, RunOutcome) for each in events) >= ends:
            worker.stop()

    worker = Worker(runner, *graphs, on_event=note, **options)
    await asyncio.wait_for(worker.run(), SOON)
    return events
