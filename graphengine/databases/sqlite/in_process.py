"""A SQLite database in the memory of this process, for data such as budgets when runs are in memory too."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import weakref
from typing import TYPE_CHECKING, TypeVar

from graphengine.databases.accounts import Accounts
from graphengine.databases.sqlite.queries import DIALECT, FIRST, latest_format, migration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


def budget_tables() -> Sequence[str]:
    """Return the statements that create the tables of a new database, which include the tables of budgets."""
    return [statement for version in range(FIRST, latest_format() + 1) for statement in migration(version)]


class InProcess:
    """A database in the memory of this process. One thread uses it at a time.

    Args:
        tables: The statements that create its tables.
    """

    dialect = DIALECT

    def __init__(self, tables: Sequence[str] = ()) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        for statement in tables:
            self._connection.execute(statement)
        weakref.finalize(self, self._connection.close)
        self._lock = threading.Lock()

    @property
    def accounts(self) -> Accounts[sqlite3.Connection]:
        """The accounts of budgets, if `tables` creates them."""
        return Accounts(self.dialect)

    async def open(self) -> None:
        """Do nothing, since a database in memory needs no opening."""

    async def read(self, function: Callable[[sqlite3.Connection, None], T]) -> T:
        """Call a function with the connection, on another thread."""
        return await asyncio.to_thread(self._alone, lambda connection: function(connection, None))

    async def write(
        self, work: Callable[[sqlite3.Connection], T], written_bytes: int = 0, *, run_id: str | None = None
    ) -> T:
        """Call a function that writes with the connection.

        A function that changes a few rows of one run is called on this thread; any other function is called on another
        thread.
        """
        del written_bytes
        if run_id is not None:
            return self._alone(work)
        return await asyncio.to_thread(self._alone, work)

    def _alone(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            return work(self._connection)


__all__ = ["InProcess"]
