"""The write-ahead log: moved into the file when it is long, and never during a commit."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graphengine.databases.sqlite import SQLiteStore, checkpoints, removal
from graphengine.errors import StoreLocked
from graphengine.kernel.testing.kit import append, batch, new_run, step
from tests.databases.support import OpenStore, content_of, rows, seqs_in

PAGE_BYTES = 4096


def log_bytes(path: Path) -> int:
    """Return the length of the log."""
    return path.with_name(path.name + "-wal").stat().st_size


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make 40 pages the limit of the log."""
    monkeypatch.setattr(checkpoints, "LOG_PAGES", 40)


async def steps_up_to(store: SQLiteStore, last: int, first: int = 1) -> None:
    """Append steps to run r, each in its own commit."""
    for seq in range(first, last + 1):
        await append(store, batch("r", 1, [step(seq)]))


async def test_the_log_stays_short(store: SQLiteStore) -> None:
    """Commits are moved into the file continuously, so the log does not grow with the run."""
    await new_run(store)
    await steps_up_to(store, 50)
    before = log_bytes(store.path)
    await steps_up_to(store, 400, 51)
    assert log_bytes(store.path) <= before + 40 * PAGE_BYTES


async def test_a_long_read_blocks_no_other_process(store: SQLiteStore) -> None:
    """While a reader needs the log it grows; no other process waits for that, and the log is moved later."""
    await new_run(store)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM steps").fetchone()
        await steps_up_to(store, 100)
        assert reader.execute("SELECT count(*) FROM steps").fetchone() == (0,)
    grown = log_bytes(store.path)
    await steps_up_to(store, 300, 101)
    assert log_bytes(store.path) <= grown + 40 * PAGE_BYTES


async def test_closing_waits_for_no_other_process(tmp_path: Path) -> None:
    """Closing a store moves the log if possible; if a reader holds it, even forever, other processes do that later."""
    store = SQLiteStore(tmp_path / "runs.db", busy_timeout_seconds=3600)
    await store.open()
    await new_run(store)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM steps").fetchone()
        await steps_up_to(store, 3)
        await store.close()
        assert log_bytes(store.path) > 0
    assert await seqs_in(store.path) == [1, 2, 3]
    assert not store.path.with_name("runs.db-wal").exists()


async def test_no_process_commits_while_the_log_is_moved(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write lock is held meanwhile: in SQLite before 3.51.3 a commit at that moment could damage the file."""
    held: list[bool] = []

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if "wal_checkpoint" in sql:
                with closing(sqlite3.connect(store.path, timeout=0, isolation_level=None)) as other:
                    try:
                        other.execute("BEGIN IMMEDIATE")
                    except sqlite3.OperationalError:
                        held.append(True)
                    else:
                        held.append(False)
            return super().execute(sql, *args)

    def connect(uri: str, *, busy_timeout_seconds: float) -> sqlite3.Connection:
        return sqlite3.connect(
            uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=busy_timeout_seconds,
            factory=Watched,
        )

    monkeypatch.setattr(checkpoints, "connect", connect)
    await new_run(store)
    await steps_up_to(store, 100)
    assert held
    assert all(held)


@pytest.mark.parametrize("how", ["close", "vacuum"])
async def test_the_log_is_not_moved_while_another_process_writes(
    store: SQLiteStore, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Closing and vacuuming take the write lock for it too, or leave the log to others."""
    leaver = await open_store(busy_timeout_seconds=0.05)
    await new_run(leaver)
    assert leaver.lease is not None
    stop = leaver.lease.stop
    with closing(sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)) as other:

        def take_lock() -> None:
            other.execute("BEGIN IMMEDIATE")
            stop()

        before = content_of(store.path)
        if how == "close":
            monkeypatch.setattr(leaver.lease, "stop", take_lock)
            await leaver.close()
        else:
            take_lock()
            with pytest.raises(StoreLocked):
                await leaver.vacuum()
        assert content_of(store.path) == before
        other.execute("ROLLBACK")


async def test_vacuum_waits_for_a_read_to_end(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that is under way holds the log; after a pause, vacuum tries again."""
    await new_run(store)
    await steps_up_to(store, 30)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM steps").fetchone()

        async def ends(seconds: float) -> None:
            if not seconds:  # the turn of the event loop before a read
                return
            assert log_bytes(store.path) > removal.SHORTEST_LOG_BYTES
            reader.execute("ROLLBACK")

        own = SimpleNamespace(**{**vars(asyncio), "sleep": ends})  # of this module alone: other threads have loops too
        monkeypatch.setattr("graphengine.databases.sqlite.removal.asyncio", own)
        await store.vacuum()
        assert log_bytes(store.path) == removal.SHORTEST_LOG_BYTES


async def test_vacuum_cuts_the_log(store: SQLiteStore) -> None:
    """Its content is in the file then; the log holds one small commit."""
    await new_run(store)
    await store.post("r", "message", "x" * 400_000, "k")
    await store.vacuum()
    assert log_bytes(store.path) < 10 * PAGE_BYTES


async def test_no_connection_moves_the_log_by_itself(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Automatic checkpoints are off for the writing connection and for the one that renews the lease."""
    monkeypatch.setattr(checkpoints, "LOG_PAGES", 1 << 40)
    store = await open_store()
    await new_run(store)
    assert store.lease is not None
    for number in range(40):
        await store.post("r", "message", "x" * 400_000, str(number))
        store.lease.renew()
    assert log_bytes(store.path) > 40 * 400_000 > 1000 * PAGE_BYTES  # SQLite's default


async def test_a_log_that_cannot_be_moved_fails_no_write(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Commits are durable in the log: a failed move is logged, and tried again."""

    def refuse(*_: object, **__: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    await new_run(store)
    with monkeypatch.context() as patch, caplog.at_level("INFO", "graphengine.stores"):
        patch.setattr(checkpoints, "connect", refuse)
        await steps_up_to(store, 100)
    assert "was not moved into the file: disk I/O error" in caplog.text
    grown = log_bytes(store.path)
    await steps_up_to(store, 300, 101)
    assert log_bytes(store.path) <= grown + 40 * PAGE_BYTES


def test_a_connection_that_cannot_be_prepared_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it keeps files and locks until it is collected, and Python warns of it at an unrelated moment."""
    opened: list[sqlite3.Connection] = []

    def connect(uri: str, *, busy_timeout_seconds: float) -> sqlite3.Connection:
        opened.append(sqlite3.connect(uri, uri=True, timeout=busy_timeout_seconds))
        return opened[-1]

    (tmp_path / "runs.db").write_bytes(b"no database" * 100)
    monkeypatch.setattr(checkpoints, "connect", connect)
    with pytest.raises(sqlite3.DatabaseError):
        checkpoints.connect_too(tmp_path / "runs.db", "FULL", busy_timeout_seconds=0)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


async def settled(*stores: SQLiteStore) -> None:
    """Return once the threads of the writing connections have done what they were asked."""
    for store in stores:
        await store._writer.run(lambda _: None)  # noqa: SLF001 - a move has no caller who is told


@pytest.mark.parametrize("seed", range(4))
async def test_idle_and_slow_processes_keep_the_log_short(store: SQLiteStore, open_store: OpenStore, seed: int) -> None:
    """A day of renewals of many processes, some of which write now and then, stays below a bound at every moment."""
    draw = random.Random(seed)  # noqa: S311
    fleet = [store, *[await open_store() for _ in range(draw.randint(0, 6))]]
    slow = draw.sample(fleet, draw.randint(0, len(fleet)))
    await new_run(store)
    bound = checkpoints.longest_log() + len(fleet) * 20 * PAGE_BYTES  # between two looks of one process
    longest = 0
    for turn in range(8640 // (10 * len(fleet))):
        for each in draw.sample(fleet, len(fleet)):
            assert each.lease is not None
            each.lease.renew()
            if each in slow and draw.random() < 0.05:
                await each.post("r", "message", turn, f"{turn} {id(each)}")
            await settled(each)
            longest = max(longest, log_bytes(store.path))
    assert checkpoints.LOG_PAGES * PAGE_BYTES < longest <= bound


async def test_a_renewal_never_moves_the_log(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease's thread asks once for a log that is too long, and the thread of the writing connection moves it."""
    movers: list[threading.Thread] = []
    move = checkpoints.Checkpoints._move  # noqa: SLF001

    def moved(self: checkpoints.Checkpoints, connection: sqlite3.Connection) -> tuple[int, int]:
        movers.append(threading.current_thread())
        return move(self, connection)

    monkeypatch.setattr(checkpoints.Checkpoints, "_move", moved)
    ended, lease = threading.Event(), store.lease
    assert lease is not None

    def is_busy(_: sqlite3.Connection) -> None:
        ended.wait(20)

    store._writer.post(is_busy)  # noqa: SLF001
    for _ in range(200):
        lease.renew()
    assert not movers
    ended.set()
    await settled(store)
    assert len(movers) == 1
    assert movers[0].name == "graphengine-sqlite"


async def test_a_very_long_log_is_moved_without_the_write_lock(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. A reader needed the log for long. 2. It is moved; another process commits meanwhile. 3. No commit is lost."""
    monkeypatch.setattr(checkpoints, "LOCKED_BYTES", 50 * PAGE_BYTES)
    await new_run(store)
    begun: list[str] = []
    commits: list[None] = []
    move_in = checkpoints.Checkpoints._move_in  # noqa: SLF001

    class Beside(sqlite3.Connection):
        """A connection that moves the log, beside which another process commits twice."""

        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if "wal_checkpoint" in sql and begun[-1] == "BEGIN":
                commit()
                found = super().execute(sql, *args)
                commit()
                return found
            return super().execute(sql, *args)

    def commit() -> None:
        with closing(sqlite3.connect(store.path, timeout=0, isolation_level=None)) as other:
            other.execute("PRAGMA wal_autocheckpoint = 0")
            row = "SELECT 'x' || max(id), 'elsewhere', 1, '', 0 FROM owners"
            other.execute(f"INSERT INTO owners (id, host, pid, lock_file, expires_at) {row}")
            commits.append(None)

    def connect(uri: str, *, busy_timeout_seconds: float) -> sqlite3.Connection:
        return sqlite3.connect(
            uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=busy_timeout_seconds,
            factory=Beside,
        )

    def moves(connection: sqlite3.Connection, mover: sqlite3.Connection, begin: str) -> tuple[int, int, int]:
        begun.append(begin)
        return move_in(connection, mover, begin)

    monkeypatch.setattr(checkpoints, "connect", connect)
    monkeypatch.setattr(checkpoints.Checkpoints, "_move_in", staticmethod(moves))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM steps").fetchone()
        await store.post("r", "message", "x" * 400_000, "k")
        await steps_up_to(store, 100)
        await settled(store)
    before, begun[:] = log_bytes(store.path), []
    assert before > checkpoints.LOCKED_BYTES
    await steps_up_to(store, 200, 101)
    assert begun[:2] == ["BEGIN", "BEGIN IMMEDIATE"]
    await settled(store)
    await steps_up_to(store, 201, 201)
    assert log_bytes(store.path) <= checkpoints.longest_log() < before
    assert len(rows(store.path, "SELECT id FROM owners")) == 1 + len(commits)
    assert await seqs_in(store.path) == list(range(1, 202))
