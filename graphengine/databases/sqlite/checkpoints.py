"""Checkpoints: moving the write-ahead log into the database file while no process writes.

SQLite does this by itself after a commit that finds a thousand pages in the log, while other processes commit. In all
versions before 3.51.3 (March 2026), a commit that restarts the log at that moment can damage the database
(sqlite.org/wal.html, "The WAL-Reset Bug"), and Python ships older versions for years. The bug cannot occur if no
process can commit during the checkpoint. So automatic checkpoints are off. Instead the writing connection takes the
write lock, as for any transaction, and a second connection moves the log meanwhile, without waiting for readers. The
modes of `wal_checkpoint` that take the lock themselves do not help: without the lock, they move the log nevertheless.

Each process estimates the length of the log from its own commits. This misses the renewals of leases, and many
processes that each write a little. So the thread that renews the lease also reads the length of the log file now and
then, and asks the thread of the writing connection to move a log that is too long. The renewing thread never moves the
log itself, because a renewal must not wait for that.

Moving a very long log, for example after a long backup, takes seconds. If the write lock were held for so long, other
processes could not renew their leases. SQLite cannot move a part of a log. So a very long log is first moved without
the write lock, while the writing connection reads. A commit can restart the log only if no connection reads from the
log, so the bug cannot occur then either. The write lock is taken only for the pages that were committed meanwhile.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from graphengine.databases.sqlite.definitions import harden
from graphengine.databases.sqlite.wal_recovery import bytes_of_log
from graphengine.databases.sqlite.worker import connect
from graphengine.errors import RunnerClosed

if TYPE_CHECKING:
    from pathlib import Path

    from graphengine.databases.sqlite.worker import Worker

log = logging.getLogger("graphengine.stores")

LOG_PAGES: Final = 1000
"""The approximate length of the log at which it is moved: 4 MB; SQLite's own default."""
LOCKED_BYTES: Final = 8 << 20
"""The longest log that is moved while the write lock is held."""
_MOVER_SECONDS: Final = 5.0
_PAGES_A_ROW: Final = 2
_PAGES_A_COMMIT: Final = 4
_ROWS_A_PAGE: Final = 8
_PAGE_BYTES: Final = 4096
_MOST_SCALE: Final = 16.0


def longest_log() -> int:
    """Return the length in bytes above which the log file must be moved: a third more than `LOG_PAGES`."""
    return LOG_PAGES * _PAGE_BYTES * 4 // 3


def keep_log_short(connection: sqlite3.Connection) -> None:
    """Turn off automatic checkpoints for a connection, because `Checkpoints` decides when to make them.

    In addition, a commit that restarts the write-ahead log now also shortens the log file. By default, SQLite keeps the
    length of the file. Then the length of the file would not show whether much of the log must still be moved into the
    database.
    """
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchone()
    connection.execute(f"PRAGMA journal_size_limit = {longest_log()}").fetchone()


def sync_as(connection: sqlite3.Connection, synchronous: str) -> None:
    """Set when a connection syncs the write-ahead log to the disk.

    `FULL` syncs the log at every commit, and `NORMAL` only before a checkpoint.
    """
    connection.execute(f"PRAGMA synchronous = {'FULL' if synchronous == 'FULL' else 'NORMAL'}")
    if synchronous == "FULL":  # needed on macOS for a sync to reach the disk itself; ignored elsewhere
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")


def connect_too(path: Path, synchronous: str, *, busy_timeout_seconds: float) -> sqlite3.Connection:
    """Open a further connection to a database that this process has already opened for writing, with the same settings.

    Raises:
        sqlite3.Error: The database cannot be opened.
    """
    connection = connect(f"{path.as_uri()}?mode=rw", busy_timeout_seconds=busy_timeout_seconds)
    try:
        harden(connection)
        keep_log_short(connection)
        sync_as(connection, synchronous)
    except BaseException:
        connection.close()
        raise
    return connection


class Checkpoints:
    """Decides when the write-ahead log of a database has become long, and then moves it into the database file.

    Moving the log is called a checkpoint. It happens on the thread of the writing connection, so that this process does
    not write meanwhile.

    Args:
        path: The database file.
        synchronous: The setting of the writing connection; see `sync_as`.

    Attributes:
        are_due: Whether the log is long enough for a checkpoint.
        restart: Whether the next commit may restart the log. Such a commit also syncs the header of the log to the
            disk.
    """

    def __init__(self, path: Path, synchronous: str) -> None:
        self._path = path
        self._synchronous = synchronous
        self._mover: sqlite3.Connection | None = None
        self._pages = 0.0
        self._scale = 1.0  # by how much this process underestimates the pages that are added to the log
        self._was_moved = True  # the whole log was moved the last time, so that the next commit restarts it
        self._is_asked = False  # the writing thread was asked to move the log and has not begun
        self.are_due = self.restart = False

    def count(self, rows: int, written_bytes: int) -> None:
        """Note that a commit was made, in order to estimate how long the write-ahead log has become.

        Args:
            rows: How many rows the commit changed.
            written_bytes: About how many bytes it wrote.
        """
        self.restart = False
        pages = min(rows * _PAGES_A_ROW, _PAGES_A_COMMIT)
        self._pages += self._scale * (pages + written_bytes // _PAGE_BYTES + rows // _ROWS_A_PAGE)
        self.are_due = self._pages >= LOG_PAGES

    def ask(self, writer: Worker) -> None:
        """Measure the file of the write-ahead log, and ask for a checkpoint if the file is too long.

        The thread of the writing connection then makes the checkpoint. Any thread may call this method.

        Raises:
            OSError: The log file cannot be accessed.
        """
        if not self._is_asked and bytes_of_log(self._path) > longest_log():
            self._is_asked = True
            with suppress(RunnerClosed):
                writer.post(self.make)

    def make(self, connection: sqlite3.Connection) -> None:
        """Make a checkpoint: move the write-ahead log into the database file.

        A failure is only logged, because it affects no committed data and the next checkpoint tries again.
        """
        counted, is_counted = self._pages, self.are_due
        self._pages, self.are_due, self.restart, self._is_asked = 0.0, False, True, False
        try:
            pages, moved = self._move(connection)
        except (sqlite3.Error, OSError) as error:  # for example the disk is full, or another process holds the lock
            log.info("the write-ahead log of %s was not moved into the file: %s", self._path, error)
        else:
            if is_counted and self._was_moved:
                self._scale = min(max(self._scale * pages / counted, 1.0), _MOST_SCALE)
            self._was_moved = pages == moved

    def _move(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """Move the write-ahead log into the database file.

        Return how many pages the log contains, and how many of them were moved.

        Most of a very long log is moved without the write lock, so that other processes can write meanwhile.
        """
        if self._mover is None:
            self._mover = connect_too(self._path, self._synchronous, busy_timeout_seconds=_MOVER_SECONDS)
        left_bytes = bytes_of_log(self._path)
        while left_bytes > LOCKED_BYTES:
            before, (is_busy, pages, moved) = left_bytes, self._move_in(connection, self._mover, "BEGIN")
            left_bytes = (pages - moved) * _PAGE_BYTES
            if is_busy or left_bytes >= before:  # another process moves the log, or a reader needs what is left
                return pages, moved
        return self._move_in(connection, self._mover, "BEGIN IMMEDIATE")[1:]

    @staticmethod
    def _move_in(connection: sqlite3.Connection, mover: sqlite3.Connection, statement: str) -> tuple[int, int, int]:
        """Move the write-ahead log while a transaction of the writing connection keeps the log from being restarted.

        Args:
            connection: The writing connection.
            mover: The connection that moves the log.
            statement: The statement that begins the transaction.

        Returns:
            Whether another connection is moving the log, how many pages the log contains, and how many of them were
                moved.
        """
        connection.execute(statement)
        try:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # from here on it reads
            is_busy, pages, moved = mover.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        finally:
            connection.execute("ROLLBACK")
        return is_busy, pages, moved

    def close(self) -> None:
        """Close the second connection. Call this on the thread of the writing connection."""
        mover, self._mover = self._mover, None
        if mover is not None:
            mover.close()
