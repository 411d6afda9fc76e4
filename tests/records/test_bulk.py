"""What two processes do at once to all runs that a search finds."""

import asyncio
from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import Runner
from graphengine.records import bulk
from tests.kit.runs import alone, failing
from tests.kit.workers import let_work


class State(BaseModel):
    n: int = 0


async def test_a_run_that_was_asked_to_stop_is_not_asked_again(database: Path | str) -> None:
    """One whose process died: the worker that takes it stops it, before any node begins."""
    graph = alone(State, lambda n: n + 1, "n", name="mail")
    async with Runner(database) as runner:
        run = runner.start(graph, run_id="r")
        await runner.release("r")
        assert (await run.result()).status == "running"
        assert (await runner.admin.bulk("stop", "graph:mail", why="a wrong input")).runs == ["r"]
        for dry_run in (True, False):
            assert (await runner.admin.bulk("stop", "graph:mail", dry_run=dry_run)).runs == []
        assert len(await runner.store.inbox(["r"])) == 1
        await let_work(runner, 1, graph)
        assert (await runner.info("r")).status == "stopped"
        assert await runner.store.inbox(["r"]) == []


async def test_two_processes_do_the_same_at_once(database: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What both find is retried, and its work done once: a run that was resumed twice is driven by one worker."""
    monkeypatch.setattr(bulk, "_AT_ONCE", 2)
    broken = [True]

    async def work(n: int) -> int:
        if broken:
            raise ValueError(n)
        return n + 1

    graph = alone(State, work, "n")
    async with Runner(database) as first, Runner(database) as second:
        for number in range(8):
            await failing(first.start(graph, run_id=f"r{number}").result())
        await asyncio.gather(*(each.admin.bulk("retry", "status:failed", graphs=[graph]) for each in (first, second)))
        assert {info.status for info in await first.runs()} == {"interrupted"}
        broken.clear()
        await let_work(first, 8, graph)
        for info in await first.runs():
            assert (await first.get(info.id, graph).result()).state.n == 1
