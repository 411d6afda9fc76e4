"""A SQLite store whose event loop is gone."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from graphengine.stores.base import Store
from graphengine.stores.sqlite import SQLiteStore
from graphengine.stores.sqlite.worker import Worker
from tests.conformance.store_kit import append, batch, new_run, steps


def threads() -> set[threading.Thread]:
    """Return the threads that work for stores."""
    return {each for each in threading.enumerate() if "graphengine" in each.name}


def test_it_is_released_without_its_loop(tmp_path: Path) -> None:
    """Durable steps are kept, the run can be claimed at once, and no thread is left."""
    store = SQLiteStore(tmp_path / "runs.db")

    async def begin() -> None:
        await store.open()
        fence = await new_run(store)
        await append(store, batch("r", fence, steps(1, 3)))
        await store.vacuum()  # moves the log

    async def claim_again(other: Store) -> int:
        await other.open()
        try:
            await other.claim("r")
            return (await other.info("r")).seq
        finally:
            await other.close()

    before = threads()
    asyncio.run(begin())
    assert threads() - before
    checkpoints = store._checkpoints  # noqa: SLF001
    store.abandon()
    assert checkpoints is not None
    assert checkpoints._mover is None  # noqa: SLF001  # its connection is closed: Python 3.13 warns of those that are not
    store.abandon()  # nothing happens the second time
    assert asyncio.run(claim_again(SQLiteStore(tmp_path / "runs.db"))) == 3
    assert asyncio.run(claim_again(store)) == 3
    assert threads() <= before  # one of an earlier test can end meanwhile


def test_a_caller_that_is_cancelled_needs_no_answer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its work is done all the same, and the thread ends without a word, although the event loop is closed by then."""
    begun, may_end, done = threading.Event(), threading.Event(), threading.Event()

    def slow(raw: sqlite3.Connection) -> None:
        del raw
        begun.set()
        may_end.wait(10)
        done.set()

    async def begin() -> Worker:
        worker = Worker((tmp_path / "x.db").as_uri(), busy_timeout_seconds=1)
        working = asyncio.create_task(worker.run(slow))
        assert await asyncio.to_thread(begun.wait, 10)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        return worker

    before = threads()
    worker = asyncio.run(begin())
    may_end.set()
    worker.abandon()
    assert done.is_set()
    assert threads() <= before
    assert capfd.readouterr().err == ""
