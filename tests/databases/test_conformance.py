"""The stores in databases, tested by the conformance suite for any store."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from graphengine.databases.postgres import PostgresStore
from graphengine.databases.sqlite import SQLiteStore
from graphengine.databases.sqlite.files import Synchronous
from graphengine.kernel.testing import StoreConformance
from tests.kit.postgres import execute

if TYPE_CHECKING:
    from pathlib import Path

    from graphengine.stores.base import Store


class TestSQLiteStore(StoreConformance):
    """Runs in a file."""

    synchronous: Synchronous = "NORMAL"
    folder: Path

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    async def make_store(self) -> Store:
        """Return a store on a new file."""
        return SQLiteStore(self.folder / "runs.db", synchronous=self.synchronous)

    async def make_second_store(self, first: Store) -> Store:
        """Return another store on the same file."""
        assert isinstance(first, SQLiteStore)
        return SQLiteStore(first.path, synchronous=self.synchronous)

    async def abandon_store(self, store: Store) -> None:
        """The system frees its locks, and its row remains."""
        assert isinstance(store, SQLiteStore)
        await asyncio.to_thread(store.abandon)


if os.environ.get("STORES") == "all":

    class TestSQLiteStoreAtFull(TestSQLiteStore):
        """The same, where the thread makes all writes and waits for the disk."""

        synchronous = "FULL"


class TestPostgresStore(StoreConformance):
    """Runs in a PostgreSQL database."""

    address: str
    vacuum_adds = 2**18  # maps of all tables; and what it frees stays while any session of the server still reads

    @pytest.fixture(autouse=True)
    def _schema(self, postgres: str) -> None:
        self.address = postgres

    async def make_store(self) -> Store:
        """Return a store on a new schema."""
        return PostgresStore(self.address, patience_seconds=5)

    async def make_second_store(self, first: Store) -> Store:
        """Return another store on the same schema."""
        return PostgresStore(self.address, patience_seconds=5)

    async def abandon_store(self, store: Store) -> None:
        """The server notices that its session has ended, and its row remains."""
        assert isinstance(store, PostgresStore)
        assert store.lease is not None
        owner = store.lease.id
        await asyncio.to_thread(store.abandon)
        while (True,) in execute(self.address, f"SELECT is_alive(o) FROM owners AS o WHERE id = '{owner}'"):  # noqa: ASYNC110, S608
            await asyncio.sleep(0.01)
