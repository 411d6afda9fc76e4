"""The media of stores, and how their owners die: the same interface for a store in memory and for one in a file.

A medium outlives its owners. An owner that is killed here does what a killed process does: nothing. It releases no run
and removes no row and no lock file; the system frees its lock. Writes passed to its thread may or may not have
happened.
"""

from __future__ import annotations

import asyncio
import functools
import math
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Protocol
from unittest.mock import patch

from graphengine.databases.sqlite import SQLiteStore
from graphengine.kernel.fake_clock import FakeClock
from graphengine.stores.base import Store
from graphengine.stores.memory import InMemoryStore
from tests.stateful.threads import lose

LEASE_SECONDS = 30.0
PATIENCE_SECONDS = 20.0


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


class Disk:
    """A slow disk that a store's commits wait for.

    Attributes:
        reached: Set once a commit waits for it.
        goes: Set when waiting commits may continue.
    """

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.goes = threading.Event()

    async def arrival(self) -> None:
        """Wait until a commit waits."""
        while not self.reached.is_set():  # noqa: ASYNC110 - set by a thread of the store
            await asyncio.sleep(0.0001)

    def trace(self, statement: str) -> None:
        """Wait before a commit. SQLite calls this on the store's thread before each statement."""
        if statement == "COMMIT":
            self.reached.set()
            assert self.goes.wait(PATIENCE_SECONDS)


class Medium(Protocol):
    """A place where runs are stored.

    Attributes:
        places: The maximum number of owners at a time.
        lease_seconds: How long an owner counts as alive without a sign of life.
        shows_death: Whether a run stays claimed when its owner is killed.
    """

    places: int
    lease_seconds: float
    shows_death: bool

    async def open(self) -> Store:
        """Open a new owner."""
        ...

    async def kill(self, store: Store) -> None:
        """End an owner as `kill -9` does."""
        ...

    def owner_id(self, store: Store) -> str:
        """Return the owner's name in `RunInfo.driver` of the runs that it drives."""
        ...

    def drives(self, store: Store, run_id: str) -> bool:
        """Return whether an owner drives a run in its own view, read past its threads so that nothing else moves."""
        ...

    def renew(self, store: Store) -> None:
        """Renew an owner's sign of life."""
        ...

    def recorded(self, run_id: str) -> int:
        """Return the seq of a run's last step, read past all stores; 0 if it has no steps of its own."""
        ...

    def leftovers(self) -> int:
        """Return the number of rows that belong to removed runs."""
        ...

    def slow(self, store: Store) -> AbstractAsyncContextManager[Disk | None]:
        """Let a store's writes wait until the disk releases them. Return None if this medium never waits."""
        ...

    def remove(self) -> None:
        """Remove everything."""
        ...


class Memory:
    """The memory of one process: a single owner, whose death this stand-in survives."""

    places = 1
    lease_seconds = math.inf
    shows_death = False

    def __init__(self, clock: FakeClock) -> None:
        self._store = InMemoryStore(clock=clock.now)

    async def open(self) -> Store:
        """Open the store again."""
        await self._store.open()
        return self._store

    async def kill(self, store: Store) -> None:
        """Release all runs."""
        await store.close()

    def owner_id(self, store: Store) -> str:
        """Return the store's own name."""
        return self._store._owner  # noqa: SLF001

    def drives(self, store: Store, run_id: str) -> bool:
        """Return whether the store has a fence for the run."""
        del store
        log = self._store._logs.get(run_id)  # noqa: SLF001
        return log is not None and log.driver_fence is not None

    def renew(self, store: Store) -> None:
        """Do nothing: there is no lease."""

    def recorded(self, run_id: str) -> int:
        """Return the length of the list of its steps."""
        log = self._store._logs.get(run_id)  # noqa: SLF001
        return log.steps[-1].seq if log is not None and log.steps else 0

    def leftovers(self) -> int:
        """Return 0, since a run is one object."""
        return 0

    @asynccontextmanager
    async def slow(self, store: Store) -> AsyncIterator[Disk | None]:
        """Return None, since nothing waits."""
        del store
        yield None

    def remove(self) -> None:
        """Do nothing, since everything is in the process."""


class File:
    """A SQLite file with up to three owners."""

    places = 3
    lease_seconds = LEASE_SECONDS
    shows_death = True

    def __init__(self, clock: FakeClock) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="graphengine-stateful-"))
        self._clock = clock

    async def open(self) -> Store:
        """Open another store on the file."""
        store = SQLiteStore(
            self._folder / "runs.db", synchronous="NORMAL", lease_seconds=LEASE_SECONDS, clock=self._clock.now
        )
        await store.open()
        return store

    async def kill(self, store: Store) -> None:
        """Free its lock and end its threads; see `kill`."""
        assert isinstance(store, SQLiteStore)
        await kill(store)

    def owner_id(self, store: Store) -> str:
        """Return the id of its lease."""
        assert isinstance(store, SQLiteStore)
        assert store.lease is not None
        return store.lease.id

    def drives(self, store: Store, run_id: str) -> bool:
        """Return what the file says, unless the owner released the run and could not write that yet."""
        assert isinstance(store, SQLiteStore)
        assert store.lease is not None
        fence = self._number("SELECT fence FROM runs WHERE id = ? AND driver = ?", run_id, store.lease.id)
        return bool(fence) and (run_id, fence) not in store.lease.owed

    def renew(self, store: Store) -> None:
        """Renew the lease like its thread."""
        assert isinstance(store, SQLiteStore)
        assert store.lease is not None
        store.lease.renew()

    def recorded(self, run_id: str) -> int:
        """Read the file with a separate connection."""
        return self._number(
            "SELECT max(s.id & 4294967295) FROM runs AS r JOIN steps AS s"
            " ON s.id > r.key << 32 AND s.id < (r.key + 1) << 32 WHERE r.id = ?",
            run_id,
        )

    def leftovers(self) -> int:
        """Return the number of rows of runs that do not exist."""
        return self._number(
            "SELECT (SELECT count(*) FROM steps WHERE id >> 32 NOT IN (SELECT key FROM runs))"
            " + (SELECT count(*) FROM snapshots WHERE id >> 32 NOT IN (SELECT key FROM runs))"
            " + (SELECT count(*) FROM inbox WHERE run NOT IN (SELECT key FROM runs))"
            " + (SELECT count(*) FROM tags WHERE run NOT IN (SELECT key FROM runs))"
            " + (SELECT count(*) FROM earlier_graph_specs WHERE run NOT IN (SELECT key FROM runs))"
            " + (SELECT count(*) FROM trash)"
            " + (SELECT count(*) FROM texts WHERE key NOT IN (SELECT text FROM text_uses))"
            " + (SELECT count(*) FROM text_uses WHERE abs(row) >> 32 NOT IN (SELECT key FROM runs))"
        )

    def _number(self, query: str, *given: str) -> int:
        with closing(sqlite3.connect(self._folder / "runs.db", timeout=PATIENCE_SECONDS)) as connection:
            found = connection.execute(query, given).fetchone()
            return int(found[0] or 0) if found is not None else 0

    @asynccontextmanager
    async def slow(self, store: Store) -> AsyncIterator[Disk | None]:
        """Make its commits wait, which are all left to its thread."""
        assert isinstance(store, SQLiteStore)
        writer, disk = store._writer, Disk()  # noqa: SLF001
        assert writer is not None
        await writer.run(lambda connection: connection.set_trace_callback(disk.trace))
        try:
            with patch("graphengine.databases.sqlite.direct.MOST_BYTES", -1):
                yield disk
        finally:
            disk.goes.set()
            await writer.run(lambda connection: connection.set_trace_callback(None))

    def remove(self) -> None:
        """Remove the file and its folder."""
        shutil.rmtree(self._folder)
