"""Trees of child runs: how deep they may get, and how all of one is stopped, also while it grows."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from graphengine import Context, Graph, Limits, Runner, Worker
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import StoreError
from tests.kit.runs import alone
from tests.worker.test_run_trees import Level, deep, grown, settled, statuses, until


@asynccontextmanager
async def at_work(graph: Graph[Level], *runners: Runner) -> AsyncIterator[None]:
    """Let a worker of each Runner work meanwhile."""
    workers = [Worker(runner, graph, queues=["default", "kids"], poll_seconds=0.05) for runner in runners]
    working = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for worker in workers:
            worker.stop()
        await asyncio.gather(*working)


@pytest.mark.parametrize("how", ["waits", "background", "queued"])
async def test_a_graph_that_starts_itself_is_stopped_for_good(database: Path | str, how: str) -> None:
    """While two processes drive the tree, a third stops it: nothing begins any more, whoever waits for whom."""
    options: dict[str, Any] = {"topic": "told"} if how == "background" else {}
    options |= {"queue": "kids"} if how == "queued" else {}

    async def begin(ctx: Context, n: int) -> int:
        kid = await ctx.start(endless, {"n": n + 1}, **options)
        return 0 if how == "background" else (await kid.result()).state.n

    endless = alone(Level, begin, "n", name="endless", node="begin", limits=Limits(depth=None))
    async with Runner(database) as first, Runner(database) as second, Runner(database) as third:
        first.start(endless, run_id="top", wait_out=False)
        async with at_work(endless, first, second):
            await until(third, lambda found: sum(found.values()) > 20)
            await third.stop("top")
            count = sum((await statuses(third)).values())
            await until(third, lambda found: not {"running", "waiting"} & found.keys())
        left = await statuses(third)
        assert (sum(left.values()), left.keys() <= {"stopped", "finished"}) == (count, True)


@pytest.mark.parametrize("by", ["worker", "stop"])
async def test_a_stop_that_died_on_its_way_is_completed(tmp_path: Path, by: str) -> None:
    """A worker stops what it takes in the tree, and then what that run tells its end; a repeated stop stops all."""

    class Dying(SQLiteStore):
        left = 3

        async def claim(self, run_id: str) -> int:
            self.left -= 1
            if self.left <= 0:
                message = "the process died"
                raise StoreError(message)
            return await super().claim(run_id)

    path = tmp_path / "runs.db"
    async with Runner(path) as runner:
        runner.start(deep, {"last": 5}, run_id="top", wait_out=False)
        await grown(runner, 6)
    async with Runner(Dying(path)) as dying:
        with pytest.raises(StoreError):
            await dying.stop("top")
    async with Runner(path) as runner:
        assert await statuses(runner) == {"stopped": 2, "waiting": 4}
        if by == "worker":
            last = next(each for each in await runner.store.runs() if each.depth == 5)
            await runner.answer(last.id, value=True)
            async with at_work(deep, runner):
                await settled(runner, stopped=6)
        else:
            await runner.stop("top")
        assert await statuses(runner) == {"stopped": 6}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Log no errors of runs that are meant to fail."""
    caplog.set_level(logging.CRITICAL, "graphengine.runner")


async def test_a_stop_in_the_middle_of_a_tree_stops_what_is_below(runner: Runner) -> None:
    """The runs above go on, and the node that waits for it is told."""
    runner.start(deep, {"last": 4}, run_id="top", wait_out=False)
    await grown(runner, 5)
    infos = {each.depth: each.id for each in await runner.store.runs()}
    await runner.stop(infos[2], "not needed")
    found = {each.depth: each.summary and each.summary.reason for each in await runner.store.runs(status="stopped")}
    assert found == {2: "not needed", 3: f"stopped with run {infos[2]}", 4: f"stopped with run {infos[2]}"}
    async with at_work(deep, runner):
        await settled(runner, stopped=3, failed=2)
    reasons = [each.summary and each.summary.reason for each in await runner.store.infos([infos[1]])]
    assert reasons == [f"descend: child_failed: child run {infos[2]!r} was stopped: not needed"]
