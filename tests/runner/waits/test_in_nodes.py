"""Questions that a node asks amid its work."""

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import pytest

from graphengine import Context, RunFailed, Runner
from graphengine.errors import InputError
from graphengine.testing import FakeClock
from tests.kit.runs import WEEK, alone
from tests.kit.waiting import State, Verdict, names, path, resume_run, waiting

# -- questions inside nodes


async def test_a_node_that_asks_runs_again_with_its_answer(runner: Runner) -> None:
    """It runs from its beginning; recorded work is not repeated."""
    calls: list[str] = []

    async def draft() -> str:
        calls.append("draft")
        return "text"

    async def work(ctx: Context) -> str:
        calls.append("work")
        text = await ctx.call(draft)
        verdict = await ctx.ask(f"Is {text!r} fine?", Verdict)
        word = await ctx.ask("Which word?", Literal["yes", "no"])
        names = await ctx.ask("Names?", list[str])
        return f"{text} {verdict.score} {word} {names}"

    graph = path(("work", work, "word"))
    run_id = await waiting(runner, graph)
    assert names(await runner.waits(run_id)) == ["work"]
    await runner.answer(run_id, {"ok": True, "score": 4})
    assert names((await resume_run(runner, graph, run_id)).waits) == ["work#2"]
    with pytest.raises(InputError, match="'perhaps' is not yes or no"):
        await runner.answer(run_id, "perhaps")
    await runner.answer(run_id, "yes")
    assert names((await resume_run(runner, graph, run_id)).waits) == ["work#3"]
    await runner.answer(run_id, ["x"])
    assert (await resume_run(runner, graph, run_id)).state.word == "text 4 yes ['x']"
    assert calls == ["work", "draft", "work", "work", "work"]


async def gathered(ctx: Context) -> str:
    """Ask twice at once."""
    both = await asyncio.gather(ctx.ask("one?", str), ctx.ask("two?", str))
    return " ".join(both)


async def grouped(ctx: Context) -> str:
    """Ask twice in a group of tasks."""
    async with asyncio.TaskGroup() as group:
        one = group.create_task(ctx.ask("one?", str))
        two = group.create_task(ctx.ask("two?", str))
    return f"{one.result()} {two.result()}"


@pytest.mark.parametrize("work", [gathered, grouped])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_two_questions_at_once_are_answered_in_any_order(
    runner: Runner, work: Callable[..., Any], order: tuple[int, int]
) -> None:
    """Both are asked, each by its own name, and each keeps its name while the other is answered."""
    graph = path(("work", work, "word"))
    result = await runner.start(graph).result()
    asked = {wait.question: wait.name for wait in result.waits}
    assert sorted(asked) == ["one?", "two?"]
    questions = ["one?", "two?"]
    first, second = (questions[n] for n in order)
    await runner.answer(result.run_id, first.upper(), question=asked[first])
    result = await resume_run(runner, graph, result.run_id)
    assert {wait.question: wait.name for wait in result.waits} == {second: asked[second]}
    await runner.answer(result.run_id, second.upper(), question=asked[second])
    assert (await resume_run(runner, graph, result.run_id)).state.word == "ONE? TWO?"


async def test_a_node_that_swallows_its_end_still_waits(runner: Runner) -> None:
    """Whatever it returns or raises then is dropped."""

    async def returns(ctx: Context) -> str:
        try:
            return await ctx.ask("Well?", str)
        except asyncio.CancelledError:
            return "swallowed"

    async def raises(ctx: Context) -> str:
        try:
            return await ctx.ask("Well?", str)
        except asyncio.CancelledError:
            raise ValueError from None

    for work in (returns, raises):
        graph = path(("work", work, "word"))
        run_id = await waiting(runner, graph)
        await runner.answer(run_id, "x")
        assert (await resume_run(runner, graph, run_id)).state.word == "x"


async def test_the_time_of_an_answer_does_not_count_for_the_node(timed: Runner, clock: FakeClock) -> None:
    """timeout_seconds limits an attempt's own work: a question in it can take a week."""

    async def work(ctx: Context) -> str:
        return await ctx.ask("Well?", str)

    graph = alone(State, work, "word", timeout_seconds=60, name="g")
    run_id = await waiting(timed, graph)
    clock.move(WEEK)
    await timed.answer(run_id, "x")
    assert (await resume_run(timed, graph, run_id)).state.word == "x"


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


async def test_questions_belong_to_the_event_loop(runner: Runner) -> None:
    """A question in a sync node fails with an error that says to make the node async."""

    def work(ctx: Context) -> str:
        asyncio.run(ctx.ask("Well?", str))
        return ""

    with pytest.raises(RunFailed, match=r"outside the event loop[\s\S]*make the node async"):
        await runner.start(path(("work", work, "word"))).result()
