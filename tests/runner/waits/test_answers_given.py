"""`answer` with the run's graph drives the run on; without it, it says that nothing does."""

import asyncio
import logging

import pytest

from graphengine import Context, Graph, Runner, ask
from graphengine.errors import GraphChanged, QuestionChanged
from graphengine.runner import Posted
from tests.kit.runs import SOON
from tests.kit.waiting import State, forked, names, path, waiting


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
    await runner.answer(run_id, "1", graph, question="a")
    run = await runner.answer(run_id, "2", graph, question="b")
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
    assert (posted.run_id, posted.question, posted.driver) == (run_id, "q", None)
    assert f"runner.resume('{run_id}', graph)" in repr(posted)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no process drives the run" in caplog.text


async def test_no_warning_where_a_worker_takes_the_answer_up(runner: Runner, caplog: pytest.LogCaptureFixture) -> None:
    """A worker of the store is at work."""
    graph = path(("q", ask("Well?", str), "word"))
    run_id = await waiting(runner, graph)
    await runner.store.set_role({})  # as a worker does
    await runner.answer(run_id, "good")
    assert not caplog.records


def other(question: str, kind: type) -> Graph[State]:
    """Return the graph after a deploy that changed its question."""
    return path(("q", ask(question, kind), "word" if kind is str else "n"))


@pytest.mark.parametrize("newer", [other("Print {title} twice?", str), other("Print {title}?", int)])
async def test_a_deploy_that_changed_the_question_asks_before_it_takes_an_answer(
    runner: Runner, newer: Graph[State]
) -> None:
    """The answer to the old question is not recorded; the run asks the new one, and takes its answer."""
    run_id = await waiting(runner, other("Print {title}?", str))
    with pytest.raises(QuestionChanged) as refused:
        await runner.answer(run_id, "5", newer)
    (asked,) = await runner.waits(run_id)
    assert asked.question in str(refused.value)
    assert "Print Ants?" in str(refused.value)
    assert [step.kind for step in await runner.history(run_id)][-2:] == ["resumed", "waiting"]
    assert not await runner.store.inbox([run_id])
    run = await runner.answer(run_id, "5", newer)
    async with asyncio.timeout(SOON):
        assert (await run.result()).status == "finished"


async def test_a_deploy_that_left_the_question_takes_the_answer(runner: Runner) -> None:
    """The run is migrated with the answer."""
    run_id = await waiting(runner, path(("q", ask("Well?", str), "word")))
    newer = path(("q", ask("Well?", str), "word"), ("more", lambda word: word + "!", "word"))
    async with asyncio.timeout(SOON):
        assert (await (await runner.answer(run_id, "good", newer)).result()).state.word == "good!"


async def test_a_graph_that_does_not_fit_records_no_answer(runner: Runner) -> None:
    """The question is no longer there."""
    run_id = await waiting(runner, path(("q", ask("Well?", str), "word")))
    with pytest.raises(GraphChanged):
        await runner.answer(run_id, "good", path(("other", ask("Well?", str), "word")))
    assert names(await runner.waits(run_id)) == ["q"]
