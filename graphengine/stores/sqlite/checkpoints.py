"""Moving the write-ahead log into the file, while nobody writes.

SQLite does this by itself after a commit that finds a thousand pages in the log, beside others who commit. In all of
its versions before 3.51.3 (March 2026) a commit that starts the log anew at just that moment can damage the database
(sqlite.org/wal.html, "The WAL-Reset Bug"), and Pythons carry older ones for years. It cannot happen where no commit can
come between. So no connection of ours does it by itself: the writing one takes the write lock, as for any transaction,
and a second one moves the log meanwhile, without waiting for those who read. The modes of `wal_checkpoint` that take
the lock themselves are no help: if they do not get it, they move the log without it.
"""

from __future__ import annotations

import logging
import sqlite3
from sqlite3 import connect
from typing import TYPE_CHECKING, Final

from graphengine.stores.sqlite.definitions import harden

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("graphengine.stores")

LOG_PAGES: Final = 1000
"""How long the log may become, about; SQLite's own measure."""
_PAGES_A_COMMIT: Final = 4
_ROWS_A_PAGE: Final = 8
_PAGE_BYTES: Final = 8192


def never_by_itself(connection: sqlite3.Connection) -> None:
    """Let no commit of this connection move the log."""
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchone()


def sync_as(connection: sqlite3.Connection, synchronous: str) -> None:
    """How hard a connection sees to it that what it writes is on the disk: `FULL` or `NORMAL`."""
    connection.execute(f"PRAGMA synchronous = {'FULL' if synchronous == 'FULL' else 'NORMAL'}")
    if synchronous == "FULL":  # macOS: only so does a sync reach the disk itself; elsewhere it means nothing
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")


class Checkpoints:
    """Moves the log of one store, on the thread of its writing connection.

    Args:
        path: The database.
        synchronous: As the writing connection's.
    """

    def __init__(self, path: Path, synchronous: str) -> None:
        self._path = path
        self._synchronous = synchronous
        self._mover: sqlite3.Connection | None = None
        self._pages = 0
        self._changes = 0

    @property
    def are_due(self) -> bool:
        """Whether the log has become long."""
        return self._pages >= LOG_PAGES

    def count(self, connection: sqlite3.Connection, written_bytes: int) -> None:
        """Count a commit."""
        changes = connection.total_changes
        self._pages += _PAGES_A_COMMIT + written_bytes // _PAGE_BYTES + (changes - self._changes) // _ROWS_A_PAGE
        self._changes = changes

    def make(self, connection: sqlite3.Connection) -> None:
        """Move the log. What was committed stays so whatever comes of it, so that no failure is anybody's."""
        self._pages = 0
        try:
            self._move(connection)
        except sqlite3.Error as error:  # there is no room, or somebody writes for long: the next turn tries again
            log.info("the write-ahead log of %s stays as it is: %s", self._path, error)

    def _move(self, connection: sqlite3.Connection) -> None:
        if self._mover is None:
            self._mover = connect(f"{self._path.as_uri()}?mode=rw", uri=True, isolation_level=None)
            harden(self._mover)
            never_by_itself(self._mover)
            sync_as(self._mover, self._synchronous)
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._mover.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        finally:
            connection.execute("ROLLBACK")

    def close(self) -> None:
        """Free the second connection, on the same thread."""
        mover, self._mover = self._mover, None
        if mover is not None:
            mover.close()
