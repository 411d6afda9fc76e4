"""What is wrong with a database, and mending it: `examine` looks and changes nothing, `repair` mends what it can.

`findings.py` has what they give; `checks.py` and `logs.py` look, `mend.py` mends rows, `salvage.py` saves what can be
read of damaged pages into a new file. A repair copies the file first, and never drops a recorded step that can be read.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Final

from graphengine.errors import StoreError, StoreFull, StoreLocked, StoreReadOnly
from graphengine.stores.sqlite.doctor import checks, logs, mend, salvage
from graphengine.stores.sqlite.doctor.findings import Finding, Lost, Progress, Repaired, Report
from graphengine.stores.sqlite.doctor.looking import all_findings
from graphengine.stores.sqlite.faults import explain, explain_os
from graphengine.stores.sqlite.files import APPLICATION_ID, VERSION, check_format, migrate, require_file
from graphengine.stores.sqlite.ours import harden
from graphengine.stores.sqlite.owners import LeaseOptions, Owner, lock_shows_death
from graphengine.stores.sqlite.queries import DOCTOR_SQL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BUSY_TIMEOUT_SECONDS: Final = 10.0
_BESIDE: Final = ("-wal", "-shm")
_OURS: Final = frozenset({"runs", "steps", "snapshots", "owners", "outlines", "inbox"})
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
    require_file(path)
    try:
        with closing(_open_to_look(path)) as connection:
            if _check_ours(connection, path) < VERSION and not _is_present_schema(connection):
                message = f"the database has an older format and must be brought to format {VERSION} first"
                repair = "open it once with write access, as by `graphengine run`; --repair does it after a copy"
                raise StoreReadOnly(message, where=str(path), repair=repair)
            return _examined(connection, path, quick=quick, progress=progress)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        found = explain(error, path)
        found.repair = _HINT if salvage.is_promising(path) else found.repair
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
    require_file(path)
    path = path.resolve()
    options = LeaseOptions(path, 0.0, _BUSY_TIMEOUT_SECONDS, clock)
    _refuse_company(path, options)
    before: Report | None = None
    try:
        before = examine(path, quick=quick, progress=progress)
    except StoreReadOnly:
        pass  # an older format
    except StoreError:
        if not salvage.is_promising(path):
            raise
    if before is not None and not any(finding.repairable for finding in before.findings):
        return Repaired(before, before)
    copy = _copied(path, clock())
    try:
        done, lost = _mended(path, before, options, copy)
    except OSError as error:
        raise explain_os(error, path) from error
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return Repaired(examine(path, quick=quick, progress=progress), before, done, lost, copy)


def _mended(path: Path, before: Report | None, options: LeaseOptions, copy: Path) -> tuple[list[str], list[Lost]]:
    done: list[str] = []
    lost: list[Lost] = []
    is_broken = before is None or any(mend.needs_new_file(finding) for finding in before.findings)
    if before is None and _has_older_format(path):
        is_broken = False
    if not is_broken:
        try:
            done += _mend_in_place(path, options)
        except sqlite3.DatabaseError:
            is_broken = True
    if is_broken:
        new, lost = salvage.salvage(path, copy.with_name(copy.name + ".new"))
        done.append("saved every row that could be read into a new file")
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            done += mend.mend(connection, options)
        _swap(new, path)
        mend.mend_beside(options)
    if mend.set_mode(path):
        done.append("set the file's mode to 0600")
    return done, lost


def _mend_in_place(path: Path, options: LeaseOptions) -> list[str]:
    uri = f"{path.as_uri()}?mode=rw"
    with closing(
        sqlite3.connect(uri, uri=True, isolation_level=None, timeout=options.busy_timeout_seconds)
    ) as connection:
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        harden(connection)
        done = []
        if _check_ours(connection, path) < VERSION and not _is_present_schema(connection):
            migrate(connection, path)
            done.append(f"brought the database to format {VERSION}")
        done += mend.mend(connection, options)
        done += mend.mend_beside(options)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return done


def _examined(connection: sqlite3.Connection, path: Path, *, quick: bool, progress: Progress | None) -> Report:
    found: list[Finding] = []
    more = 0
    counted = logs.Counted()
    options = LeaseOptions(path.resolve(), 0.0, _BUSY_TIMEOUT_SECONDS)
    for finding in all_findings(connection, counted, options, quick=quick, progress=progress):
        if len(found) < checks.MOST_FINDINGS:
            found.append(finding)
        else:
            more += 1
    found += checks.file_itself(path)
    return Report(path, found, more, counted.runs, counted.steps, counted.snapshots)


def _open_to_look(path: Path) -> sqlite3.Connection:
    log = path.with_name(path.name + "-wal")
    mode = "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_SECONDS
    )
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    harden(connection)
    return connection


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
        with closing(_open_to_look(path)) as connection:
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
        with closing(_open_to_look(path)) as connection:
            for row in connection.execute(DOCTOR_SQL["owners"]).fetchall():
                owner = Owner(*row)
                known.add(owner.lock_file)
                if checks.is_alive(owner, options):
                    (count,) = connection.execute(DOCTOR_SQL["driven_by"], (owner.id,)).fetchone()
                    alive.append(f"{owner}, which drives {count} runs")
    except sqlite3.Error:
        pass  # then the locks alone tell
    for name in checks.lock_files(options) - known:
        owner = Owner(name[: -len(".lock")], checks.host(), 0, name, 0.0)
        if not lock_shows_death(owner, options.folder):
            alive.append(f"the process that holds {options.folder / name}")
    if alive:
        message = f"the database is in use by {'; '.join(alive)}"
        raise StoreLocked(message, where=str(path), repair="end it, and repair then; to look without --repair is safe")


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
    log = path.with_name(path.name + "-wal")
    size = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
    free = shutil.disk_usage(path.parent).free
    if free < 2 * size:
        message = f"a repair needs {2 * size} bytes for a copy and a new file, and {free} are free"
        raise StoreFull(message, where=str(path.parent), repair="free some space, or repair a copy on another disk")
    try:
        _copy_file(path, copy)
        if log.exists():
            _copy_file(log, copy.with_name(copy.name + "-wal"))
        _sync_folder(path)
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
    for suffix in _BESIDE:  # first: a log of the old file must never be taken for one of the new
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    new.replace(path)
    _sync_folder(path)


def _sync_folder(path: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
