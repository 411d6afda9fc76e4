"""What a run publishes in one process is what another reads and waits for, also when the first one is killed."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graphengine import Published, Run, Runner
from graphengine.errors import NotPublished, UnknownRun
from tests.databases.runs.published_program import Progress, graph
from tests.kit.runs import SOON

PROGRAM = Path(__file__).with_name("published_program.py")


async def first_of(run: Run[Any]) -> Published[Progress]:
    """Return the first value, once the other process has begun the run."""
    while True:
        with contextlib.suppress(UnknownRun):
            return await run.published("progress", Progress)
        await asyncio.sleep(0.01)


async def test_another_process_waits_for_each_value_and_reads_none_twice(database: Path | str) -> None:
    """Every value is seen once, in order; a process that goes on with the run publishes none of them again."""
    env = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    process = subprocess.Popen([sys.executable, str(PROGRAM), str(database)], env=env)  # noqa: ASYNC220 - the first
    try:
        async with asyncio.timeout(SOON), Runner(database) as runner:
            run = runner.get("r")
            found = await first_of(run)
            assert found.value == Progress(done=0)
            await run.send("word", "one")
            found = await run.published("progress", Progress, after=found.seq)
            assert found.value == Progress(done=1, word="one")
            process.send_signal(signal.SIGKILL)
            process.wait()
            waiting = asyncio.create_task(run.published("progress", Progress, after=found.seq))
            await run.send("word", "two")
            await run.send("word", "three")
            while (await runner.resume("r", graph()).result()).status == "waiting":
                pass
            assert (await waiting).value.done in (2, 3)
            every = [each.value async for each in run.publications("progress", Progress, after=0)]
            assert every == [
                Progress(done=0),
                *(Progress(done=n, word=w) for n, w in enumerate(("one", "two", "three"), 1)),
            ]
            with pytest.raises(NotPublished):
                await run.published("other")
    finally:
        process.kill()
        process.wait()
