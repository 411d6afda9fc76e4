"""A SQLite store whose event loop is gone."""

import asyncio
import logging
import sqlite3
import threading
from pathlib import Path

import pytest
from typing_extensions import override

from graphengine.stores.base import Store
from graphengine.stores.sqlite import SQLiteStore
from graphengine.stores.sqlite.worker import Worker
from tests.conformance.store_kit import append, batch, new_run, steps


def threads() -> set[threading.Thread]:
    """Return the threads that work for stores."""
    return {each for each in threading.enumerate() if "graphengine" in each.name or "connection_worker" in each.name}


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


@pytest.mark.parametrize("closes", [False, True])
async def test_a_cancelled_caller_waits_for_the_thread(tmp_path: Path, closes: bool) -> None:  # noqa: FBT001
    """The thread notifies the event loop when it is done; if that were closed by then, it would print a traceback."""
    begun, may_end = threading.Event(), threading.Event()

    def slow(raw: sqlite3.Connection) -> None:
        begun.set()
        may_end.wait(10)

    worker = await Worker.connect((tmp_path / "x.db").as_uri(), busy_timeout_seconds=1)
    working = asyncio.create_task(worker.run(slow))
    assert await asyncio.to_thread(begun.wait, 10)
    closing = asyncio.create_task(worker.close()) if closes else None
    await asyncio.sleep(0)
    working.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not working.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    await (closing or worker.close())


async def test_a_closed_connection_has_no_thread(tmp_path: Path) -> None:
    """A closed connection has no thread, even if that needs a moment after it reported its last work."""

    class Late(logging.Handler):
        @override
        def emit(self, record: logging.LogRecord) -> None:
            if record.msg == "operation %s completed":
                threading.Event().wait(0.05)

    log, late = logging.getLogger("aiosqlite"), Late()
    log.addHandler(late)
    level = log.level
    log.setLevel(logging.DEBUG)
    try:
        before = threads()
        worker = await Worker.connect(f"file:{tmp_path / 'runs.db'}", busy_timeout_seconds=1)
        await worker.close()
        assert threads() <= before
    finally:
        log.removeHandler(late)
        log.setLevel(level)
