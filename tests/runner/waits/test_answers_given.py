"""`answer` with the run's graph drives the run on; without it, it says that nothing does."""

import asyncio
import logging

import pytest

from graphengine import Context, Runner, ask
from graphengine.runner import Posted
from tests.kit.runs import SOON
from tests.kit.waiting import forked, path, waiting


async def test_an_answer_with_the_graph_returns_the_run_that_goes_on(runner: Runner) -> None:
    """One call answers and drives; its handle has the result."""
    graph = path(("q", ask("Well?", str), "word"))
    run_id = await waiting(runner, graph)
    run = await runner.answer(run_id, "good", graph)
    async with asyncio.timeout(SOON):
        assert (await run.result()).state.word == "good"
    assert runner.get(run_id) is run or run.id == run_id


async def test_each_of_several_questions_is_answered_so(runner: Runner) -> None:
    """A second answer reaches the run that the first one drives."""
    graph = forked(("a", ask("A?", str), "log"), ("b", ask("B?", str), "log"))
    run_id = await waiting(runner, graph)
    await runner.answer(run_id, "1", graph, wait="a")
    run = await runner.answer(run_id, "2", graph, wait="b")
    async with asyncio.timeout(SOON):
        assert (await run.result()).state.log == ["1", "2"]


async def test_a_loop_of_questions_needs_answers_only(runner: Runner) -> None:
    """The run that goes on waits again, and is answered again."""

    async def both(ctx: Context) -> str:
        return await ctx.ask("One?", str) + await ctx.ask("Two?", str)

    graph = path(("both", both, "word"))
    run_id = await waiting(runner, graph)
    async with asyncio.timeout(SOON):
        assert (await (await runner.answer(run_id, "1", graph)).result()).status == "waiting"
        assert (await (await runner.answer(run_id, "2", graph)).result()).state.word == "12"


async def test_an_answer_without_the_graph_says_that_nothing_drives_the_run(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    """The receipt says what takes the answer up, and the log warns of a program's own call."""
    run_id = await waiting(runner, path(("q", ask("Well?", str), "word")))
    posted = await runner.answer(run_id, "good", by="ada")
    assert isinstance(posted, Posted)
    assert (posted.run_id, posted.wait, posted.driver) == (run_id, "q", None)
    assert f"runner.resume('{run_id}', graph)" in repr(posted)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no process drives the run" in caplog.text


async def test_no_warning_where_a_worker_takes_the_answer_up(runner: Runner, caplog: pytest.LogCaptureFixture) -> None:
    """A worker of the store is at work; it takes no run that was stopped."""
    graph = path(("q", ask("Well?", str), "word"))
    run_id, stopped = await waiting(runner, graph), await waiting(runner, graph)
    await runner.store.set_role({})  # as a worker does
    await runner.answer(run_id, "good")
    assert not caplog.records
    await runner.stop(stopped)
    assert repr(await runner.answer(stopped, "good")).endswith("takes it up, or a worker if not stopped)")
    assert f"run {stopped} is recorded; no process drives the run" in caplog.text
