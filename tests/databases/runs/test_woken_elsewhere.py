"""Waiting runs that other processes continue, and the cost of many waits."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from graphengine import Context, Runner
from graphengine.errors import RunIsDriven
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner.run import Run
from graphengine.runner.run_events import StepRecorded
from tests.kit.runs import SOON
from tests.runner.waits.test_elsewhere import one


async def until(run: Run[Any], kind: str) -> None:
    """Return when a step of a kind is recorded."""
    async for event in run.events():
        if isinstance(event, StepRecorded) and event.step.kind == kind:
            return


@pytest.mark.usefixtures("quick_polls")
async def test_a_run_that_wakes_while_another_process_drives_it_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time comes here too, it cannot be claimed, and its result is that of the other process."""
    begun, leave, refused = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(ctx: Context) -> str:
        await ctx.sleep(60)
        begun.set()
        await leave.wait()
        return "there"

    graph, clock = one(work), FakeClock(start=0.0, jumps=False)
    path = tmp_path / "runs.db"
    async with Runner(path, clock=clock) as first, Runner(path, clock=FakeClock(start=100.0)) as second:
        claim = first.store.claim

        async def claimed(run_id: str) -> int:
            try:
                return await claim(run_id)
            except RunIsDriven:
                refused.set()
                raise

        monkeypatch.setattr(first.store, "claim", claimed)
        run = first.start(graph)
        await until(run, "waiting")
        async with asyncio.timeout(SOON):
            other = second.resume(run.id, graph)
            await begun.wait()
            clock.move(60)
            await refused.wait()
            leave.set()
            assert (await run.result()).state.word == "there"
            assert (await other.result()).state.word == "there"
