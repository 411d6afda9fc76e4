"""Child runs with workers, crashes, other processes and no effects; `sessions` has how they start, wait and stop."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from graphengine import (
    Context,
    Runner,
    Worker,
)
from tests.worker.test_child_runs import broken, child, parent_of


@pytest.fixture(autouse=True)
def _nothing_is_broken() -> None:
    broken.clear()


async def test_a_worker_continues_a_parent_when_its_queued_child_has_ended(database: Path | str) -> None:
    """Two workers in two Runners: one has the parents, one the children, queued with its tenant and user."""

    async def queued(ctx: Context, words: list[str]) -> list[int]:
        runs = [await ctx.start(child, {"word": word}, queue="words", priority=2, tags=["x"]) for word in words]
        return [(await run.result()).state.length for run in runs]

    graph = parent_of(queued)
    async with Runner(database) as first, Runner(database) as second:
        whose: Any = {"tenant": "acme", "user": "ada", "tags": ["y"]}
        first.start(graph, {"words": ["a", "bb"]}, run_id="p", queue="default", **whose)
        over = asyncio.Event()
        workers = [
            Worker(first, graph, poll_seconds=0.05, on_event=lambda event: over.set() if is_over(event) else None),
            Worker(second, child, queues=["words"], poll_seconds=0.05),
        ]
        working = [asyncio.create_task(worker.run()) for worker in workers]
        await asyncio.wait_for(over.wait(), 30)
        for worker in workers:
            worker.stop()
        await asyncio.gather(*working)
        infos = await first.store.runs(starter="p")
        assert (await first.get("p", graph).result()).state.lengths == [1, 2]
    assert {(info.queue, info.priority, info.tenant, info.user, info.tags) for info in infos} == {
        ("words", 2, "acme", "ada", ("x",))
    }
    assert {(info.starter, info.root, info.depth) for info in infos} == {("p", "p", 1)}


def is_over(event: object) -> bool:
    """Return whether a worker's event is the end of a run."""
    result = getattr(event, "result", None)
    return result is not None and result.status == "finished"
