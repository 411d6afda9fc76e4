"""`ctx.now()` belongs to an attempt: repeated, it has the recorded times; the next attempt has others."""

import asyncio

import pytest
from pydantic import BaseModel

from graphengine import Context, Retry, RunFailed, Runner
from graphengine.kernel.fake_clock import FakeClock
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import alone

HOW = {"cut off": True, "answered": True, "retried": False, "resumed after a failure": False, "branched": True}
"""How the node runs again, and whether its times are those that it had."""


class State(BaseModel):
    """What the node ended with."""

    found: str = ""


@pytest.mark.parametrize(("how", "same"), HOW.items())
async def test_a_repeated_attempt_has_the_recorded_times(how: str, same: bool) -> None:  # noqa: FBT001 - of a table
    """After a crash, a stop, an answer or on a branch it is the same attempt; a retry and a resume are others."""
    clock = FakeClock(start=1000.0, jumps=False)
    times: list[list[float]] = []
    begun = asyncio.Event()

    async def work(ctx: Context) -> str:
        times.append([ctx.now()])
        await ctx.call(clock.move, 5)
        times[-1].append(ctx.now())
        clock.move(100)
        if len(times) > 1:
            return "done"
        if how == "cut off":
            begun.set()
            await asyncio.Event().wait()
        if how in ("retried", "resumed after a failure"):
            raise OSError(how)
        return await ctx.ask("go?", str)

    tries = Retry(attempts=2 if how == "retried" else 1, initial_seconds=0, on=(OSError,))
    graph = alone(State, work, "found", retry=tries)
    store = InMemoryStore()
    async with Runner(store, clock=clock) as runner:
        run = runner.start(graph, run_id="r")
        if how == "cut off":
            await begun.wait()
        elif how == "resumed after a failure":
            with pytest.raises(RunFailed):
                await run.result()
        else:
            await run.result()
    async with Runner(store, clock=clock) as runner:
        if how == "answered":
            await (await runner.answer("r", "yes", graph)).result()
        elif how == "branched":
            last = next(step.seq for step in await runner.history("r") if step.kind == "recorded")
            await runner.branch("r", graph, last).result()
        elif how != "retried":
            await runner.resume("r", graph).result()
    assert len(times) == 2
    assert (times[0] == times[1]) == same
    assert times[0][0] == 1000.0
    assert times[0][1] == 1005.0
    assert same or times[1][0] >= 1105.0
