"""Checkpoints: moving the write-ahead log into the database file while no process writes.

SQLite does this automatically after a commit that finds a thousand pages in the log, in parallel with other commits. In
all versions before 3.51.3 (March 2026) a commit that restarts the log at that moment can damage the database
(sqlite.org/wal.html, "The WAL-Reset Bug"), and Python ships older versions for years. The bug cannot occur if no commit
can run during the checkpoint. So automatic checkpoints are off: the writing connection takes the write lock, as for any
transaction, and a second connection moves the log meanwhile, without waiting for readers. The modes of `wal_checkpoint`
that take the lock themselves do not help: if they do not get it, they move the log without it.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Final

from graphengine.databases.sqlite.definitions import harden
from graphengine.databases.sqlite.worker import connect

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("graphengine.stores")

LOG_PAGES: Final = 1000
"""The approximate length of the log at which it is moved: 4 MB; SQLite's own default."""
_MOVER_SECONDS: Final = 5.0
_PAGES_A_ROW: Final = 2
_PAGES_A_COMMIT: Final = 4
_ROWS_A_PAGE: Final = 8
_PAGE_BYTES: Final = 4096


def disable_autocheckpoint(connection: sqlite3.Connection) -> None:
    """Keep commits of this connection from moving the log."""
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchone()


def sync_as(connection: sqlite3.Connection, synchronous: str) -> None:
    """Set when a connection syncs its writes to the disk: `FULL` or `NORMAL`."""
    connection.execute(f"PRAGMA synchronous = {'FULL' if synchronous == 'FULL' else 'NORMAL'}")
    if synchronous == "FULL":  # needed on macOS for a sync to reach the disk itself; ignored elsewhere
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")


def connect_too(path: Path, synchronous: str, *, busy_timeout_seconds: float) -> sqlite3.Connection:
    """Open one more connection to a database that a writing connection has prepared.

    Raises:
        sqlite3.Error: The database cannot be opened.
    """
    connection = connect(f"{path.as_uri()}?mode=rw", busy_timeout_seconds=busy_timeout_seconds)
    try:
        harden(connection)
        disable_autocheckpoint(connection)
        sync_as(connection, synchronous)
    except BaseException:
        connection.close()
        raise
    return connection


class Checkpoints:
    """The checkpoints of one store, on the thread of its writing connection.

    Args:
        path: The database.
        synchronous: The same as for the writing connection.

    Attributes:
        are_due: Whether the log has reached its length limit.
        restart: Whether the next commit can be the first of a restarted log, whose header it syncs.
    """

    def __init__(self, path: Path, synchronous: str) -> None:
        self._path = path
        self._synchronous = synchronous
        self._mover: sqlite3.Connection | None = None
        self._pages = 0
        self.are_due = self.restart = False

    def count(self, rows: int, written_bytes: int) -> None:
        """Count a commit by the rows that it changed and roughly the bytes that it wrote."""
        self.restart = False
        pages = min(rows * _PAGES_A_ROW, _PAGES_A_COMMIT)
        self._pages += pages + written_bytes // _PAGE_BYTES + rows // _ROWS_A_PAGE
        self.are_due = self._pages >= LOG_PAGES

    def make(self, connection: sqlite3.Connection) -> None:
        """Move the log. A failure is only logged: it affects no committed data, and the next turn tries again."""
        self._pages, self.are_due, self.restart = 0, False, True
        try:
            self._move(connection)
        except sqlite3.Error as error:  # the disk is full, or another process writes for long
            log.info("the write-ahead log of %s was not moved into the file: %s", self._path, error)

    def _move(self, connection: sqlite3.Connection) -> None:
        if self._mover is None:
            self._mover = connect_too(self._path, self._synchronous, busy_timeout_seconds=_MOVER_SECONDS)
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
