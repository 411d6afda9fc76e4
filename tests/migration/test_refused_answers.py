"""A question that is answered is no open one, also as long as nothing drives its run."""

import asyncio

from graphengine import Runner, ask
from graphengine.history.load import waits_of
from graphengine.records.now import load_now
from tests.kit.runs import SOON
from tests.kit.waiting import path, waiting


async def test_an_answer_that_the_run_refuses_opens_the_question_again(runner: Runner) -> None:
    """The log has the refusal."""
    old = path(("q", ask("Well?", str), "word"))
    run_id = await waiting(runner, old)
    await runner.answer(run_id, "good")  # by a door that does not know today's graph
    newer = path(("q", ask("Really?", str), "word"))
    async with asyncio.timeout(SOON):
        await runner.resume(run_id, newer).result()
    assert "refused" in [step.kind for step in await runner.history(run_id)]
    (wait,) = waits_of(await load_now(runner.store, run_id))
    assert (wait.question, wait.answered) == ("Really?", None)
