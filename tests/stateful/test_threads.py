"""The machine of runs depends only on drawn data, not on the speed of its threads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from graphengine.databases.sqlite.worker import Worker
from tests.stateful.runner_prunes import FileRuns
from tests.stateful.threads import Threads

PLAYS = 3
TURNS = (0, 3, 10, 20, 40)


def test_a_thread_has_the_drawn_speed(tmp_path: Path) -> None:
    """Work is done after this many turns of the loop, and reported after this many more."""
    loop = asyncio.new_event_loop()
    threads = Threads(loop)
    done: list[int] = []

    async def turns(before: int, after: int) -> tuple[int, int]:
        """Return the turns before work is done, and before its end is known."""
        worker = await Worker.connect((tmp_path / "runs.db").as_uri(), busy_timeout_seconds=1)
        threads.take([before, after])
        running = asyncio.create_task(worker.run(lambda _: done.append(passed)))
        passed = 0
        while not running.done():
            passed += 1
            await asyncio.sleep(0)
        await worker.close()
        return done[-1], passed

    with ExitStack() as patched:
        for each in threads.patches():
            patched.enter_context(each)
        least = loop.run_until_complete(turns(0, 0))
        found = [loop.run_until_complete(turns(before, after)) for before in range(3) for after in range(3)]
    loop.close()
    assert found == [(least[0] + before, least[1] + before + after) for before in range(3) for after in range(3)]


def played(turns: int, paces: Sequence[int]) -> list[list[str]]:
    """Return the logs of two runs whose owners die this many turns after nodes ended."""
    machine = FileRuns()
    try:
        machine.start_one(None, paces)
        machine.start(1, None)
        machine.end_nodes(0, "", 6, turns)
        for _ in range(2):
            machine.crash_at_work(0, 2, turns, 0, "")
        return [[step.kind for step in known.log] for known in machine.runs.values()]
    finally:
        machine.teardown()


def test_the_same_commands_make_the_same_logs() -> None:
    """The same commands make the same logs, even if owners die while their threads write."""
    logs: list[list[list[str]]] = []
    for turns in TURNS:
        first, *others = (played(turns, [turns % 3, 2]) for _ in range(PLAYS))
        assert others == [first] * (PLAYS - 1), turns
        logs.append(first)
    assert len({str(log) for log in logs}) > 1, "the logs do not depend on the time of death"
