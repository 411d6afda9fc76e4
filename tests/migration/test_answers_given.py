"""`answer` with the run's graph drives the run on; without it, it says that nothing does."""

import asyncio

import pytest

from graphengine import Graph, Runner, ask
from graphengine.errors import GraphChanged, QuestionChanged
from tests.kit.runs import SOON
from tests.kit.waiting import State, names, path, waiting


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


async def test_a_graph_that_does_not_fit_records_no_answer(runner: Runner) -> None:
    """The question is no longer there."""
    run_id = await waiting(runner, path(("q", ask("Well?", str), "word")))
    with pytest.raises(GraphChanged):
        await runner.answer(run_id, "good", path(("other", ask("Well?", str), "word")))
    assert names(await runner.waits(run_id)) == ["q"]
