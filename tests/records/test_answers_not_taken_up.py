"""A question that is answered is no open one, also as long as nothing drives its run."""

from graphengine import Runner
from graphengine.records.selection import as_answered
from tests.kit.waiting import waiting
from tests.runner.waits.test_answers_not_taken_up import ONE


async def test_a_list_of_runs_without_answers_is_as_it_is_stored(runner: Runner) -> None:
    """Nothing but the inbox is read."""
    await waiting(runner, ONE)
    infos = await runner.store.runs()
    assert await as_answered(runner.store, infos) == infos
