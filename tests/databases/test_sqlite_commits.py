"""Group commit on its own: what a queue of jobs guarantees to its callers."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from graphengine.databases.sqlite.checkpoints import Checkpoints
from graphengine.databases.sqlite.commits import GroupCommit
from graphengine.databases.sqlite.files import OpenFiles
from graphengine.databases.sqlite.worker import Worker
from graphengine.errors import RunnerClosed, StoreCorrupt, StoreError
from graphengine.kernel.testing.kit import refused


def note(connection: sqlite3.Connection, word: str) -> str:
    """Return a job that writes a word."""
    connection.execute("INSERT INTO words VALUES (?)", (word,))
    return word


def words(connection: sqlite3.Connection) -> list[str]:
    """Return the words that the jobs wrote."""
    return [word for (word,) in connection.execute("SELECT word FROM words ORDER BY rowid")]


def begins(connection: sqlite3.Connection) -> list[str]:
    """Return a list to which each transaction that begins is added."""
    found: list[str] = []
    connection.set_trace_callback(lambda statement: found.append(statement) if "BEGIN" in statement else None)
    return found


@pytest.fixture
async def worker(path: Path) -> AsyncIterator[Worker]:
    """A connection to a database of words."""
    worker = await Worker.connect(path.as_uri(), busy_timeout_seconds=1)
    await worker.run(lambda connection: connection.execute("CREATE TABLE words (word TEXT NOT NULL)"))
    yield worker
    await worker.close()


async def test_jobs_queued_together_are_committed_together(worker: Worker, path: Path) -> None:
    """A hundred jobs take at most two transactions, and keep their order."""
    commits = GroupCommit(worker, OpenFiles(path), Checkpoints(path, "NORMAL"))
    transactions = await worker.run(begins)
    expected = [f"{n}" for n in range(100)]
    assert await asyncio.gather(*(commits.submit(partial(note, word=word)) for word in expected)) == expected
    assert len(transactions) <= 2
    assert await worker.run(words) == expected


async def test_a_lone_job_is_written_at_once(worker: Worker, path: Path) -> None:
    """After a job that shared its transaction with none, the next one does not wait for the end of the loop's turn."""
    commits = GroupCommit(worker, OpenFiles(path), Checkpoints(path, "NORMAL"))
    await commits.submit(partial(note, word="first"))
    second = commits.submit(partial(note, word="second"))
    with closing(sqlite3.connect(path)) as other:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and words(other) != ["first", "second"]:
            time.sleep(0.001)  # noqa: ASYNC251 - the turn does not end
        assert words(other) == ["first", "second"]
    await second


async def test_what_follows_a_commit_shares_the_next_transaction(worker: Worker, path: Path) -> None:
    """Two callers that write one job after the other come to share their transactions, instead of taking turns."""
    commits = GroupCommit(worker, OpenFiles(path), Checkpoints(path, "NORMAL"))
    transactions = await worker.run(begins)
    goes_on = threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        goes_on.wait(30)

    async def write(first: Callable[[sqlite3.Connection], object], word: str) -> None:
        await commits.submit(first)
        await commits.submit(partial(note, word=word))

    async with asyncio.TaskGroup() as group:
        group.create_task(write(wait, "a"))
        while not transactions:  # noqa: ASYNC110 - the thread has no event of the loop
            await asyncio.sleep(0)
        group.create_task(write(partial(note, word="b"), "c"))
        await asyncio.sleep(0)
        goes_on.set()
    assert await worker.run(words) == ["b", "a", "c"]
    assert len(transactions) == 3


async def test_draining_continues_when_it_is_cancelled(worker: Worker, path: Path) -> None:
    """Cancelling the writing task repeatedly loses no job and leaves no caller waiting."""
    commits = GroupCommit(worker, OpenFiles(path), Checkpoints(path, "NORMAL"))
    pending = [commits.submit(partial(note, word=f"{n}")) for n in range(20)]
    draining = asyncio.create_task(commits.drain())
    while not draining.done():
        draining.cancel()
        await asyncio.sleep(0)
    assert await asyncio.gather(*pending) == [f"{n}" for n in range(20)]
    assert len(await worker.run(words)) == 20


async def test_a_closed_connection_fails_every_waiter(worker: Worker, path: Path) -> None:
    """If the connection is gone, every caller gets an error."""
    commits = GroupCommit(worker, OpenFiles(path), Checkpoints(path, "NORMAL"))
    await worker.close()
    pending = [commits.submit(partial(note, word="late")) for _ in range(3)]
    for each in pending:
        with refused(RunnerClosed):
            await each


async def test_a_job_that_fails_does_not_affect_its_transaction(worker: Worker, path: Path) -> None:
    """The writes of a job that fails for its own reason are undone, and the other jobs are repeated."""

    def spoil(connection: sqlite3.Connection) -> None:
        note(connection, "half")
        raise OverflowError

    commits = GroupCommit(worker, OpenFiles(path), Checkpoints(path, "NORMAL"))
    before = commits.submit(partial(note, word="before"))
    spoiled = commits.submit(spoil)
    after = commits.submit(partial(note, word="after"))
    results = await asyncio.gather(before, spoiled, after, return_exceptions=True)
    assert [str(results[0]), str(results[2])] == ["before", "after"]
    assert isinstance(results[1], Exception)
    assert isinstance(results[1].__cause__, OverflowError)
    assert await worker.run(words) == ["before", "after"]


@pytest.mark.parametrize("error", [StoreCorrupt("a damaged row"), OverflowError()], ids=["refused", "spoiled"])
async def test_a_job_that_fails_halfway_through_rows_does_not_stop_later_ones(
    worker: Worker, path: Path, error: Exception
) -> None:
    """Its statement ends with it; else the next job would write on what the database was before another wrote."""

    def read_and_fail(connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT word FROM words")
        next(rows)
        raise error

    await worker.run(lambda connection: connection.execute("PRAGMA journal_mode = wal").fetchone())
    await worker.run(lambda connection: [note(connection, word) for word in ("one", "two")])
    commits = GroupCommit(worker, OpenFiles(path), Checkpoints(path, "NORMAL"))
    with pytest.raises(StoreError):
        await commits.submit(read_and_fail)
    with closing(sqlite3.connect(path)) as other, other:
        note(other, "three")
    assert await commits.submit(partial(note, word="four")) == "four"


async def test_a_failed_commit_fails_its_jobs_and_no_later_ones(worker: Worker, path: Path) -> None:
    """COMMIT itself fails once: the jobs of that transaction get the error, and the next one is written."""

    def fail_once(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("CREATE TABLE kinds (kind TEXT PRIMARY KEY)")
        connection.execute("CREATE TABLE uses (kind TEXT REFERENCES kinds DEFERRABLE INITIALLY DEFERRED)")

    def spoil(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO uses VALUES ('unknown')")  # which is only detected by COMMIT

    await worker.run(fail_once)
    commits = GroupCommit(worker, OpenFiles(path), Checkpoints(path, "NORMAL"))
    before, spoiled = commits.submit(partial(note, word="before")), commits.submit(spoil)
    later = commits.submit(partial(note, word="later"))
    errors = await asyncio.gather(before, spoiled, later, return_exceptions=True)
    for error in errors:
        assert isinstance(error, StoreError)
        assert isinstance(error.__cause__, sqlite3.IntegrityError)
    assert len({id(error) for error in errors}) == 3
    assert await commits.submit(partial(note, word="after")) == "after"
    assert await worker.run(words) == ["after"]
