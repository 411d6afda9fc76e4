"""A SQLite store whose event loop is gone."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from graphengine.stores.base import Store
from graphengine.stores.sqlite import SQLiteStore
from graphengine.stores.sqlite.worker import Worker
from graphengine.testing.store_kit import append, batch, new_run, steps


def threads() -> int:
    """How many threads work for stores."""
    return sum("graphengine" in each.name or "connection_worker" in each.name for each in threading.enumerate())


def test_it_is_let_go_without_its_loop(tmp_path: Path) -> None:
    """What was durable is there, the run can be claimed at once, and no thread is left."""
    store = SQLiteStore(tmp_path / "runs.db")

    async def begin() -> None:
        await store.open()
        fence = await new_run(store)
        await append(store, batch("r", fence, steps(1, 3)))

    async def go_on(other: Store) -> int:
        await other.open()
        try:
            await other.claim("r")
            return (await other.info("r")).seq
        finally:
            await other.close()

    before = threads()
    asyncio.run(begin())
    assert threads() > before
    store.abandon()
    store.abandon()  # nothing happens the second time
    assert asyncio.run(go_on(SQLiteStore(tmp_path / "runs.db"))) == 3
    assert asyncio.run(go_on(store)) == 3
    assert threads() == before


@pytest.mark.parametrize("closes", [False, True])
async def test_who_is_cancelled_waits_for_the_thread(tmp_path: Path, closes: bool) -> None:  # noqa: FBT001
    """It tells the event loop when it is done; one that was closed by then would end it with a traceback."""
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
