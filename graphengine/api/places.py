"""Open the store for the path or address of a database."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib.util import find_spec
from os import PathLike
from typing import TYPE_CHECKING

from graphengine.databases.addresses import is_postgres, shown
from graphengine.errors import StoreNotSupported
from graphengine.kernel.inside import install_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from graphengine.kernel.store import Store


def store_at(given: str | PathLike[str], *, read_only: bool = False, busy_timeout_seconds: float = 10.0) -> Store:
    """Return the store for a path or an address, without opening it.

    The module of each kind of store is imported when it is first used.

    Args:
        given: The path of a SQLite file, or `postgresql://…`.
        read_only: Whether the store is only read.
        busy_timeout_seconds: How long to wait for another program's lock of a SQLite file.

    Raises:
        StoreNotSupported: The address is of an unknown kind, or a package that its database needs is not installed.
    """
    if isinstance(given, str) and is_postgres(given):
        require_postgres(given)
        from graphengine.databases.postgres import PostgresStore  # noqa: PLC0415

        return PostgresStore(given, read_only=read_only)
    from graphengine.databases.sqlite import SQLiteStore  # noqa: PLC0415

    return SQLiteStore(given, read_only=read_only, busy_timeout_seconds=busy_timeout_seconds)


@asynccontextmanager
async def reading(store: str | PathLike[str] | Store) -> AsyncIterator[Store]:
    """Open a database for reading until the end of the block.

    A database that is named by a path or an address is closed at the end. A `Store` is opened, but not closed.

    Raises:
        StoreError: The database cannot be read.
    """
    opened = store_at(store, read_only=True) if isinstance(store, str | PathLike) else store
    try:
        await opened.open()
        yield opened
    finally:
        if opened is not store:
            await opened.close()


def require_postgres(address: str) -> None:
    """Check that psycopg, the package for PostgreSQL databases, is installed.

    Raises:
        StoreNotSupported: The package is not installed.
    """
    if find_spec("psycopg") is None:
        message = "runs in PostgreSQL need psycopg, which is not installed"
        raise StoreNotSupported(message, where=shown(address), repair=install_command("postgres"))
