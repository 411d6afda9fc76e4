"""`answer` with the run's graph drives the run on; without it, it says that nothing does."""

import pytest

from graphengine import Runner
from graphengine.errors import QuestionChanged
from graphengine.history.load import load_snapshot
from graphengine.serve.callers import Caller, acting
from graphengine.serve.callers_runner import CallersRunner
from graphengine.serve.service.following import waits
from tests.kit.waiting import waiting
from tests.migration.test_answers_given import other


async def test_a_door_of_a_service_that_drives_asks_before_it_takes_an_answer(runner: Runner) -> None:
    """A service that only records leaves that to its workers, which refuse the old answer."""
    old, newer = other("Print {title}?", str), other("Print {title} twice?", str)
    run_id = await waiting(runner, old)
    ((wait_id, _),) = waits(await load_snapshot(runner.store, run_id, None)).items()
    with acting(Caller("")):
        with pytest.raises(QuestionChanged):
            await CallersRunner(runner, {"g": newer}, drives=True).answer(run_id, "5", wait=wait_id)
        ((wait_id, _),) = waits(await load_snapshot(runner.store, run_id, None)).items()
        await CallersRunner(runner, {"g": newer}).answer(run_id, "5", wait=wait_id)
    assert [each.kind for each in await runner.store.inbox([run_id])] == ["answer"]
