"""What stores are opened on, and how their owners die: the same for a store in memory and for one in a file.

A medium outlives its owners. An owner that is killed here does what a killed process does: nothing. It retires from no
run, removes no row and no lock file; the system frees its lock. What it had handed to its thread may or may not have
been written.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Protocol

from graphengine.stores.base import Store
from graphengine.stores.memory import MemoryStore
from graphengine.stores.sqlite import SQLiteStore
from graphengine.testing import FakeClock
from tests.stateful.threads import lose

LEASE_SECONDS = 30.0
PATIENCE_SECONDS = 20.0


class Disk:
    """What a store's commits wait for, where it is slow.

    Attributes:
        reached: Set once a commit waits for it.
        goes: Set when what waits may go on.
    """

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.goes = threading.Event()

    async def arrival(self) -> None:
        """Return when a commit waits."""
        while not self.reached.is_set():  # noqa: ASYNC110 - set by a thread of the store's
            await asyncio.sleep(0.0001)

    def trace(self, statement: str) -> None:
        """Called by SQLite, on the store's thread, before each statement."""
        if statement == "COMMIT":
            self.reached.set()
            assert self.goes.wait(PATIENCE_SECONDS)


class Medium(Protocol):
    """Where runs are kept.

    Attributes:
        places: How many owners it may have at a time.
        lease_seconds: For how long an owner counts as alive without a sign of life.
        shows_death: Whether a run of a killed owner stays held.
    """

    places: int
    lease_seconds: float
    shows_death: bool

    async def open(self) -> Store:
        """A new owner."""
        ...

    async def kill(self, store: Store) -> None:
        """End an owner as `kill -9` does."""
        ...

    def owner_id(self, store: Store) -> str:
        """What `RunInfo.driver` says of the runs that it drives."""
        ...

    def drives(self, store: Store, run_id: str) -> bool:
        """Whether an owner drives a run, as it knows itself; looked up past its threads, so that nothing else moves."""
        ...

    def renew(self, store: Store) -> None:
        """A sign of life of an owner."""
        ...

    def recorded(self, run_id: str) -> int:
        """The seq of a run's last step, read past all stores; 0 if it has none of its own."""
        ...

    def leftovers(self) -> int:
        """How much there is of runs that are not there."""
        ...

    def slow(self, store: Store) -> AbstractAsyncContextManager[Disk | None]:
        """Let what a store writes wait before it is durable, until the disk is told; None where nothing waits."""
        ...

    def remove(self) -> None:
        """Leave nothing behind."""
        ...


class Memory:
    """One process's memory: a single owner, whose death this stand-in survives."""

    places = 1
    lease_seconds = math.inf
    shows_death = False

    def __init__(self, clock: FakeClock) -> None:
        self._store = MemoryStore(clock=clock.now)

    async def open(self) -> Store:
        """The store, opened again."""
        await self._store.open()
        return self._store

    async def kill(self, store: Store) -> None:
        """Let go of all runs."""
        await store.close()

    def owner_id(self, store: Store) -> str:
        """The store's own name."""
        return self._store._owner  # noqa: SLF001

    def drives(self, store: Store, run_id: str) -> bool:
        """As its fence has it."""
        del store
        log = self._store._logs.get(run_id)  # noqa: SLF001
        return log is not None and log.driver_fence is not None

    def renew(self, store: Store) -> None:
        """There is no lease."""

    def recorded(self, run_id: str) -> int:
        """As the list of its steps has it."""
        log = self._store._logs.get(run_id)  # noqa: SLF001
        return log.steps[-1].seq if log is not None and log.steps else 0

    def leftovers(self) -> int:
        """A run is one object."""
        return 0

    @asynccontextmanager
    async def slow(self, store: Store) -> AsyncIterator[Disk | None]:
        """Nothing waits."""
        del store
        yield None

    def remove(self) -> None:
        """Nothing is outside the process."""


class File:
    """A SQLite file with up to three owners."""

    places = 3
    lease_seconds = LEASE_SECONDS
    shows_death = True

    def __init__(self, clock: FakeClock) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="graphengine-stateful-"))
        self._clock = clock

    async def open(self) -> Store:
        """Another store on the file."""
        store = SQLiteStore(
            self._folder / "runs.db", synchronous="NORMAL", lease_seconds=LEASE_SECONDS, clock=self._clock.now
        )
        await store.open()
        return store

    async def kill(self, store: Store) -> None:
        """Free its lock and end its threads, and clear away nothing."""
        assert isinstance(store, SQLiteStore)
        lease, writer, reader = store.lease, store._writer, store._reader  # noqa: SLF001
        assert lease is not None
        assert writer is not None
        assert reader is not None
        sweeping = store._sweeping  # noqa: SLF001
        if sweeping is not None:
            sweeping.cancel()
        lose(writer)
        await writer.close()  # what was queued behind the transaction under way is lost with it
        if sweeping is not None:
            await asyncio.wait([sweeping])
        await reader.close()
        lease.stop()
        assert lease._lock is not None  # noqa: SLF001
        lease._lock.release(force=True)  # noqa: SLF001  # the file stays, as the system leaves it

    def owner_id(self, store: Store) -> str:
        """Its lease's."""
        assert isinstance(store, SQLiteStore)
        assert store.lease is not None
        return store.lease.id

    def drives(self, store: Store, run_id: str) -> bool:
        """As the file has it, unless it let go of the run and could not write that yet."""
        assert isinstance(store, SQLiteStore)
        assert store.lease is not None
        fence = self._number("SELECT fence FROM runs WHERE id = ? AND driver = ?", run_id, store.lease.id)
        return bool(fence) and (run_id, fence) not in store.lease.owed

    def renew(self, store: Store) -> None:
        """As its thread does it."""
        assert isinstance(store, SQLiteStore)
        assert store.lease is not None
        store.lease.renew()

    def recorded(self, run_id: str) -> int:
        """As a connection that nobody else has reads the file."""
        return self._number(
            "SELECT max(s.id & 4294967295) FROM runs AS r JOIN steps AS s"
            " ON s.id > r.key << 32 AND s.id < (r.key + 1) << 32 WHERE r.id = ?",
            run_id,
        )

    def leftovers(self) -> int:
        """Rows of runs that have none themselves."""
        return self._number(
            "SELECT (SELECT count(*) FROM steps WHERE id >> 32 NOT IN (SELECT key FROM runs))"
            " + (SELECT count(*) FROM snapshots WHERE id >> 32 NOT IN (SELECT key FROM runs))"
            " + (SELECT count(*) FROM inbox WHERE run NOT IN (SELECT key FROM runs))"
            " + (SELECT count(*) FROM tags WHERE run NOT IN (SELECT key FROM runs))"
            " + (SELECT count(*) FROM earlier_outlines WHERE run NOT IN (SELECT key FROM runs))"
            " + (SELECT count(*) FROM trash)"
        )

    def _number(self, query: str, *given: str) -> int:
        with closing(sqlite3.connect(self._folder / "runs.db", timeout=PATIENCE_SECONDS)) as connection:
            found = connection.execute(query, given).fetchone()
            return int(found[0] or 0) if found is not None else 0

    @asynccontextmanager
    async def slow(self, store: Store) -> AsyncIterator[Disk | None]:
        """Its commits wait."""
        assert isinstance(store, SQLiteStore)
        writer, disk = store._writer, Disk()  # noqa: SLF001
        assert writer is not None
        await writer.run(lambda connection: connection.set_trace_callback(disk.trace))
        try:
            yield disk
        finally:
            disk.goes.set()
            await writer.run(lambda connection: connection.set_trace_callback(None))

    def remove(self) -> None:
        """The file and its folder."""
        shutil.rmtree(self._folder)
