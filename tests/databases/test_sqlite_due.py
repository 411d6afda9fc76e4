"""Which runs of a file are due when their driver died, and what finding them costs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from graphengine.databases.sqlite import SQLiteStore, owners
from graphengine.databases.sqlite.owners import LeaseOptions, Onlooker
from graphengine.databases.sqlite.taking import due
from graphengine.kernel.testing.kit import due_ids, new_run, waiting_run
from tests.databases.support import Clock, OpenStore, OtherProcess

LEASE_SECONDS = 30.0
LATEST = 5e9


def contents(path: Path) -> list[str]:
    """Return everything in the database."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


# -- dead drivers


async def test_runs_of_a_killed_process_are_due_at_once(
    store: SQLiteStore, open_store: OpenStore, path: Path, start_process: Callable[[], OtherProcess]
) -> None:
    """After kill -9 its runs are due for any store, also one that waits and was claimed; the check changes nothing."""
    for run_id in ("waits", "sleeps"):
        await waiting_run(store, run_id, due_at=5.0 if run_id == "waits" else LATEST)
    other = start_process()
    assert [other.send(line) for line in ("create a", "create b", "claim waits", "claim sleeps")] == ["ok"] * 4
    reader = await open_store(read_only=True)
    for each in (store, reader):
        assert await due_ids(each, 10.0) == []
    other.kill()
    before = contents(path)
    for each in (store, reader):
        assert await due_ids(each, 10.0) == ["a", "b", "waits"]
        assert [(info.driver, info.held) for info in await each.due(10.0)] == [(None, True)] * 3
    assert contents(path) == before
    await store.claim("a")
    assert await due_ids(store, 10.0) == ["b", "waits"], "an owner without a row is dead too"
    for run_id in ("b", "waits"):
        await store.claim(run_id)
    assert await due_ids(store, 10.0) == []


async def test_runs_of_an_owner_with_an_expired_lease_are_due(open_store: OpenStore, clock: Clock) -> None:
    """They are due for others since the owner's lease expired, and never for the owner itself, which lives."""
    first = await open_store(clock=clock, lease_seconds=LEASE_SECONDS)
    for run_id in ("later", "earlier"):
        await waiting_run(first, run_id)
    await new_run(first)
    clock.now += LEASE_SECONDS - 1
    second = await open_store(clock=clock, lease_seconds=LEASE_SECONDS)
    await second.post("earlier", "answer", 1, "k")
    assert await due_ids(second, clock.now) == ["earlier"]
    clock.now += 2
    await second.post("later", "answer", 1, "k")
    assert await due_ids(second, clock.now) == ["r", "earlier", "later"]
    assert await due_ids(first, clock.now) == ["earlier", "later"]


async def test_runs_of_a_dead_process_do_not_wait_for_the_backlog(
    open_store: OpenStore, clock: Clock, start_process: Callable[[], OtherProcess]
) -> None:
    """Its runs come first, whenever it died, and however long other runs have waited to be begun."""
    store = await open_store(clock=clock)
    await store.release("a", await new_run(store, "a"))
    other = start_process()
    other.send("claim a")
    clock.now += 1
    await waiting_run(store, "timer", due_at=clock.now)
    other.kill()
    for n in range(3):
        await store.release(f"new{n}", await new_run(store, f"new{n}"))
    assert await due_ids(store, clock.now) == ["a", "timer", "new0", "new1", "new2"]


async def test_runs_of_owners_that_died_at_one_time_are_sorted_by_creation(open_store: OpenStore, clock: Clock) -> None:
    """Runs of owners that died at one time are sorted by creation, not by the owners' ids, which are random."""
    others = [await open_store(clock=clock, lease_seconds=LEASE_SECONDS) for _ in range(6)]
    for n, owner in enumerate(others * 2):
        await new_run(owner, f"run{n}")
    clock.now += LEASE_SECONDS + 1
    store = await open_store(clock=clock, lease_seconds=LEASE_SECONDS)
    assert await due_ids(store, clock.now) == [f"run{n}" for n in range(12)]


async def test_each_owner_is_checked_once(
    store: SQLiteStore, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many runs the others drive, running or claimed, each owner's lock is checked once, but not its own."""
    second = await open_store()
    for n in range(5):
        await new_run(store, f"own{n}")
        await new_run(second, f"other{n}")
        await waiting_run(store, f"claimed{n}", due_at=5.0)
        await second.claim(f"claimed{n}")
    looked: list[str] = []
    check = owners.lock_shows_death

    def counted(owner: owners.Owner, folder: Path) -> bool:
        looked.append(owner.id)
        return check(owner, folder)

    monkeypatch.setattr(owners, "lock_shows_death", counted)
    assert await due_ids(store, 10.0) == []
    assert second.lease is not None
    assert looked == [second.lease.id]


# -- cost that does not depend on how much is stored

ADD_RUNS = """
    WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < ?)
    INSERT INTO runs (id, graph, fingerprint, status, created_at, parent_seq, fence, driver, due_at)
    SELECT hex(randomblob(8)), 'g', 'f1', ?, n, 0, 1, ?, ? FROM n
"""


@pytest.fixture
async def busy(store: SQLiteStore) -> SQLiteStore:
    """A store with two runs that are due, one that is not yet, and one that it drives."""
    await waiting_run(store, "timer", due_at=5.0)
    await waiting_run(store, "answered")
    await store.post("answered", "answer", 1, "k")
    await waiting_run(store, "later", due_at=LATEST)
    await new_run(store)
    return store


def instructions(store: SQLiteStore) -> int:
    """Return how many instructions SQLite needs, opening included, to find the due runs."""
    assert store.lease is not None
    onlooker = Onlooker(LeaseOptions(store.path, LEASE_SECONDS, 1.0), store.lease.id)
    counted: list[None] = []
    with closing(sqlite3.connect(store.path)) as connection:
        connection.set_progress_handler(lambda: counted.append(None), 1)
        assert [info.id for info in due(connection, onlooker, 10.0)] == ["timer", "answered"]
    return len(counted)


def add_runs(store: SQLiteStore, status: str, driver: str | None, due_at: float | None) -> None:
    """Record a thousand more runs, each with an undelivered message that does not make it due."""
    kind = "stop" if status == "waiting" else "answer"
    with closing(sqlite3.connect(store.path)) as connection, connection:
        (last,) = connection.execute("SELECT max(key) FROM runs").fetchone()
        connection.execute(ADD_RUNS, (1000, status, driver, due_at))
        added = connection.execute(
            "INSERT INTO inbox (run, key, kind, payload, posted_at, sum)"
            " SELECT key, 'k', ?, '1', 0, 0 FROM runs WHERE key > ?",
            (kind, last),
        )
        assert added.rowcount == 1000


@pytest.mark.parametrize("status", ["finished", "failed", "waiting", "running"])
async def test_finding_due_runs_does_not_read_others(busy: SQLiteStore, status: str) -> None:
    """Thousands of runs that ended, that wait for longer or that a live owner drives cost no instruction."""
    assert busy.lease is not None
    before = instructions(busy)
    driver = busy.lease.id if status == "running" else None
    add_runs(busy, status, driver, LATEST if status == "waiting" else None)
    assert 0 < instructions(busy) == before
