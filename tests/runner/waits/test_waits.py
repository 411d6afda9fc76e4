"""Questions, messages and sleep while something else happens; `sessions` has what happens by itself."""

import asyncio

import pytest

from graphengine import Context, RunFailed, Runner, ask
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner import Posted
from graphengine.runner.run_events import StepRecorded
from tests.kit.runs import SOON
from tests.kit.waiting import path, resume_run, waiting


async def test_of_two_answers_at_once_one_counts(runner: Runner) -> None:
    """The other raises, and the run uses the one that did not."""
    graph = path(("q", ask("Well?", str), "word"))
    run_id = await waiting(runner, graph)
    words = ["a", "b", "c"]
    outcomes = await asyncio.gather(*(runner.answer(run_id, word) for word in words), return_exceptions=True)
    (taken,) = [word for word, outcome in zip(words, outcomes, strict=True) if isinstance(outcome, Posted)]
    assert all("was answered already" in str(error) for error in outcomes if isinstance(error, BaseException))
    assert (await resume_run(runner, graph, run_id)).state.word == taken


@pytest.mark.parametrize("name", ["error", "state", "ctx"])
async def test_what_is_shown_beside_a_question_is_a_field(runner: Runner, name: str) -> None:
    """What the engine passes under a name is no fact: without an error the question would show none in its place."""
    graph = path(("q", ask("Well?", str, facts=[name]), "word"))
    with pytest.raises(RunFailed, match=f"the question shows '{name}', which is not a field of the state"):
        await runner.start(graph).result()


async def test_work_recorded_in_parallel_with_a_question_is_finished_first(runner: Runner) -> None:
    """A call in flight ends and is recorded before the attempt ends."""
    calls: list[str] = []
    go, asked = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        calls.append("slow")
        asked.set()
        await go.wait()
        return "slow"

    async def work(ctx: Context) -> str:
        one, two = await asyncio.gather(ctx.ask("Well?", str), ctx.call(slow))
        return f"{one} {two}"

    graph = path(("work", work, "word"))
    run = runner.start(graph)
    await asked.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    go.set()
    result = await run.result()
    assert result.status == "waiting"
    assert [step.kind for step in await runner.history(run.id)][-2:] == ["recorded", "waiting"]
    await runner.answer(run.id, "x")
    assert (await resume_run(runner, graph, run.id)).state.word == "x slow"
    assert calls == ["slow"]


async def test_a_message_wakes_a_run_that_only_sleeps() -> None:
    """It is recorded and kept; the sleeper sleeps until its time."""

    async def rest(ctx: Context) -> str:
        await ctx.sleep(3600)
        return str(await ctx.receive("topic", str))

    clock = FakeClock(start=0.0, jumps=False)
    async with Runner(clock=clock) as runner:
        run = runner.start(path(("rest", rest, "word")))
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.kind == "waiting":
                break
        await runner.send(run.id, "topic", "x")
        for _ in range(50):
            await asyncio.sleep(0)
        assert [step.kind for step in await runner.history(run.id)] == ["started", "waiting", "resumed", "message"]
        clock.move(3600)
        async with asyncio.timeout(SOON):
            assert (await run.result()).state.word == "x"
