"""Translates errors of sqlite3 to one class of `StoreError` for each cause, with the file and the way to repair it."""

from __future__ import annotations

import errno
import os
import sqlite3
import traceback
from copy import copy
from typing import TYPE_CHECKING, Final

from graphengine.databases.refusals import Meaning
from graphengine.errors import (
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreMoved,
    StoreNotADatabase,
    StoreReadOnly,
)

if TYPE_CHECKING:
    from pathlib import Path


_FULL: Final = Meaning(
    StoreFull,
    "the disk cannot be written: it is full, over its quota, or failing",
    "free some space, then resume the run; every step recorded so far is safe",
)
_READ_ONLY: Final = Meaning(
    StoreReadOnly,
    "the database or its folder cannot be written",
    "give this user write access to the file and its folder, or use another path",
)
_LOCKED: Final = Meaning(
    StoreLocked,
    "another program held the database's lock for longer than the busy timeout",
    "close the program that has the database open, or wait longer: busy_timeout_seconds = 60 in [tool.graphengine] of "
    "pyproject.toml for commands, Runner(SQLiteStore('runs.db', busy_timeout_seconds=60)) in Python",
)
_CORRUPT: Final = Meaning(
    StoreCorrupt,
    "the database file is damaged",
    "`graphengine doctor` shows what is damaged, `graphengine doctor --repair` saves what can be read",
)
_NOT_A_DATABASE: Final = Meaning(
    StoreNotADatabase, "the file is not a database", "choose another file for the runs, or move this file away"
)
_MOVED: Final = Meaning(
    StoreMoved, "the database file was moved or deleted while open", "put the file back, then open the database again"
)
_CANNOT_OPEN: Final = Meaning(
    StoreError,
    "the database file cannot be opened",
    "check that the path is a file that this user may read and write",
)
_NO_DESCRIPTOR: Final = Meaning(
    StoreError,
    "the process has no file descriptor left to open the database with",
    "close files, connections and Runners that are no longer used, or raise the limit (`ulimit -n`)",
)
_OTHER: Final = Meaning(
    StoreError, "the database operation failed", "`graphengine doctor` shows whether the database is damaged"
)

_MEANINGS: Final = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR_WRITE: _FULL,
    sqlite3.SQLITE_IOERR_FSYNC: _FULL,
    sqlite3.SQLITE_IOERR_TRUNCATE: _FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,
    sqlite3.SQLITE_READONLY_DBMOVED: _MOVED,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: _LOCKED,
    sqlite3.SQLITE_CORRUPT: _CORRUPT,
    sqlite3.SQLITE_IOERR_SHORT_READ: _CORRUPT,
    sqlite3.SQLITE_NOTADB: _NOT_A_DATABASE,
    sqlite3.SQLITE_CANTOPEN: _CANNOT_OPEN,
}
MEDIUM_ERRORS: Final = (sqlite3.OperationalError, sqlite3.InternalError, UnicodeDecodeError)
"""Exceptions that sqlite3 raises about the file. UnicodeDecodeError occurs if a message quotes damaged text."""

_PRIMARY: Final = 0xFF  # an extended code holds the primary code in its low byte


def is_of_the_medium(error: Exception) -> bool:
    """Return whether an error concerns the whole file, and not just the values of one statement."""
    return isinstance(error, MEDIUM_ERRORS) or type(error) is sqlite3.DatabaseError


def shows_damage(error: Exception) -> bool:
    """Return whether a database error can be caused by damage in the file.

    The result is False for locks, full disks and missing permissions.
    """
    return _explain_code(error).error not in {StoreLocked, StoreFull, StoreReadOnly}


def end_statements(error: BaseException) -> None:
    """Close the SQL statements that a failed function left open.

    Otherwise the connection would continue to read old data.

    This is how a statement stays open:

    1. A function reads the rows of a SELECT, and a damaged row makes it fail.
    2. The error refers to the frames of the function, and these refer to the cursor. ROLLBACK does not close a cursor.
    3. Until the error is released, the connection would see the database as it was at that moment.
    """
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__


def explain(error: BaseException, path: Path) -> StoreError:
    if isinstance(error, StoreError):
        return copy(error)  # several callers get the same error
    found = _explain_code(error).explained(error, str(path))
    found.__cause__ = error
    return found


def _explain_code(error: BaseException) -> Meaning:
    if isinstance(error, OSError):
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            return _READ_ONLY
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            return _NO_DESCRIPTOR
        return _FULL if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} else _CANNOT_OPEN
    unknown = 0 if isinstance(error, sqlite3.Error) else sqlite3.SQLITE_CORRUPT
    code = getattr(error, "sqlite_errorcode", unknown)
    found = _MEANINGS.get(code) or _MEANINGS.get(code & _PRIMARY) or _OTHER
    return _NO_DESCRIPTOR if found is _CANNOT_OPEN and not _can_open_files() else found


def _can_open_files() -> bool:
    """Return whether this process may open another file, or has reached its limit of open files.

    SQLite does not report this limit as the reason why a database cannot be opened.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in {errno.EMFILE, errno.ENFILE}
    return True
