"""A question that a deployment has changed is another one: an answer to the old one is none to it."""

from typing import Literal

import pytest

from graphengine import Runner, ask
from graphengine.errors import AmbiguousWait, QuestionChanged, QuestionWithdrawn
from tests.runner.waits.test_askings import KINDS, Verdict, open_now, press


async def test_a_changed_question_is_another_one(runner: Runner) -> None:
    """Of another text or type the old one is withdrawn; a yes to it is no yes to what is asked today."""
    for number, today in enumerate(
        (ask("Print draft {n}?", Verdict), ask("Publish draft {n}?", Literal["publish", "again", "later"]))
    ):
        run_id = f"r{number}"
        (old,) = (await runner.start(KINDS["ask"].graph, run_id=run_id).result()).waits
        changed = press(today)
        with pytest.raises(QuestionChanged):
            await runner.answer(run_id, "publish", changed, wait=old)
        (new,) = await open_now(runner, run_id)
        assert new != old.id
        for given in (changed, None):
            with pytest.raises(QuestionWithdrawn, match=rf"{old.id}.*the graph has changed") as error:
                await runner.answer(run_id, "publish", given, wait=old)
            assert new in error.value.repair
        with pytest.raises(AmbiguousWait):
            await runner.answer(run_id, "publish", changed, wait="approve")
