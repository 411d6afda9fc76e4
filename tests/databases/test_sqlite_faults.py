"""Faults of the medium: one clear error, and everything else continues; `rows.txt` has those of one row."""

# these tests are alone on their loop

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from graphengine.databases.sqlite import SQLiteStore, direct
from graphengine.errors import (
    LeaseLost,
    StoreError,
    StoreLocked,
)
from graphengine.kernel.testing.kit import (
    SnapshotProbe,
    append,
    batch,
    new_run,
    refused,
    run_info,
    seqs,
    step,
    steps,
)
from graphengine.stores.base import Append
from tests.databases.support import OpenStore, OtherProcess, forging, locked, queued, seqs_in
from tests.kit.facts import altered


def change(path: Path, statement: str) -> None:
    """Change the database without the store."""
    with closing(forging(path)) as connection, connection:
        assert connection.execute(statement).rowcount == 1


@pytest.fixture(autouse=True)
def no_direct_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave all writes to the thread."""
    monkeypatch.setattr(direct, "MOST_BYTES", -1)


async def outcomes(*pending: Awaitable[None] | None) -> list[type[BaseException] | None]:
    """Return the exception of each of them."""
    results = await asyncio.gather(*map(queued, pending), return_exceptions=True)
    return [None if result is None else type(result) for result in results]


# -- which callers fail when a commit fails


async def test_a_failed_commit_fails_every_job_in_it(open_store: OpenStore, path: Path) -> None:
    """If the medium fails, each caller gets its own error with the cause, and nothing was written."""
    store = await open_store(busy_timeout_seconds=0.01)
    fences = {run_id: await new_run(store, run_id) for run_id in ("a", "b", "c")}
    with locked(path):
        pending = [store.append(batch(run_id, fence, [step(1)])) for run_id, fence in fences.items()]
        errors = await asyncio.gather(*map(queued, pending), return_exceptions=True)
    assert [type(error) for error in errors] == [StoreLocked] * 3
    assert len({id(error) for error in errors}) == 3
    for error in errors:
        assert isinstance(error, StoreLocked)
        assert isinstance(error.__cause__, sqlite3.OperationalError)
        assert str(path) in error.where
        assert error.repair
    assert [(await store.info(run_id)).seq for run_id in fences] == [0, 0, 0]
    for run_id, fence in fences.items():
        await append(store, batch(run_id, fence, [step(1)]))


async def test_steps_queued_after_a_failed_step_are_refused(open_store: OpenStore, path: Path) -> None:
    """No step is recorded after one that was not."""
    store = await open_store(busy_timeout_seconds=0.01)
    fence = await new_run(store)
    with locked(path):
        first = store.append(batch("r", fence, [step(1)]))
        assert await outcomes(first) == [StoreLocked]
    assert await outcomes(store.append(batch("r", fence, [step(2)]))) == [StoreError]
    assert (await store.info("r")).seq == 0


async def test_values_that_cannot_be_stored_fail_only_their_job(store: SQLiteStore) -> None:
    """A job whose values SQLite refuses fails, and the others in its transaction are written."""
    fences = {run_id: await new_run(store, run_id) for run_id in ("a", "b", "c")}
    pending = [store.append(batch("a", fences["a"], [step(1)]))]
    broken = altered(step(1), at="soon")  # values that no type checker saw
    pending.append(store.append(batch("b", fences["b"], [broken])))
    unnamed = asyncio.ensure_future(store.create(run_info("\udc80"), [], {}))
    pending.append(store.append(batch("c", fences["c"], [step(1)])))
    assert await outcomes(*pending) == [None, StoreError, None]
    with refused(StoreError):
        await unnamed
    assert [(await store.info(run_id)).seq for run_id in fences] == [1, 0, 1]


@pytest.mark.parametrize(
    ("changed", "first", "error"),
    [
        ("UPDATE runs SET fence = fence + 1 WHERE id = 'b'", 2, LeaseLost),
        ("UPDATE runs SET driver = 'another' WHERE id = 'b'", 2, LeaseLost),
        ("UPDATE runs SET id = 'another' WHERE id = 'b'", 2, LeaseLost),
        ("UPDATE runs SET graph = 'h' WHERE id = 'b'", 3, StoreError),
        ("UPDATE runs SET graph = 'h' WHERE id = 'b'", 1, StoreError),
        ("UPDATE runs SET status = 'waiting' WHERE id = 'b'", 2, None),
    ],
)
async def test_appends_in_one_statement_are_refused_one_by_one(
    store: SQLiteStore, changed: str, first: int, error: type[StoreError] | None
) -> None:
    """The statement with all appends of a transaction fails, but only the wrong append gets an error, its own."""
    fences = {run_id: await new_run(store, run_id, count=1) for run_id in ("a", "b", "c")}
    change(store.path, changed)
    added = {"a": steps(2, 3), "b": steps(first, first + 1), "c": [step(2, value="long" * 2000)]}
    pending = [store.append(batch(run_id, fence, added[run_id])) for run_id, fence in fences.items()]
    assert await outcomes(*pending) == [None, error, None]
    assert [seqs(await store.steps(run_id)) for run_id in "ac"] == [[1, 2, 3], [1, 2]]
    if error is None:
        assert ((await store.info("b")).status, (await store.info("b")).seq) == ("running", 3)


async def test_an_append_after_the_one_that_ends_the_run_is_refused(store: SQLiteStore) -> None:
    """An append after the one that ends the run is refused, also if both share a transaction and a statement."""
    fences = {run_id: await new_run(store, run_id, count=1) for run_id in ("a", "b")}
    pending = [
        store.append(batch("a", fences["a"], [step(2)])),
        store.append(batch("a", fences["a"], [step(3)], "finished")),
        store.append(batch("a", fences["a"], [step(4)])),
        store.append(batch("b", fences["b"], [step(2)])),
    ]
    assert await outcomes(*pending) == [None, None, LeaseLost, None]
    assert ((await store.info("a")).seq, (await store.info("a")).status) == (3, "finished")
    assert (await store.info("b")).seq == 2


async def test_a_step_that_another_program_wrote_is_not_doubled(store: SQLiteStore) -> None:
    """The end of the log is read in the transaction, not remembered."""
    fence = await new_run(store, count=1)
    change(store.path, "INSERT INTO steps (id, at, body, sum) SELECT id + 1, at, body, 0 FROM steps")
    assert await outcomes(store.append(batch("r", fence, [step(2)]))) == [StoreError]
    await append(store, batch("r", fence, [step(3)]))


def test_queued_jobs_are_written_when_the_loop_ends(path: Path) -> None:
    """If everything is cancelled, as at the end of asyncio.run, closing still writes what was queued."""

    async def main() -> None:
        store = SQLiteStore(path, synchronous="NORMAL")
        await store.open()
        fence = await new_run(store)

        async def work() -> None:
            try:
                await asyncio.gather(*(append(store, batch("r", fence, [step(seq)])) for seq in range(1, 6)))
            finally:
                await store.close()

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for each in asyncio.all_tasks() - {asyncio.current_task()}:
            each.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    assert asyncio.run(seqs_in(path)) == [1, 2, 3, 4, 5]
    assert list(path.parent.iterdir()) == [path]


# -- the medium


async def test_a_locked_database_raises_with_the_repair(open_store: OpenStore, path: Path) -> None:
    """Opening and writing wait for the timeout, then raise an error with the repair; reading does not wait."""
    store = await open_store(busy_timeout_seconds=0.01)
    await new_run(store)
    with locked(path):
        assert (await store.info("r")).seq == 0
        with refused(StoreLocked):
            await new_run(store, "other")
        with refused(StoreLocked) as caught:
            await open_store(busy_timeout_seconds=0.01)
        assert "busy_timeout_seconds" in caught[0].repair
    await new_run(store, "other")


def test_a_full_disk_loses_nothing_that_was_acknowledged(start_process: Callable[[], OtherProcess]) -> None:
    """On a full disk the step is refused, those before it are kept, and the run continues once there is space."""
    process = start_process()
    assert process.send("create r") == "ok"
    assert process.send("limit 1000000") == "ok"
    seq = 1
    while (answer := process.send(f"append r {seq}")) == "ok":
        seq += 1
    assert answer == "error store_full"
    assert seq > 10
    assert process.send("append r 1") in {"error store_full", "error store_error"}
    assert process.send("steps r") == f"ok {seq - 1}"
    assert process.send("limit 100000000") == "ok"
    assert process.send(f"append r {seq}") == "ok"
    assert process.send("steps r") == f"ok {seq}"
    assert process.send("close") == "ok"


# -- snapshots


async def test_snapshots_continue_where_the_last_driver_stopped(store: SQLiteStore) -> None:
    """A new driver, or a branch, counts the steps since the last snapshot, not since its claim."""
    fence = await new_run(store)
    for seq in range(1, 201):
        await append(store, batch("r", fence, [step(seq)]))
    await store.release("r", fence)
    fence = await store.claim("r")
    probe = SnapshotProbe()
    for seq in range(201, 300):
        await probe.append(store, fence, seq)
    assert probe.asked == [256]
    assert (await store.load("r")).snapshot == b'{"seq":256}'
    await store.release("r", fence)
    fence = await store.claim("r")
    probe = SnapshotProbe()
    for seq in range(300, 600):
        await probe.append(store, fence, seq)
    assert probe.asked == [512]


async def test_a_snapshot_is_part_of_its_batch(open_store: OpenStore, path: Path) -> None:
    """A snapshot is written with the steps before it, or not at all."""
    store = await open_store(busy_timeout_seconds=0.01)
    fence = await new_run(store, count=255)
    due = Append("r", fence, [step(256)], "running", snapshot=lambda: b'{"seq":256}')
    with locked(path), refused(StoreLocked):
        await append(store, due)
    assert (await store.load("r")).snapshot is None
    await store.release("r", fence)
    fence = await store.claim("r")
    await append(store, replace(due, fence=fence))
    assert (await store.load("r")).snapshot == b'{"seq":256}'
