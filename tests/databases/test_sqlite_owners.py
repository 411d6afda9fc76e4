"""Ownership of runs: who can drive a run when its driver died, left, or only seems dead."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from graphengine.databases import leases, owner_locks
from graphengine.databases.leases import LeaseThread
from graphengine.databases.sqlite import SQLiteStore
from graphengine.databases.sqlite.owners import Lease
from graphengine.errors import LeaseLost, RunIsDriven, RunnerClosed, StoreLocked
from graphengine.kernel.testing.kit import append, batch, new_run, refused, seqs, step
from tests.databases.support import ROOT, Clock, OpenStore, OtherProcess, change, locked, opened, rows

LEASE_SECONDS = 30.0


def lock_files(path: Path) -> list[str]:
    """Return the owners' lock files."""
    folder = path.with_name(path.name + "-owners")
    return sorted(each.name for each in folder.iterdir()) if folder.exists() else []


async def test_the_runs_of_a_killed_process_are_free_at_once(
    store: SQLiteStore, path: Path, start_process: Callable[[], OtherProcess]
) -> None:
    """After kill -9 of its driver a run can be claimed at once, and its log holds the acknowledged steps."""
    other = start_process()
    assert [other.send(line) for line in ("create a", "create b", "append a 1", "append a 2")] == ["ok"] * 4
    with refused(RunIsDriven):
        await store.claim("a")
    other.kill()
    assert [info.held for info in await store.runs()] == [True, True]
    fence = await store.claim("a")
    await append(store, batch("a", fence, [step(3)]))
    assert seqs(await store.steps("a")) == [1, 2, 3]
    await store.claim("b")
    assert len(rows(path, "SELECT id FROM owners")) == len(lock_files(path)) == 1


async def test_a_reader_sees_at_once_that_a_killed_driver_is_dead(
    store: SQLiteStore, open_store: OpenStore, path: Path, start_process: Callable[[], OtherProcess]
) -> None:
    """After kill -9 its runs have no driver and are still held, and reading that changes nothing."""
    other = start_process()
    assert [other.send(line) for line in ("create a", "create b")] == ["ok"] * 2
    reader = await open_store(read_only=True)
    [(owner,)] = rows(path, "SELECT DISTINCT driver FROM runs")
    for each in (store, reader):
        assert [(info.driver, info.held) for info in await each.runs()] == [(owner, True)] * 2
    other.kill()
    before = (rows(path, "SELECT * FROM owners"), rows(path, "SELECT * FROM runs"), lock_files(path))
    for each in (store, reader):
        assert [(info.driver, info.held) for info in await each.runs()] == [(None, True)] * 2
        for info in (await each.info("a"), (await each.load("a")).info):
            assert (info.driver, info.held) == (None, True)
    assert before == (rows(path, "SELECT * FROM owners"), rows(path, "SELECT * FROM runs"), lock_files(path))


@pytest.mark.parametrize("has_fcntl", [True, False])
async def test_checking_an_owner_does_not_harm_it(
    store: SQLiteStore, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, *, has_fcntl: bool
) -> None:
    """A live owner stays the driver however often others check it, also without shared locks."""
    if not has_fcntl:
        monkeypatch.setattr(owner_locks, "fcntl", None)
    fence = await new_run(store)
    reader, second = await open_store(read_only=True), await open_store()
    assert store.lease is not None
    for _ in range(3):
        for each in (store, reader, second):
            assert (await each.info("r")).driver == store.lease.id
    with refused(RunIsDriven):
        await second.claim("r")
    await append(store, batch("r", fence, [step(1)]))
    await store.close()
    assert not (await reader.info("r")).held


async def test_a_check_of_a_dead_owner_is_not_mistaken_for_the_owner(
    store: SQLiteStore, open_store: OpenStore, path: Path, start_process: Callable[[], OtherProcess]
) -> None:
    """While one program checks the lock of a dead owner, others can still read and claim its runs."""
    other = start_process()
    other.send("create a")
    [(lock_file,)] = rows(path, "SELECT lock_file FROM owners JOIN runs ON driver = owners.id")
    other.kill()
    with (path.with_name(path.name + "-owners") / str(lock_file)).open() as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert (await store.info("a")).driver is None
        second = await open_store()
        await second.claim("a")


async def test_a_live_driver_is_named(
    store: SQLiteStore, path: Path, start_process: Callable[[], OtherProcess]
) -> None:
    """The error names host, process and lease of the driver, and when the lease ends."""
    other = start_process()
    other.send("create a")
    with refused(RunIsDriven) as caught:
        await store.claim("a")
    [(owner, host, pid, expires_at)] = rows(
        path, "SELECT o.id, host, pid, expires_at FROM owners AS o JOIN runs ON driver = o.id"
    )
    error = caught[0]
    assert isinstance(error, RunIsDriven)
    assert all(str(part) in error.owner for part in (owner, host, pid))
    assert error.expires_at == expires_at


async def test_an_owner_with_an_expired_lease_loses_its_runs(open_store: OpenStore, clock: Clock) -> None:
    """After its lease a run can be taken from a live process, which can write no more."""
    first = await open_store(clock=clock, lease_seconds=LEASE_SECONDS)
    second = await open_store(clock=clock, lease_seconds=LEASE_SECONDS)
    fence = await new_run(first)
    clock.now += LEASE_SECONDS - 0.001
    with refused(RunIsDriven):
        await second.claim("r")
    clock.now += 0.002
    info = await second.info("r")
    assert (info.driver, info.held) == (None, True)
    higher = await second.claim("r")
    with refused(LeaseLost):
        await append(first, batch("r", fence, [step(1)]))
    await first.release("r", fence)
    await append(second, batch("r", higher, [step(1)]))


async def test_a_renewed_lease_keeps_the_runs(open_store: OpenStore, clock: Clock) -> None:
    """A renewal extends the lease, and an owner whose row was removed is recorded again."""
    first = await open_store(clock=clock, lease_seconds=LEASE_SECONDS)
    second = await open_store(clock=clock, lease_seconds=LEASE_SECONDS)
    await new_run(first)
    clock.now += LEASE_SECONDS + 1
    assert first.lease is not None
    first.lease.renew()
    with refused(RunIsDriven):
        await second.claim("r")


async def test_an_owner_that_claims_a_run_is_alive(open_store: OpenStore, clock: Clock) -> None:
    """An owner suspended past its lease keeps a run that it claims then, before its thread has renewed the lease."""
    first = await open_store(clock=clock, lease_seconds=LEASE_SECONDS)
    second = await open_store(clock=clock, lease_seconds=LEASE_SECONDS)
    await first.release("r", await new_run(first))
    clock.now += LEASE_SECONDS + 1
    fence = await first.claim("r")
    with refused(RunIsDriven):
        await second.claim("r")
    await append(first, batch("r", fence, [step(1)]))


async def test_the_lease_is_renewed_while_the_event_loop_is_blocked(open_store: OpenStore, path: Path) -> None:
    """A thread renews the lease, so a loop that is busy for longer than the lease keeps its runs."""
    await open_store(lease_seconds=0.15)
    [(first_end,)] = rows(path, "SELECT expires_at FROM owners")
    connection = sqlite3.connect(path)
    renewed = "SELECT count(*) FROM owners WHERE expires_at > ?"
    give_up_at = time.monotonic() + 10
    while connection.execute(renewed, (first_end,)).fetchone() == (0,):  # the loop is blocked here
        assert time.monotonic() < give_up_at
    connection.close()


def test_the_wait_after_a_renewal_does_not_delay_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease is renewed three times in its length, so that a single renewal that fails loses no run."""
    renewed: list[float] = []
    now, over = 0.0, threading.Event()
    monkeypatch.setattr(leases, "now", lambda: leases.Moment(now, now))

    class Turns(LeaseThread):
        def _turn(self, *, is_due: bool) -> bool:
            nonlocal now
            renewed.extend([now] if is_due else [])
            now += 0.5
            if now > 3 * LEASE_SECONDS:
                over.set()
            return is_due

        def _disconnect(self) -> None:
            pass

    lease = Turns(LEASE_SECONDS, lambda _: None)
    lease.keep(threading.current_thread(), lambda: None)
    assert over.wait(60)
    lease.stop()
    assert renewed[:4] == [10.0, 20.0, 30.0, 40.0]


def test_the_lease_is_renewed_without_a_free_descriptor(start_process: Callable[[], OtherProcess], path: Path) -> None:
    """A process whose connections or files took every descriptor keeps its runs."""
    other = start_process()
    before = rows(path, "SELECT expires_at FROM owners")
    assert other.send("renew") == "ok"
    assert rows(path, "SELECT expires_at FROM owners") > before


async def test_closing_leaves_nothing_of_the_owner(store: SQLiteStore, open_store: OpenStore, path: Path) -> None:
    """A closed store has no row, no lock file and no folder, and its runs are free."""
    await new_run(store)
    second = await open_store()
    assert len(lock_files(path)) == 2
    await store.close()
    assert len(lock_files(path)) == 1
    assert rows(path, "SELECT driver FROM runs") == [(None,)]
    await second.close()
    assert rows(path, "SELECT * FROM owners") == []
    assert list(path.parent.iterdir()) == [path]


async def test_a_run_that_was_freed_by_hand_takes_no_steps(store: SQLiteStore, path: Path) -> None:
    """The driver is looked up with every batch; the fence alone is not enough."""
    fence = await new_run(store)
    change(path, "UPDATE runs SET driver = NULL")
    with refused(LeaseLost):
        await append(store, batch("r", fence, [step(1)]))


async def test_an_owner_on_another_host_is_judged_only_by_its_lease(store: SQLiteStore, path: Path) -> None:
    """A lock file that is missing here shows nothing about a process on another host."""
    fence = await new_run(store)
    await store.release("r", fence)
    far = "INSERT INTO owners VALUES ('far', 'elsewhere', 1, 'far.lock', 9e9, '')"
    change(path, far, "UPDATE runs SET driver = 'far'")
    assert (await store.info("r")).driver == "far"
    with refused(RunIsDriven):
        await store.claim("r")
    change(path, "UPDATE owners SET expires_at = 1 WHERE id = 'far'")
    assert await store.claim("r") > fence


async def test_a_store_of_the_parent_process_refuses_work_after_a_fork(store: SQLiteStore) -> None:
    """A forked child cannot use its parent's store, and the parent continues undisturbed."""
    fence = await new_run(store)

    def use_it() -> int:
        pending = (store.info("r"), store.claim("r"), store.open())
        for each in pending:
            try:
                each.send(None)
            except RunnerClosed:
                each.close()
            else:
                return 1
        try:
            store.append(batch("r", fence, [step(1)]))
        except RunnerClosed:
            return 0
        return 1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks with threads
        child = os.fork()
    if child == 0:
        os._exit(use_it())
    _, status = os.waitpid(child, 0)  # noqa: ASYNC222  # the child ends at once
    assert os.waitstatus_to_exitcode(status) == 0
    await append(store, batch("r", fence, [step(1)]))


def test_a_process_that_does_not_close_its_store_exits(path: Path) -> None:
    """Threads of an open store do not keep a process from exiting, and its recorded steps are kept."""
    program = Path(__file__).with_name("forgetful.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, program, path], check=True, timeout=20, env=environment)

    async def read() -> list[int]:
        async with opened(path) as store:
            await store.claim("r")
            return seqs(await store.steps("r"))

    assert asyncio.run(read()) == [1]


async def test_a_run_whose_release_failed_is_released_later(open_store: OpenStore, path: Path) -> None:
    """Its owner can claim it again at once; for others it is free from the next renewal of the lease."""
    store = await open_store(busy_timeout_seconds=0.01)
    second = await open_store()
    fences = {run_id: await new_run(store, run_id) for run_id in ("a", "b")}
    with locked(path):
        for run_id, fence in fences.items():
            with refused(StoreLocked):
                await store.release(run_id, fence)
    higher = await store.claim("a")
    with refused(RunIsDriven):
        await store.claim("a")
    with refused(RunIsDriven):
        await second.claim("b")
    assert store.lease is not None
    store.lease.renew()
    assert (await second.info("b")).held is False
    await second.claim("b")
    await append(store, batch("a", higher, [step(1)]))  # a pending release does not take the run from its new driver
    with refused(RunIsDriven):
        await second.claim("a")


async def test_a_cancelled_release_is_recorded_later(open_store: OpenStore, path: Path) -> None:
    """It was cancelled, and then could not be recorded: the next renewal releases the run."""
    store = await open_store(busy_timeout_seconds=0.05)
    second = await open_store()
    fence = await new_run(store, "a")
    with locked(path):
        releasing = asyncio.create_task(store.release("a", fence))
        await asyncio.sleep(0)
        releasing.cancel()
        await asyncio.wait([releasing])
        with refused(StoreLocked):
            await store.tag("a", ["later"])
    assert store.lease is not None
    store.lease.renew()
    await second.claim("a")


async def test_a_claim_that_was_cancelled_is_released_when_its_caller_continues(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release is durable then, so that another process can claim the run at once."""
    store = await open_store(synchronous="FULL")
    second = await open_store()
    await store.release("a", await new_run(store, "a"))
    released: list[asyncio.Future[None]] = []
    release = store._release  # noqa: SLF001 - whether it is durable cannot be seen from outside without a race

    def noted(run_id: str, fence: int, lease: Lease) -> asyncio.Future[None]:
        released.append(release(run_id, fence, lease))
        return released[-1]

    monkeypatch.setattr(store, "_release", noted)
    claiming = asyncio.create_task(store.claim("a"))
    await asyncio.sleep(0)
    claiming.cancel()
    with suppress(asyncio.CancelledError):
        await claiming
    assert released
    assert all(each.done() for each in released)
    await second.claim("a")


async def test_a_claim_that_is_cancelled_twice_leaves_the_run_free(open_store: OpenStore, path: Path) -> None:
    """If the caller is cancelled again during the release, the next renewal releases the run."""
    store = await open_store()
    second = await open_store()
    await store.release("a", await new_run(store, "a"))
    with locked(path):
        claiming = asyncio.create_task(store.claim("a"))
        for _ in range(2):
            await asyncio.sleep(0)
            claiming.cancel()
        await asyncio.wait([claiming])
    await store.tag("a", ["later"])
    assert store.lease is not None
    store.lease.renew()
    await second.claim("a")


async def test_a_renewal_after_the_end_leaves_no_owner(store: SQLiteStore, path: Path) -> None:
    """A row recorded while the store closes would never be removed."""
    assert store.lease is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        store.lease.retire(connection)
    store.lease.renew()
    assert rows(path, "SELECT * FROM owners") == []


async def test_an_opening_to_read_that_is_cancelled_leaves_no_thread(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection was open already, and its thread would keep the process from exiting."""
    await store.close()
    before = set(threading.enumerate())
    reads, may_continue = threading.Event(), threading.Event()

    def slow(*_: object, **__: object) -> None:
        reads.set()
        may_continue.wait(10)

    monkeypatch.setattr("graphengine.databases.sqlite.readers.in_snapshot", slow)
    opening = asyncio.create_task(SQLiteStore(path, read_only=True).open())
    await asyncio.to_thread(reads.wait, 10)
    opening.cancel()
    may_continue.set()
    await asyncio.wait([opening])
    left = [thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio")]
    for thread in left:
        thread.join(30)
    assert not [thread for thread in left if thread.is_alive()]
