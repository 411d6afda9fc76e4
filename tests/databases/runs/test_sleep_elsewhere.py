"""Waiting runs that other processes continue, and the cost of many waits."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from graphengine import Context, Graph, RunFailed, Runner
from graphengine.kernel.fake_clock import FakeClock
from tests.databases.runs.test_held_asleep import rest
from tests.databases.runs.test_woken_elsewhere import until
from tests.kit.runs import SOON
from tests.runner.waits.test_elsewhere import State, one


async def taken(path: Path | str, graph: Graph[State], *, fails: bool = False) -> Any:
    """Return the result of a sleeping run that another runner continues meanwhile."""
    clock = FakeClock(start=0.0, jumps=False)
    async with Runner(path, clock=clock) as first, Runner(path, clock=FakeClock(start=100.0)) as second:
        run = first.start(graph)
        await until(run, "waiting")
        async with asyncio.timeout(SOON):
            other = second.resume(run.id, graph)
            if fails:
                with pytest.raises(RunFailed):
                    await other.result()
            else:
                assert (await other.result()).state.word == "rested"
            return await run.result()


@pytest.mark.usefixtures("quick_polls")
async def test_a_sleeping_run_that_another_process_finishes_has_its_result(database: Path | str) -> None:
    """Its own runner does not wait for the time."""
    result = await taken(database, one(rest))
    assert (result.status, result.state.word) == ("finished", "rested")


@pytest.mark.usefixtures("quick_polls")
async def test_a_sleeping_run_that_fails_in_another_process_fails_here(database: Path | str) -> None:
    """It raises as if it had failed here."""

    async def breaks(ctx: Context) -> str:
        await ctx.sleep(60)
        raise ValueError

    with pytest.raises(RunFailed):
        await taken(database, one(breaks), fails=True)
