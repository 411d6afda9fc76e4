"""`answer` with the run's graph drives the run on; without it, it says that nothing does."""

import asyncio

from graphengine import Runner, ask
from tests.kit.runs import SOON
from tests.kit.waiting import path, waiting


async def test_a_deploy_that_left_the_question_takes_the_answer(runner: Runner) -> None:
    """The run is migrated with the answer."""
    run_id = await waiting(runner, path(("q", ask("Well?", str), "word")))
    newer = path(("q", ask("Well?", str), "word"), ("more", lambda word: word + "!", "word"))
    async with asyncio.timeout(SOON):
        assert (await (await runner.answer(run_id, "good", newer)).result()).state.word == "good!"
