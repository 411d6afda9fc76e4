"""A SQLite store whose event loop is gone."""

import asyncio
import threading
from pathlib import Path

from graphengine.stores.base import Store
from graphengine.stores.sqlite import SQLiteStore
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
