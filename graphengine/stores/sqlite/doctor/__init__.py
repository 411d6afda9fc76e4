"""Finding and repairing damage in a database: `examine` checks it without changes, `repair` repairs what it can.

`findings.py` defines the results; `checks.py` and `logs.py` check, `repairs.py` repairs rows, `salvage.py` saves what
can be read from damaged pages into a new file. A repair copies the file first, and never drops a readable step.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from graphengine.errors import StoreError, StoreFull, StoreLocked, StoreReadOnly, StoreTooNew
from graphengine.stores.findings import Finding, Lost, Progress, Repaired, Report
from graphengine.stores.sqlite.definitions import harden
from graphengine.stores.sqlite.doctor import checks, logs, pages
from graphengine.stores.sqlite.doctor.inspection import BUSY_TIMEOUT_SECONDS, all_findings, open_for_inspection
from graphengine.stores.sqlite.faults import explain, explain_os, shows_damage
from graphengine.stores.sqlite.files import (
    APPLICATION_ID,
    FileState,
    bytes_of_log,
    check_format,
    file_state,
    has_changed,
    log_of,
    migrate,
    move_idle_log,
    require_file,
    sync_folder,
)
from graphengine.stores.sqlite.owners import LeaseOptions, Owner, lock_files, lock_shows_death, owner_of
from graphengine.stores.sqlite.queries import DOCTOR_SQL, latest_format
from graphengine.stores.sqlite.torn import describe_damage, refuse_damaged_log

if TYPE_CHECKING:
    from pathlib import Path

_OURS: Final = frozenset({"runs", "steps", "snapshots", "owners", "outlines", "inbox"})
_HOPELESS: Final = "no row of a run can be read from it: restore a backup"
_HINT: Final = "`graphengine doctor --repair` saves every row that can be read into a new file, after a copy"


def examine(path: Path, *, quick: bool = False, progress: Progress | None = None) -> Report:
    """Check everything in a database, without changing it and without blocking writers.

    Args:
        path: The file.
        quick: Whether to skip the slowest checks: comparing indexes with tables, and every snapshot with its log.
        progress: Called with the progress.

    Raises:
        StoreMissing: There is no file.
        StoreNotADatabase: It is not a database, or another application's.
        StoreTooNew: A newer version wrote it.
        StoreReadOnly: It has an older format, which only a writer or `repair` migrates.
        StoreError: It cannot be opened.
    """
    while True:
        state = file_state(path)
        found: Report | StoreError
        try:
            found = _examine_once(path, state, quick=quick, progress=progress)
        except StoreError as error:
            found = error
        if has_changed(path, state):
            continue
        if isinstance(found, StoreError):
            raise found
        if found.is_sound:
            move_idle_log(path)
        return found


def _examine_once(path: Path, state: FileState, *, quick: bool, progress: Progress | None) -> Report:
    try:
        with closing(open_for_inspection(path, state)) as connection:
            if _check_application(connection, path) < latest_format() and not _is_present_schema(connection):
                refuse_damaged_log(path)  # the version that SQLite reads can be much older than the recorded one
                message = f"the database has an older format and must be brought to format {latest_format()} first"
                repair = "open it once with write access, as by `graphengine run`; --repair does it after a copy"
                raise StoreReadOnly(message, where=str(path), repair=repair)
            return _examined(connection, path, quick=quick, progress=progress)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        found = explain(error, path)
        if shows_damage(error):
            from graphengine.stores.sqlite.doctor import salvage  # noqa: PLC0415 - rarely needed

            found.repair = _HINT if salvage.is_promising(path) else _HOPELESS
        raise found from error


def repair(
    path: Path,
    *,
    quick: bool = False,
    progress: Progress | None = None,
) -> Repaired:
    """Repair a database: in place or, if pages are damaged, by saving what can be read into a new file.

    The file and its write-ahead log are copied first, to `FILE.before-repair-TIME`. A repair that finds nothing to
    repair changes nothing. No other process may open the database meanwhile.

    Raises:
        StoreLocked: A process has it open for writing.
        StoreFull: There is not enough space for the copy.
        StoreError: As `examine`, and nothing can be saved.
    """
    from graphengine.stores.sqlite.doctor import salvage  # noqa: PLC0415 - rarely needed

    require_file(path)
    path = path.resolve()
    options = LeaseOptions(path, 0.0, BUSY_TIMEOUT_SECONDS, time.time)
    _refuse_live_owners(path, options)
    before: Report | None = None
    try:
        before = examine(path, quick=quick, progress=progress)
    except (StoreTooNew, StoreLocked, StoreFull):
        raise
    except StoreReadOnly as error:  # raised for an older format, unless SQLite raised it
        if error.__cause__ is not None:
            raise
    except StoreError:
        if not salvage.is_promising(path):
            raise
    if before is not None and not any(finding.repairable for finding in before.findings):
        return Repaired(before)
    copy = _copied(path, time.time())
    is_torn = before is None or any(finding.code == "page" for finding in before.findings)
    unnamed = pages.describe_loss(path) if is_torn else ""
    if describe_damage(path):
        unnamed = "the write-ahead log was damaged: steps in it may be lost"
    try:
        done, lost = _repair_file(path, before, options, copy, progress)
    except OSError as error:
        raise explain_os(error, path) from error
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return Repaired(examine(path, quick=quick, progress=progress), done, lost, copy, unnamed)


def _repair_file(
    path: Path, before: Report | None, options: LeaseOptions, copy: Path, progress: Progress | None
) -> tuple[list[str], list[Lost]]:
    from graphengine.stores.sqlite.doctor import repairs  # noqa: PLC0415 - rarely needed

    done: list[str] = []
    lost: list[Lost] = []
    needs_new_file = before is None or any(repairs.needs_new_file(finding) for finding in before.findings)
    if before is None and _has_older_format(path) and not describe_damage(path):
        needs_new_file = False
    if not needs_new_file:
        try:
            done += _repair_in_place(path, options, progress)
        except sqlite3.DatabaseError as error:
            if not shows_damage(error):
                raise
            needs_new_file = True
    if needs_new_file:
        saved, lost = _save(path, copy.with_name(copy.name + ".new"), options, progress)
        done += saved
        done += repairs.remove_lock_files(options)
    if repairs.set_mode(path):
        done.append("set the file's mode to 0600")
    return done, lost


def _save(path: Path, new: Path, options: LeaseOptions, progress: Progress | None) -> tuple[list[str], list[Lost]]:
    """Save what can be read into a new file, repair that, and replace the damaged file with it.

    Raises:
        StoreLocked: Another process wrote to the database, or has it open for writing.
    """
    from graphengine.stores.sqlite.doctor import repairs, salvage  # noqa: PLC0415 - rarely needed

    state = file_state(path)
    if progress is not None:
        progress("rows to save", 0, 0)
    lost = salvage.salvage(path, new)
    done = ["saved every row that could be read into a new file"]
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            done += repairs.repair_rows(connection, options, progress)
        _refuse_live_owners(path, options)
        _refuse_changes(path, state)
        _swap(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return done, lost


def _repair_in_place(path: Path, options: LeaseOptions, progress: Progress | None) -> list[str]:
    from graphengine.stores.sqlite.doctor import repairs  # noqa: PLC0415 - rarely needed

    uri = f"{path.as_uri()}?mode=rw"
    with closing(
        sqlite3.connect(uri, uri=True, isolation_level=None, timeout=options.busy_timeout_seconds)
    ) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # no change between check and repair
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        harden(connection)
        done = []
        version = _check_application(connection, path)
        if version < latest_format() and not _is_present_schema(connection):
            repairs.repair_schema(connection, version, options)
            migrate(connection, path)
            done.append(f"brought the database to format {latest_format()}")
        done += repairs.repair_rows(connection, options, progress)
        done += repairs.remove_lock_files(options)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return done


def _examined(connection: sqlite3.Connection, path: Path, *, quick: bool, progress: Progress | None) -> Report:
    found: list[Finding] = []
    more = 0
    counted = logs.Counted()
    options = LeaseOptions(path.resolve(), 0.0, BUSY_TIMEOUT_SECONDS)
    for finding in all_findings(connection, counted, options, quick=quick, progress=progress):
        if len(found) < checks.MOST_FINDINGS:
            found.append(finding)
        else:
            more += 1
    found += checks.file_itself(path)
    return Report(path, found, more, counted.runs, counted.steps, counted.snapshots)


def _check_application(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the format; accept a damaged mark if the file has graphengine's tables."""
    tables = {row[1] for row in connection.execute(DOCTOR_SQL["schema"]) if row[0] == "table"}
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if tables >= _OURS and application != APPLICATION_ID:
        return min(int(connection.execute("PRAGMA user_version").fetchone()[0]), latest_format())
    return check_format(connection, path)


def _is_present_schema(connection: sqlite3.Connection) -> bool:
    return not list(checks.schema(connection))


def _has_older_format(path: Path) -> bool:
    try:
        with closing(open_for_inspection(path)) as connection:
            return 0 < check_format(connection, path) < latest_format()
    except (sqlite3.Error, StoreError):
        return False


def _refuse_live_owners(path: Path, options: LeaseOptions) -> None:
    """Check that no live process has the database open for writing.

    Raises:
        StoreLocked: A process has it open.
    """
    alive: list[str] = []
    known: set[str] = set()
    try:
        with closing(open_for_inspection(path)) as connection:
            for row in connection.execute(DOCTOR_SQL["owners"]).fetchall():
                owner = Owner(*row)
                if checks.is_alive(owner, options):  # the others can be suspended: their locks are checked below
                    known.add(owner.lock_file)
                    (count,) = connection.execute(DOCTOR_SQL["driven_by"], (owner.id,)).fetchone()
                    alive.append(f"{owner}, which drives {count} runs")
    except (sqlite3.Error, UnicodeDecodeError, TypeError, ValueError):
        pass  # damaged rows: rely on the locks
    folder = options.folder
    others = (name for name in lock_files(folder) - known if not lock_shows_death(owner_of(name), folder))
    alive += [f"the process that holds {folder / name}" for name in others]
    if alive:
        message = f"the database is in use by {'; '.join(alive)}"
        raise StoreLocked(message, where=str(path), repair="end it, then repair; checking without --repair is safe")


def _refuse_changes(path: Path, state: FileState) -> None:
    """Check that a file is unchanged.

    Raises:
        StoreLocked: Another process wrote to it.
    """
    if file_state(path) != state:
        message = "another process wrote to the database during the repair; the repair changed nothing"
        raise StoreLocked(message, where=str(path), repair="end all processes that use it, then repair again")


def _copied(path: Path, now: float) -> Path:
    """Copy the file and its log, durably.

    Raises:
        StoreFull: There is not enough space for the copy and a new file.
        StoreError: It cannot be copied.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    copy = path.with_name(f"{path.name}.before-repair-{stamp}")
    number = 1
    while copy.exists():
        number += 1
        copy = path.with_name(f"{path.name}.before-repair-{stamp}-{number}")
    log = log_of(path)
    size = path.stat().st_size + bytes_of_log(path)
    free = shutil.disk_usage(path.parent).free
    if free < 2 * size:
        message = f"a repair needs {2 * size} bytes for a copy and a new file, and {free} are free"
        raise StoreFull(message, where=str(path.parent), repair="free some space, or repair a copy on another disk")
    try:
        _copy_file(path, copy)
        if log.exists():
            _copy_file(log, log_of(copy))
        sync_folder(path.parent)
    except OSError as error:
        raise explain_os(error, path) from error
    return copy


def _copy_file(source: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with source.open("rb") as reading, os.fdopen(descriptor, "wb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
        writing.flush()
        os.fsync(writing.fileno())


def _swap(new: Path, path: Path) -> None:
    """Replace the damaged file, of which there is a copy, and its log with the new file."""
    # Remove the log first: the old file's log must never be read as the new file's. If this process dies before the
    # new file is in place, the old file holds the content of the log, as far as SQLite can move it there.
    damaged = (sqlite3.Error, UnicodeDecodeError)  # the second if an error quotes text that is not UTF-8
    with suppress(*damaged), closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()  # a concurrent commit could damage the file
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    for old in (log_of(path), path.with_name(path.name + "-shm")):
        old.unlink(missing_ok=True)
    new.replace(path)
    sync_folder(path.parent)
