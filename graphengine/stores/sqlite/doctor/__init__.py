"""What is wrong with a database, and mending it: `examine` looks and changes nothing, `repair` mends what it can.

`findings.py` has what they give; `checks.py` and `logs.py` look, `mend.py` mends rows, `salvage.py` saves what can be
read of damaged pages into a new file. A repair copies the file first, and never drops a recorded step that can be read.
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
from graphengine.stores.sqlite.definitions import harden
from graphengine.stores.sqlite.doctor import checks, logs, pages
from graphengine.stores.sqlite.doctor.findings import Finding, Lost, Progress, Repaired, Report
from graphengine.stores.sqlite.doctor.looking import BUSY_TIMEOUT_SECONDS, all_findings, opened_to_look
from graphengine.stores.sqlite.faults import explain, explain_os, shows_damage
from graphengine.stores.sqlite.files import (
    APPLICATION_ID,
    VERSION,
    Look,
    check_format,
    log_of,
    look_at,
    migrate,
    require_file,
    sync_folder,
)
from graphengine.stores.sqlite.owners import LeaseOptions, Owner, lock_shows_death
from graphengine.stores.sqlite.queries import DOCTOR_SQL
from graphengine.stores.sqlite.torn import commits_behind_damage, refuse_damaged_log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_OURS: Final = frozenset({"runs", "steps", "snapshots", "owners", "outlines", "inbox"})
_HOPELESS: Final = "no row of a run can be read in it: restore a backup"
_HINT: Final = "`graphengine doctor --repair` saves every row that can be read into a new file, after a copy"


def examine(path: Path, *, quick: bool = False, progress: Progress | None = None) -> Report:
    """Look at everything in a database, without changing it and without keeping those out who write to it.

    Args:
        path: The file.
        quick: Leave out what takes longest: comparing indexes with tables, and every snapshot with its log.
        progress: Told how far it is.

    Raises:
        StoreMissing: There is no file.
        StoreNotADatabase: It is no database, or another application's.
        StoreTooNew: A newer version wrote it.
        StoreReadOnly: It has an older format, which only a writer or `repair` brings up to date.
        StoreError: It cannot be opened.
    """
    while True:
        look = look_at(path)
        found: Report | StoreError
        try:
            found = _look_once(path, look, quick=quick, progress=progress)
        except StoreError as error:
            found = error
        if not look.has_log and look_at(path) != look:
            continue  # it was read as a file that does not change, and somebody wrote to it meanwhile
        if isinstance(found, StoreError):
            raise found
        return found


def _look_once(path: Path, look: Look, *, quick: bool, progress: Progress | None) -> Report:
    try:
        with closing(opened_to_look(path, look)) as connection:
            if _check_ours(connection, path) < VERSION and not _is_present_schema(connection):
                refuse_damaged_log(path)  # what SQLite reads may be much older than what was recorded
                message = f"the database has an older format and must be brought to format {VERSION} first"
                repair = "open it once with write access, as by `graphengine run`; --repair does it after a copy"
                raise StoreReadOnly(message, where=str(path), repair=repair)
            return _examined(connection, path, quick=quick, progress=progress)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        found = explain(error, path)
        if shows_damage(error):
            from graphengine.stores.sqlite.doctor import salvage  # noqa: PLC0415 - most who look find nothing to mend

            found.repair = _HINT if salvage.is_promising(path) else _HOPELESS
        raise found from error


def repair(
    path: Path,
    *,
    quick: bool = False,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> Repaired:
    """Mend what can be mended: first in place, and where pages are damaged by saving what can be read into a new file.

    The file is copied first, to `FILE.before-repair-TIME`, and so is the write-ahead log beside it. A repair that finds
    nothing to mend changes nothing. Nobody else may open the database meanwhile.

    Raises:
        StoreLocked: Somebody has it open to write.
        StoreFull: There is no room for the copy.
        StoreError: As `examine`, where nothing can be saved either.
    """
    from graphengine.stores.sqlite.doctor import salvage  # noqa: PLC0415 - most who look find nothing to mend

    require_file(path)
    path = path.resolve()
    options = LeaseOptions(path, 0.0, BUSY_TIMEOUT_SECONDS, clock)
    _refuse_company(path, options)
    before: Report | None = None
    try:
        before = examine(path, quick=quick, progress=progress)
    except (StoreTooNew, StoreLocked, StoreFull):
        raise
    except StoreReadOnly as error:  # of an older format, unless SQLite says so
        if error.__cause__ is not None:
            raise
    except StoreError:
        if not salvage.is_promising(path):
            raise
    if before is not None and not any(finding.repairable for finding in before.findings):
        return Repaired(before, before)
    copy = _copied(path, clock())
    is_torn = before is None or any(finding.code == "page" for finding in before.findings)
    unnamed = pages.gone(path) if is_torn else ""
    if commits_behind_damage(path):
        unnamed = "the write-ahead log was damaged: steps in it may be lost"
    try:
        done, lost = _mended(path, before, options, copy, progress)
    except OSError as error:
        raise explain_os(error, path) from error
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return Repaired(examine(path, quick=quick, progress=progress), before, done, lost, copy, unnamed)


def _mended(
    path: Path, before: Report | None, options: LeaseOptions, copy: Path, progress: Progress | None
) -> tuple[list[str], list[Lost]]:
    from graphengine.stores.sqlite.doctor import mend  # noqa: PLC0415 - most who look find nothing to mend

    done: list[str] = []
    lost: list[Lost] = []
    is_broken = before is None or any(mend.needs_new_file(finding) for finding in before.findings)
    if before is None and _has_older_format(path) and not commits_behind_damage(path):
        is_broken = False
    if not is_broken:
        try:
            done += _mend_in_place(path, options, progress)
        except sqlite3.DatabaseError as error:
            if not shows_damage(error):
                raise
            is_broken = True
    if is_broken:
        saved, lost = _save(path, copy.with_name(copy.name + ".new"), options, progress)
        done += saved
        done += mend.mend_beside(options)
    if mend.set_mode(path):
        done.append("set the file's mode to 0600")
    return done, lost


def _save(path: Path, new: Path, options: LeaseOptions, progress: Progress | None) -> tuple[list[str], list[Lost]]:
    """Save what can be read into a new file, mend that, and put it in the place of the damaged one.

    Raises:
        StoreLocked: Somebody else came and wrote, or has it open to write.
    """
    from graphengine.stores.sqlite.doctor import mend, salvage  # noqa: PLC0415 - most who look find nothing to mend

    look = look_at(path)
    if progress is not None:
        progress("what can be saved", 0, 0)
    lost = salvage.salvage(path, new)
    done = ["saved every row that could be read into a new file"]
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            done += mend.mend(connection, options, progress)
        _refuse_company(path, options)
        _refuse_changes(path, look)
        _swap(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return done, lost


def _mend_in_place(path: Path, options: LeaseOptions, progress: Progress | None) -> list[str]:
    from graphengine.stores.sqlite.doctor import mend  # noqa: PLC0415 - most who look find nothing to mend

    uri = f"{path.as_uri()}?mode=rw"
    with closing(
        sqlite3.connect(uri, uri=True, isolation_level=None, timeout=options.busy_timeout_seconds)
    ) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # what is mended is as it was when it was looked at
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        harden(connection)
        done = []
        version = _check_ours(connection, path)
        if version < VERSION and not _is_present_schema(connection):
            mend.mend_schema(connection, version, options)
            migrate(connection, path)
            done.append(f"brought the database to format {VERSION}")
        done += mend.mend(connection, options, progress)
        done += mend.mend_beside(options)
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


def _check_ours(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the format; a database with our tables whose mark is damaged is ours too."""
    tables = {row[1] for row in connection.execute(DOCTOR_SQL["schema"]) if row[0] == "table"}
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if tables >= _OURS and application != APPLICATION_ID:
        return min(int(connection.execute("PRAGMA user_version").fetchone()[0]), VERSION)
    return check_format(connection, path)


def _is_present_schema(connection: sqlite3.Connection) -> bool:
    return not list(checks.schema(connection))


def _has_older_format(path: Path) -> bool:
    try:
        with closing(opened_to_look(path)) as connection:
            return 0 < check_format(connection, path) < VERSION
    except (sqlite3.Error, StoreError):
        return False


def _refuse_company(path: Path, options: LeaseOptions) -> None:
    """See that no live process has the database open to write.

    Raises:
        StoreLocked: One has.
    """
    alive: list[str] = []
    known: set[str] = set()
    try:
        with closing(opened_to_look(path)) as connection:
            for row in connection.execute(DOCTOR_SQL["owners"]).fetchall():
                owner = Owner(*row)
                if checks.is_alive(owner, options):  # of the others, who are suspended, the locks tell
                    known.add(owner.lock_file)
                    (count,) = connection.execute(DOCTOR_SQL["driven_by"], (owner.id,)).fetchone()
                    alive.append(f"{owner}, which drives {count} runs")
    except (sqlite3.Error, UnicodeDecodeError, TypeError, ValueError):
        pass  # damaged rows: then the locks alone tell
    for name in checks.lock_files(options) - known:
        owner = Owner(name[: -len(".lock")], checks.host(), 0, name, 0.0)
        if not lock_shows_death(owner, options.folder):
            alive.append(f"the process that holds {options.folder / name}")
    if alive:
        message = f"the database is in use by {'; '.join(alive)}"
        raise StoreLocked(message, where=str(path), repair="end it, and repair then; to look without --repair is safe")


def _refuse_changes(path: Path, look: Look) -> None:
    """See that a file is as it was.

    Raises:
        StoreLocked: Somebody wrote to it.
    """
    if look_at(path) != look:
        message = "somebody wrote to the database while it was repaired; it is as they left it"
        raise StoreLocked(message, where=str(path), repair="see that nobody uses it, and repair again")


def _copied(path: Path, now: float) -> Path:
    """Copy the file and the log beside it, durably.

    Raises:
        StoreFull: There is no room for the copy and for a new file beside it.
        StoreError: It cannot be copied.
    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    copy = path.with_name(f"{path.name}.before-repair-{stamp}")
    number = 1
    while copy.exists():
        number += 1
        copy = path.with_name(f"{path.name}.before-repair-{stamp}-{number}")
    log = log_of(path)
    size = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
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
    """Put the new file in the place of the damaged one, of which there is a copy, and of its log."""
    # First its log: one of the old file must never be taken for one of the new. Should this process die before the
    # new file is in its place, the old one has what was in the log, as far as SQLite can move it there.
    damaged = (sqlite3.Error, UnicodeDecodeError)  # the second where an error quotes what is no UTF-8
    with suppress(*damaged), closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()  # a commit meanwhile could damage the file
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    for beside in (log_of(path), path.with_name(path.name + "-shm")):
        beside.unlink(missing_ok=True)
    new.replace(path)
    sync_folder(path.parent)
