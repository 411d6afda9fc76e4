"""A question that is answered is no open one, also as long as nothing drives its run."""

import pytest

from graphengine import Runner
from graphengine.errors import InputError
from graphengine.serve.notifications import delegate
from tests.kit.waiting import waiting
from tests.runner.waits.test_answers_not_taken_up import ONE


async def test_an_answered_question_is_handed_on_to_nobody(runner: Runner) -> None:
    """There is nothing to answer."""
    run_id = await waiting(runner, ONE)
    with pytest.raises(InputError, match="no webhook is notified"):
        await delegate(runner, run_id, "q", to="bob")
    await runner.answer(run_id, "good", by="ada")
    with pytest.raises(InputError, match="is already answered"):
        await delegate(runner, run_id, "q", to="bob")
