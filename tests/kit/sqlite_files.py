"""SQLite files of runs: one without runs, and how the owner of a store dies.

An owner that is killed here does what a killed process does: nothing. It releases no run and removes no row and no lock
file; the system frees its lock. Writes that were passed to its thread may or may not have happened.
"""

from __future__ import annotations

import asyncio
import functools
import tempfile
from pathlib import Path

from graphengine.databases.sqlite import SQLiteStore
from tests.kit.threads import lose


async def kill(store: SQLiteStore) -> None:
    """Free a store's lock and end its threads, without any other cleanup."""
    lease, writer, reader = store.lease, store._writer, store._reader  # noqa: SLF001
    assert lease is not None
    sweeping = store._sweeping  # noqa: SLF001
    if sweeping is not None:
        sweeping.cancel()
    lose(writer)
    checkpoints, direct = store._checkpoints, store._direct  # noqa: SLF001
    if direct is not None:
        direct.close()
    await writer.run(lambda _: checkpoints.close())
    await writer.close()  # work queued after the current transaction is lost with it
    if sweeping is not None:
        await asyncio.wait([sweeping])
    await reader.close()
    lease.stop()
    lease._lock.let_go()  # noqa: SLF001  # the file stays, as the system leaves it


@functools.cache
def empty_file() -> bytes:
    """Return a file without runs: to make its tables takes longer than to copy them."""
    with tempfile.TemporaryDirectory(prefix="graphengine-empty-") as folder:
        path = Path(folder) / "runs.db"

        async def made() -> None:
            store = SQLiteStore(path)
            await store.open()
            await store.close()

        asyncio.run(made())
        return path.read_bytes()
