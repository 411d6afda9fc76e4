"""Backup of a database while processes write to it: the copy shows one moment, and no process has to wait.

SQLite's backup starts again whenever another process commits, except if its connection is inside a read transaction.
Then the backup copies the state in which that transaction began, however long the copying takes. Meanwhile the
write-ahead log cannot be moved into the file beyond that state, so the log grows with everything that is written.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from graphengine.databases.sqlite.definitions import harden
from graphengine.databases.sqlite.faults import explain
from graphengine.databases.sqlite.files import (
    check_format,
    file_state,
    has_changed,
    keep_index,
    move_idle_log,
    sync_folder,
    uri_to_read,
)
from graphengine.databases.sqlite.wal_recovery import bytes_of_log, refuse_damaged_log
from graphengine.errors import InputError, StoreError, StoreFull

if TYPE_CHECKING:
    from pathlib import Path

    from graphengine.databases.findings import Progress

BUSY_TIMEOUT_SECONDS: Final = 10.0
"""How long to wait for another program's lock."""

_PAGES: Final = 4096
"""How many pages are copied between two reports of progress: 16 MB."""


def back_up(path: Path, target: Path, *, progress: Progress | None = None) -> int:
    """Copy a database to a new file that only this user can read, and sync the copy to the disk. Return its bytes.

    The copy contains everything that was committed when the backup began, and nothing later. Until the copy is
    complete, the file has another name, so that nobody takes a part of a copy for a backup.

    Args:
        path: The database.
        target: The new file, which must not exist.
        progress: Called with the bytes copied so far, and the total.

    Raises:
        InputError: The new file exists, or its folder does not exist.
        StoreMissing, StoreNotADatabase, StoreTooNew, StoreTooOld, StoreCorrupt: The database cannot be copied.
        StoreFull: The disk does not have enough space for the copy.
        StoreError: A file cannot be read or written.
    """
    if os.path.lexists(target):
        repair = "choose another name, such as runs-2026-01-31.db, or move the existing file away"
        raise InputError(f"the file '{target}' exists already", where=str(target), repair=repair)
    if not target.absolute().parent.is_dir():
        repair = f"create the folder: mkdir -p {target.parent}; or mount its disk"
        raise InputError(f"there is no folder '{target.parent}' for the backup", where=str(target), repair=repair)
    part = target.with_name(target.name + ".part")
    try:
        while not _copy_file(path, part, progress):
            pass
        size = part.stat().st_size
        part.replace(target)
        sync_folder(target.absolute().parent)
    except (sqlite3.Error, OSError) as error:
        at = target if isinstance(error, OSError) else path
        raise explain(error, at) from error
    finally:
        part.unlink(missing_ok=True)
    return size


def _copy_file(path: Path, part: Path, progress: Progress | None) -> bool:
    """Copy the file. Return False if the file changed during the copying, so that the copy must be made again.

    A file without a log is read without locks, so that another process can begin to write to it meanwhile.
    """
    state = file_state(path)
    refuse_damaged_log(path)
    _check_space(path, part)
    part.unlink(missing_ok=True)  # a file left by a backup that was killed
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    uri = uri_to_read(path, state)
    try:
        with (
            closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)) as source,
            closing(sqlite3.connect(part, isolation_level=None)) as copy,
        ):
            keep_index(source, uri)
            harden(source)
            copy.execute("PRAGMA synchronous = OFF")  # the whole file is synced below
            source.execute("BEGIN")
            check_format(source, path)
            (page_bytes,) = source.execute("PRAGMA page_size").fetchone()

            def report(_: int, left: int, total: int) -> None:
                if progress is not None:
                    progress("bytes", (total - left) * page_bytes, total * page_bytes)

            source.backup(copy, pages=_PAGES, progress=report)
    except (sqlite3.Error, StoreError):
        if has_changed(path, state):
            return False
        raise
    if has_changed(path, state):
        return False
    with part.open("r+b") as file:
        os.fsync(file.fileno())
    move_idle_log(path)
    return True


def _check_space(path: Path, part: Path) -> None:
    needed, free = path.stat().st_size + bytes_of_log(path), shutil.disk_usage(part.absolute().parent).free
    if free < needed:
        message = f"the backup needs up to {needed} bytes, but only {free} bytes are free on the disk"
        raise StoreFull(
            message, where=str(part.absolute().parent), repair="free some space, or choose a file on another disk"
        )
