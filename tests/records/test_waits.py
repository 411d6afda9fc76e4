"""Questions, messages and sleep while something else happens; `sessions` has what happens by itself."""

import asyncio

from graphengine import Runner, ask
from graphengine.runner.run_events import StepRecorded
from tests.kit.runs import SOON
from tests.kit.waiting import forked, names


async def test_an_arm_that_waits_is_answered_while_another_works(runner: Runner) -> None:
    """The run is driven, and the answer reaches it there."""
    begun, leave = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        begun.set()
        await leave.wait()
        return "worked"

    graph = forked(("q", ask("Well?", str), "log"), ("work", work, "log"))
    run = runner.start(graph)
    await begun.wait()
    async for event in run.events():
        if isinstance(event, StepRecorded) and event.step.kind == "waiting":
            break
    assert names(await runner.waits(run.id)) == ["q"]
    await runner.answer(run.id, "answered")
    async for event in run.events():
        if isinstance(event, StepRecorded) and event.step.node == "q" and event.step.kind == "node":
            break
    leave.set()
    async with asyncio.timeout(SOON):
        assert (await run.result()).state.log == ["answered", "worked"]
