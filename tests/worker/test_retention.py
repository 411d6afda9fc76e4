"""Prunes in parts, vacuum, and retention by several workers; `sessions` has which runs are kept, and why."""

import asyncio
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from graphengine import Retention, Runner, ask
from graphengine.kernel.fake_clock import FakeClock
from graphengine.records import retention
from graphengine.runner.runner import lives_of
from graphengine.worker.retention import PASS_SECONDS, Removed, Remover
from graphengine.worker.worker import Worker, WorkerEvent
from tests.kit.runs import SOON, alone
from tests.records.test_retention import State, counting, end

DAY = 86_400.0


async def listed(runner: Runner) -> list[str]:
    """Return the ids of the existing runs, sorted."""
    return sorted(info.id for info in await runner.store.runs())


async def test_more_runs_than_a_page_are_pruned(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of candidates is read page by page, and the runs are removed in batches."""
    monkeypatch.setattr(retention, "_PAGE", 10)
    monkeypatch.setattr(retention, "_BATCH", 4)
    for number in range(33):
        await runner.start(counting(), run_id=f"r{number}").result()
    done = await runner.admin.prune(keep_last=5)
    assert (len(done.runs), done.steps, len(done.kept)) == (28, 112, 5)
    assert len(await listed(runner)) == 5


async def pass_over(remover: Remover, runner: Runner) -> list[Removed]:
    """Make one pass of a worker over the runs."""
    await runner.store.set_role(remover.role)
    return [each async for each in remover.once(lives_of(runner).shared.clock.now())]


def remover_of(runner: Runner, **given: Any) -> Remover:
    """Return what removes the runs of one graph for a worker."""
    return Remover(runner.store, {"counting": Retention(**given)})


async def test_a_worker_removes_what_is_no_longer_kept(timed: Runner, clock: FakeClock) -> None:
    """Failed runs are kept longer than finished ones, those with the tag `keep`, and what waits, for ever."""
    await end(timed, "old")
    await end(timed, "marked", tags=["keep"])
    await end(timed, "failed", fails=True)
    await timed.start(alone(State, ask("Continue?", bool), "ok"), run_id="waits").result()
    clock.move(40 * DAY)
    await end(timed, "new")
    seen: list[WorkerEvent] = []
    heard = asyncio.Event()

    def hear(event: WorkerEvent) -> None:
        seen.append(event)
        heard.set()

    worker = Worker(timed, counting(), on_event=hear, retention=Retention(keep_days=30))
    working = asyncio.create_task(worker.run())
    await asyncio.wait_for(heard.wait(), SOON)
    assert seen == [Removed("counting", 1)]
    assert await listed(timed) == ["failed", "marked", "new", "waits"]
    heard.clear()
    clock.move(60 * DAY)
    while not heard.is_set():  # until the next pass
        clock.move(PASS_SECONDS)
        await asyncio.sleep(0)
    worker.stop()
    await working
    assert seen[1:] == [Removed("counting", 2)]
    assert await listed(timed) == ["marked", "waits"]


async def test_every_old_run_is_removed_however_many_began_at_once(timed: Runner, clock: FakeClock) -> None:
    """A bite ends among runs of the same time, some of which stay; the newest of the graph stay, too."""
    for number in range(12):
        await end(timed, f"r{number:02}", tags=["keep"] if number % 5 == 0 else [])
    clock.move(DAY)
    for number in range(3):
        await end(timed, f"s{number}")
    clock.move(DAY)
    with patch.object(retention, "_BITE", 2):
        assert await pass_over(remover_of(timed, keep_days=0, keep_last=2), timed) == [Removed("counting", 10)]
    assert await listed(timed) == ["r00", "r05", "r10", "s1", "s2"]


async def test_one_of_several_workers_removes(database: Path | str) -> None:
    """The one whose name comes first; when its process is gone, the next one does."""
    async with Runner(database) as first, Runner(database) as second:
        await end(first, "a")
        await end(first, "b")
        removers = [(remover_of(each, keep_days=0), each) for each in (first, second)]
        removers.sort(key=lambda each: str(each[0].role["name"]), reverse=True)
        for remover, runner in removers:
            await runner.store.set_role(remover.role)
        (later, runner), (_, other) = removers
        assert await pass_over(later, runner) == []
        await other.close()
        assert await pass_over(later, runner) == [Removed("counting", 2)]


async def test_two_that_remove_at_once_remove_each_run_once(database: Path | str) -> None:
    """Also if both believe to come first, and read the same lists."""
    async with Runner(database) as first, Runner(database) as second:
        for number in range(60):
            await end(first, f"r{number:02}", tags=["keep"] if number % 7 == 0 else [])
        rules = [rule for rule in retention.rules_of("counting", Retention(keep_days=0)) if rule.statuses[0][1] == "i"]

        async def remove(runner: Runner) -> int:
            return sum([bite async for bite in retention.bites(runner.store, rules[0], time.time() + 1)])

        with patch.object(retention, "_BITE", 3):
            removed = await asyncio.gather(remove(first), remove(second))
        assert (sum(removed), len(await listed(first))) == (51, 9)
