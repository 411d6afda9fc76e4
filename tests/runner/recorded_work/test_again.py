"""Recorded work when a node runs again: retries, timeouts, closed runners, crashes."""

import asyncio

from graphengine import Context, Retry, Runner
from tests.kit.facts import said
from tests.kit.runs import pass_time
from tests.kit.working import counted, one

HOUR = 3600.0

# -- retries


# -- cancellation, timeouts, threads


async def test_a_timeout_within_a_step_keeps_earlier_records(timed: Runner) -> None:
    """Only the call that was cut off is repeated, since it took too long."""
    calls: list[str] = []

    async def slow() -> str:
        calls.append("slow")
        if len(calls) == 2:
            pass_time(HOUR)
            await asyncio.Event().wait()
        return "slow"

    async def work(ctx: Context) -> str:
        return await ctx.call(counted(calls, "first")) + await ctx.call(slow)

    run = timed.start(one(work, timeout_seconds=HOUR, retry=Retry(attempts=2, jitter=0)))
    assert (await run.result()).state.text == "firstslow"
    assert calls == ["first", "slow", "slow"]
    attempt = next(step for step in await timed.history(run.id) if step.kind == "attempt")
    assert said(attempt)["error"]["kind"] == "timeout"


# -- crashes
