"""Copying a database while processes write to it: one moment of it, in one pass, and nothing waits for it.

SQLite's backup begins anew whenever another process has committed, unless its connection is inside a read transaction:
then it copies what was there when that began, however long it takes. The log is not moved into the file beyond that
moment meanwhile, so it grows by what is written.
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
    """Copy a database with its mark, readable by this user only, durably, and return the bytes of the copy.

    What was committed when it begins is copied, and nothing later. Until it is whole the copy has another name.

    Args:
        path: The database.
        target: The copy, which must not exist.
        progress: Called with the bytes that are copied, and all of them.

    Raises:
        InputError: There is a file of that name, or no folder for it.
        StoreMissing, StoreNotADatabase, StoreTooNew, StoreTooOld, StoreCorrupt: There is nothing to copy.
        StoreFull: The disk has no space for it.
        StoreError: A file cannot be read or written.
    """
    if os.path.lexists(target):
        repair = "name another one, such as with the date, or move that one away"
        raise InputError(f"the file {target} exists already", where=str(target), repair=repair)
    if not target.absolute().parent.is_dir():
        repair = "make it first: it is not made here, since it may be a disk that is not mounted"
        raise InputError(f"there is no folder {target.parent}", where=str(target), repair=repair)
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
    """Copy it; return whether it is one moment of the file, which a file without a log has to stay for."""
    state = file_state(path)
    refuse_damaged_log(path)
    _check_space(path, part)
    part.unlink(missing_ok=True)  # of a backup that was killed
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    uri = uri_to_read(path, state)
    try:
        with (
            closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)) as source,
            closing(sqlite3.connect(part, isolation_level=None)) as made,
        ):
            keep_index(source, uri)
            harden(source)
            made.execute("PRAGMA synchronous = OFF")  # it is synced as a whole below
            source.execute("BEGIN")
            check_format(source, path)
            (page_bytes,) = source.execute("PRAGMA page_size").fetchone()

            def report(_: int, left: int, total: int) -> None:
                if progress is not None:
                    progress("bytes", (total - left) * page_bytes, total * page_bytes)

            source.backup(made, pages=_PAGES, progress=report)
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
        message = f"a backup needs up to {needed} bytes, and {free} are free"
        raise StoreFull(message, where=str(part.absolute().parent), repair="free some space, or name another disk")
