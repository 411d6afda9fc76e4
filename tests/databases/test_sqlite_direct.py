"""Writes that the event loop makes itself, at NORMAL: short ones, of one run in a turn, if nothing is in the way."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from graphengine.databases.sqlite import SQLiteStore, checkpoints, direct
from graphengine.databases.sqlite.direct import Direct, NotDone
from graphengine.databases.sqlite.files import OpenFiles
from graphengine.errors import LeaseLost, RunExists, StoreError
from graphengine.kernel.store import MIN_ROWS
from graphengine.kernel.testing.kit import append, batch, new_run, refused, seqs, step
from tests.databases.support import OpenStore, locked, queued, rows


def last_id(path: Path) -> int:
    """Return the id of the newest step, as another process reads it."""
    with closing(sqlite3.connect(path)) as connection:
        (found,) = connection.execute("SELECT max(id) & 0xFFFFFFFF FROM steps").fetchone()
        return int(found)


def own_connection(store: SQLiteStore) -> sqlite3.Connection:
    """Return the event loop's own connection."""
    direct_writes = store._direct  # noqa: SLF001
    assert direct_writes is not None
    connection = direct_writes._connection  # noqa: SLF001
    assert connection is not None
    return connection


async def test_a_lone_step_is_durable_when_the_call_returns(store: SQLiteStore) -> None:
    """Nothing is awaited, so the run continues in the same turn, also over several steps."""
    fence = await new_run(store, count=1)
    for seq in (2, 3, 4):
        assert store.append(batch("r", fence, [step(seq)])) is None
        assert last_id(store.path) == seq
    assert store.append(batch("r", fence, [step(5)], "finished")) is None
    assert ((await store.info("r")).status, (await store.info("r")).driver) == ("finished", None)


async def test_other_runs_share_the_next_transaction(store: SQLiteStore) -> None:
    """In one turn only the first run is written by itself; in the next turn it can be another one."""
    fences = {run_id: await new_run(store, run_id, count=1) for run_id in ("a", "b", "c")}
    await asyncio.sleep(0)
    first, *others = [store.append(batch(run_id, fence, [step(2)])) for run_id, fence in fences.items()]
    assert first is None
    await asyncio.gather(*map(queued, others))
    assert store.append(batch("b", fences["b"], [step(3)])) is None


async def test_long_writes_are_the_threads(store: SQLiteStore) -> None:
    """A value of many pages does not hold up the event loop."""
    fence = await new_run(store, count=1)
    await queued(store.append(batch("r", fence, [step(2, value="x" * direct.MOST_BYTES)])))
    assert store.append(batch("r", fence, [step(3)])) is None


async def test_at_full_every_write_is_the_threads(open_store: OpenStore) -> None:
    """There a commit waits for the disk."""
    store = await open_store(synchronous="FULL")
    fence = await new_run(store, count=1)
    await queued(store.append(batch("r", fence, [step(2)])))


@pytest.mark.parametrize("level", ["FULL", "NORMAL"])
async def test_short_reads_are_the_loops(open_store: OpenStore, level: Literal["FULL", "NORMAL"]) -> None:
    """What was just written is read without a thread; what is long, or has a long value, goes to the thread."""
    store = await open_store(synchronous=level)
    fence = await new_run(store, count=1)
    await append(store, batch("r", fence, [step(seq) for seq in range(2, 12)]))
    assert (await store.info("r")).seq == (await store.infos(["r"]))[0].seq == 11
    opened = [store._reader.connections]  # noqa: SLF001
    assert seqs(await store.steps("r")) == list(range(1, 12))
    await append(store, batch("r", fence, [step(seq) for seq in range(12, 1200)]))
    assert seqs(await store.steps("r")) == list(range(1, 1200))
    assert [*opened, store._reader.connections] == [0, 1]  # noqa: SLF001
    own = Direct(OpenFiles(store.path), checkpoints.Checkpoints(store.path, level))
    await append(store, batch("r", fence, [step(1200, value="x" * 3 * direct.MOST_BYTES)]))
    with pytest.raises(NotDone):
        await own.read(lambda connection: connection.execute("SELECT body FROM texts").fetchall())
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("UPDATE runs SET fence = fence + 1")
        assert await own.read(lambda connection: connection.execute("SELECT fence FROM runs").fetchone()) == (fence,)
        other.commit()
    assert await own.read(lambda connection: connection.execute("SELECT fence FROM runs").fetchone()) == (fence + 1,)
    own.close()
    with pytest.raises(NotDone):
        await own.read(lambda _: None)


async def test_who_asks_again_and_again_lets_others_run(store: SQLiteStore) -> None:
    """As a program that asks for a run until it is finished, which this event loop drives."""
    await new_run(store, count=1)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    for _ in range(20):
        await store.info("r")
    task.cancel()
    assert turns >= 20


async def test_a_read_of_any_length_leaves_no_transaction(store: SQLiteStore) -> None:
    """SQLite counts the steps of each statement over all its uses: that of the end of a transaction, too."""
    await store.open()
    own = Direct(OpenFiles(store.path), checkpoints.Checkpoints(store.path, "NORMAL"))
    counted = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < ?) SELECT max(x) FROM c"

    def counts(connection: sqlite3.Connection, most: int) -> None:
        connection.execute(counted, (most,)).fetchone()

    done = 0
    for number in range(6000):
        with suppress(NotDone):
            await own.read(partial(counts, most=10 + number // 20))
            done += 1
        await own.read(partial(counts, most=1))
    assert 0 < done < 6000
    own.close()


async def test_the_event_loop_waits_for_no_lock(store: SQLiteStore) -> None:
    """While another process writes, the step is queued, and the thread waits for the lock."""
    fence = await new_run(store, count=1)
    with locked(store.path):
        pending = queued(store.append(batch("r", fence, [step(2)])))
    await pending
    assert seqs(await store.steps("r")) == [1, 2]


async def test_what_is_refused_is_reported_as_by_the_thread(store: SQLiteStore) -> None:
    """Nothing of it is written, and the next write is direct again."""
    fence = await new_run(store, count=1)
    with refused(RunExists):
        await new_run(store)
    with closing(sqlite3.connect(store.path)) as other, other:
        other.execute("UPDATE runs SET fence = fence + 1")
    for asked in ([step(2)], []):
        with refused(LeaseLost):
            await append(store, batch("r", fence, asked))
    with closing(sqlite3.connect(store.path)) as other, other:
        other.execute("UPDATE runs SET fence = fence - 1")
    assert store.append(batch("r", fence, [step(2)])) is None
    assert seqs(await store.steps("r")) == [1, 2]


async def test_a_lone_step_is_one_statement(store: SQLiteStore) -> None:
    """The statement is a transaction of its own. What changes more than the log of its run has a longer transaction."""
    fence = await new_run(store, count=1)
    own = own_connection(store)
    statements: list[str] = []
    own.set_trace_callback(statements.append)
    assert store.append(batch("r", fence, [step(2)])) is None
    assert len(statements) == 1
    statements.clear()
    assert store.append(batch("r", fence, [step(3)], "finished")) is None
    assert [statements[0], statements[-1]] == ["BEGIN IMMEDIATE", "COMMIT"]


LOSSES = {
    "another fence": "UPDATE runs SET fence = fence + 1",
    "another driver": "UPDATE runs SET driver = 'other'",
    "no driver": "UPDATE runs SET driver = NULL",
    "another run under this key": "UPDATE runs SET id = 'other'",
    "a removed run": "DELETE FROM runs",
    "a step by another process": "INSERT INTO steps (id, at, body, sum) SELECT id + 1, at, body, sum FROM steps",
    "a lost step": "DELETE FROM steps",
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_lone_step_of_a_run_that_was_lost_is_refused(store: SQLiteStore, loss: str) -> None:
    """Whatever another connection committed since the last step: the statement itself checks it, each time."""
    fence = await new_run(store, count=1)
    assert store.append(batch("r", fence, [step(2)])) is None
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("DELETE FROM steps WHERE id & 0xFFFFFFFF = 1")
        other.execute(LOSSES[loss])
        other.commit()
    before = [rows(store.path, query) for query in ("SELECT * FROM runs", "SELECT * FROM steps")]
    with refused(StoreError):
        await append(store, batch("r", fence, [step(3)]))
    assert [rows(store.path, query) for query in ("SELECT * FROM runs", "SELECT * FROM steps")] == before


async def test_the_same_process_can_lose_a_run_to_itself(open_store: OpenStore) -> None:
    """A second store of the process takes the run by its own connection, and the first one cannot write any more."""
    first, second = await open_store(), await open_store()
    fence = await new_run(first, count=1)
    assert first.append(batch("r", fence, [step(2)])) is None
    with closing(sqlite3.connect(first.path)) as other, other:
        other.execute("UPDATE runs SET driver = NULL")
    taken = await second.claim("r")
    with refused(LeaseLost):
        await append(first, batch("r", fence, [step(3)]))
    await append(second, batch("r", taken, [step(3)]))
    assert seqs(await second.steps("r")) == [1, 2, 3]


async def test_a_lone_step_waits_for_no_transaction_that_is_open(store: SQLiteStore) -> None:
    """In an open transaction, the statement would not commit: the step goes to the thread, and is durable."""
    fence = await new_run(store, count=1)
    own = own_connection(store)
    own.execute("BEGIN")
    await queued(store.append(batch("r", fence, [step(2)])))
    assert (last_id(store.path), own.in_transaction) == (2, False)


async def test_lone_steps_are_counted_for_snapshots(store: SQLiteStore) -> None:
    """A snapshot is written as soon as the steps since the last one are many and long enough."""
    fence = await new_run(store, count=1)
    made: list[int] = []

    def snapshot() -> bytes:
        made.append(seq)
        return b'{"x": 1}'

    for seq in range(2, 3 * MIN_ROWS):
        asked = batch("r", fence, [step(seq)])
        asked.snapshot = snapshot
        await append(store, asked)
    assert made == [MIN_ROWS, 2 * MIN_ROWS]


async def test_the_first_commit_after_a_checkpoint_is_the_threads(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step after a checkpoint restarts the log, and syncs it."""
    monkeypatch.setattr(checkpoints, "LOG_PAGES", 50)
    fence = await new_run(store, count=1)
    by_thread = []
    for seq in range(2, 102):
        pending = store.append(batch("r", fence, [step(seq)]))
        if pending is not None:
            by_thread.append(seq)
            await pending
            assert store._writer is not None  # noqa: SLF001
            await store._writer.run(lambda _: None)  # noqa: SLF001 - the log is moved
    assert len(by_thread) == 2 * 4  # the commit that finds the log long enough, and the one after it was moved
    assert all(second == first + 1 for first, second in zip(by_thread[::2], by_thread[1::2], strict=True))


async def test_an_interrupt_leaves_no_transaction(store: SQLiteStore) -> None:
    """Ctrl-C can arrive between any two statements."""
    fence = await new_run(store, count=1)
    own = Direct(OpenFiles(store.path), checkpoints.Checkpoints(store.path, "NORMAL"))

    def interrupted(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM runs")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own.write("r", interrupted, 0)
    assert store.append(batch("r", fence, [step(2)])) is None
    own.close()
    with pytest.raises(NotDone):
        own.write("r", lambda _: None, 0)


async def test_two_stores_that_write_at_once_lose_nothing(open_store: OpenStore) -> None:
    """Each finds the other's lock, or its pages, and both logs are whole."""
    stores = [await open_store(), await open_store()]
    fences = [await new_run(store, f"r{number}", count=1) for number, store in enumerate(stores)]
    for seq in range(2, 51):
        for number, store in enumerate(stores):
            await append(store, batch(f"r{number}", fences[number], [step(seq)]))
    for number, store in enumerate(reversed(stores)):
        assert seqs(await store.steps(f"r{number}")) == list(range(1, 51))
