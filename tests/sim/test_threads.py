"""The threads of stores are as fast as was drawn, and so a program is always played in the same way."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from graphengine.databases.sqlite.worker import Worker
from graphengine.engine.step_json import decode_step
from tests.kit.threads import Threads
from tests.sim import program as p
from tests.sim.runner import Running


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


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "file"])
def test_the_same_program_makes_the_same_log(on_disk: bool) -> None:  # noqa: FBT001 - a parameter
    """The log of a run has the same steps each time, also if processes die while their threads write."""
    programs = [p.draw("same", number, in_runner=True) for number in range(0, 90, 3)]
    for program in [each for each in programs if any(event.what == "crash" for event in each.events)][:6]:
        logs = []
        for _ in range(2):
            running = Running(program, on_disk=on_disk)
            running.play()
            steps = [decode_step(seq, row) for seq, row in enumerate(running.rows, start=1)]
            logs.append([(step.kind, step.path, step.visit, step.attempt) for step in steps])
        assert logs[0] == logs[1]
