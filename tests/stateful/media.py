"""What stores are opened on, and how their owners die: the same for a store in memory and for one in a file.

A medium outlives its owners. An owner that is killed here does what a killed process does: nothing. It retires from no
run, removes no row and no lock file; the system frees its lock. What it had handed to its thread may or may not have
been written.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path
from typing import Protocol

from graphengine.stores.base import Store
from graphengine.stores.memory import MemoryStore
from graphengine.stores.sqlite import SQLiteStore
from graphengine.testing import FakeClock

LEASE_SECONDS = 30.0


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

    def renew(self, store: Store) -> None:
        """A sign of life of an owner."""
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

    def renew(self, store: Store) -> None:
        """There is no lease."""

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
        await writer.close()  # what was queued behind the transaction under way is lost with it
        await reader.close()
        lease.stop()
        assert lease._lock is not None  # noqa: SLF001
        lease._lock.release(force=True)  # noqa: SLF001  # the file stays, as the system leaves it

    def owner_id(self, store: Store) -> str:
        """Its lease's."""
        assert isinstance(store, SQLiteStore)
        assert store.lease is not None
        return store.lease.id

    def renew(self, store: Store) -> None:
        """As its thread does it."""
        assert isinstance(store, SQLiteStore)
        assert store.lease is not None
        store.lease.renew()

    def remove(self) -> None:
        """The file and its folder."""
        shutil.rmtree(self._folder)
