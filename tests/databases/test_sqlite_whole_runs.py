"""Faults during whole runs: a lock held by another process, a read-only folder."""

# these tests are alone on their loop

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphengine import Runner
from graphengine.databases.sqlite import SQLiteStore, doctor
from graphengine.engine.step_json import encode_step
from graphengine.errors import StoreLocked, StoreReadOnly
from graphengine.runner import StepRecorded
from tests.databases.recorded import State, everything, record
from tests.databases.support import lock_down, opened
from tests.kit.runs import alone

RUN = "whole"
HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


class Holder:
    """A process that holds the database's lock until it is released."""

    def __init__(self, path: Path) -> None:
        words = [sys.executable, "-c", HOLD, str(path)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "held\n"

    def end(self) -> None:
        """End the process."""
        self._process.communicate("\n")


@pytest.fixture
def holders() -> Iterator[list[Holder]]:
    """The holders that the test started; they end with it."""
    started: list[Holder] = []
    yield started
    for holder in started:
        holder.end()


async def log_of(path: Path, run_id: str = RUN) -> list[bytes]:
    """Return the recorded steps of a run."""
    async with opened(path, read_only=True) as store:
        return [encode_step(step) for step in await store.steps(run_id)]


async def test_a_lock_that_is_held_for_long_stops_a_run_and_loses_nothing(path: Path, holders: list[Holder]) -> None:
    """The run ends with StoreLocked and its repair, and is resumed once the lock is free."""
    store = SQLiteStore(path, synchronous="NORMAL", busy_timeout_seconds=0.05)
    async with Runner(store) as runner:
        run = runner.start(everything(), State(rounds=300), run_id=RUN)
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.seq == 10:
                break
        holders.append(Holder(path))
        with pytest.raises(StoreLocked) as caught:
            await run.result()
        assert "close the program" in caught.value.repair
        assert str(path) in caught.value.where
        before = await log_of(path)
        with pytest.raises(StoreLocked):
            await runner.start(everything(), run_id="other").result()
        holders.pop().end()
        resumed = await runner.resume(RUN, everything()).result()
    assert resumed.status == "finished"
    assert (await log_of(path))[: len(before)] == before
    assert doctor.examine(path).is_sound


async def test_a_lock_that_is_held_for_less_is_waited_out(path: Path, holders: list[Holder]) -> None:
    """A lock held for less than busy_timeout_seconds has no effect."""
    store = SQLiteStore(path, synchronous="NORMAL", busy_timeout_seconds=60)
    async with Runner(store) as runner:
        await runner.start(everything(), run_id="before").result()
        holders.append(Holder(path))
        run = runner.start(everything(), run_id=RUN)
        waiting = asyncio.ensure_future(run.result())
        await asyncio.wait([waiting], timeout=0.1)
        assert not waiting.done()
        holders.pop().end()
        assert (await waiting).status == "finished"


async def test_a_run_in_a_read_only_folder_is_refused_before_it_begins(as_nobody: Path) -> None:
    """No node runs, and recorded runs can still be read and examined."""
    path = as_nobody / "runs.db"
    await record(path)
    async with opened(path) as store:
        recorded = [info.id for info in await store.runs()]
    begun: list[str] = []
    graph = alone(State, lambda: begun.append("acts"), ())
    lock_down(as_nobody)
    with pytest.raises(StoreReadOnly) as caught:
        await Runner(SQLiteStore(path)).start(graph, run_id=RUN).result()
    assert caught.value.repair
    assert begun == []
    async with opened(path, read_only=True) as reader:
        assert [info.id for info in await reader.runs()] == recorded
    assert {finding.code for finding in doctor.examine(path).faults} == {"mode"}
    with pytest.raises(StoreReadOnly):
        doctor.repair(path)
