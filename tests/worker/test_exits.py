"""Exceptions that do not inherit from Exception: if code of a graph raises one, only its node or run fails."""

import sys
from pathlib import Path

from graphengine import Runner
from graphengine.worker.worker import RunOutcome
from tests.kit.workers import let_work
from tests.runner.test_exits import one


def exits(n: int) -> int:
    """Exit, as a script would."""
    sys.exit(3)


async def test_a_worker_survives_an_exit(database: Path | str) -> None:
    """The run fails, and the same worker drives the next one."""
    bad, good = one(exits, name="bad"), one(lambda n: n + 1, name="good")
    async with Runner(database) as first:
        for graph, run_id in ((bad, "bad"), (good, "good")):
            first.start(graph, run_id=run_id)
            await first.release(run_id)
    async with Runner(database) as runner:
        events = await let_work(runner, 2, bad, good, concurrency=1, poll_seconds=0.01)
    ended = {event.info.id: event.result.status for event in events if isinstance(event, RunOutcome)}
    assert ended == {"bad": "failed", "good": "finished"}
