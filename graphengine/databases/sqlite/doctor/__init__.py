"""Finding and repairing damage in a SQLite file: `examine` checks the file without changes, `repair` repairs it.

`checks.py` contains the checks. `rebuild.py` copies what can be read from a damaged file into a new file. A repair
first makes a copy of the damaged file, and never drops a readable step.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from collections import Counter
from contextlib import closing, suppress
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from graphengine.databases.findings import Counted, Finding, Lost, Progress, Repaired, Report, report_of
from graphengine.databases.sqlite.definitions import harden
from graphengine.databases.sqlite.doctor.checks import NONSENSE, all_findings
from graphengine.databases.sqlite.doctor.rebuild import rebuild
from graphengine.databases.sqlite.faults import explain, shows_damage
from graphengine.databases.sqlite.files import (
    APPLICATION_ID,
    FileState,
    check_format,
    file_state,
    has_changed,
    has_our_tables,
    keep_index,
    move_idle_log,
    require_file,
    sync_folder,
    uri_to_read,
)
from graphengine.databases.sqlite.owners import Owner, lock_files, lock_shows_death, owner_of
from graphengine.databases.sqlite.queries import DOCTOR_SQL, latest_format
from graphengine.databases.sqlite.wal_recovery import (
    apply_log,
    bytes_of_log,
    describe_damage,
    log_of,
    refuse_damaged_log,
)
from graphengine.errors import StoreError, StoreFull, StoreLocked, StoreReadOnly

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY_TIMEOUT_SECONDS: Final = 10.0
"""How long to wait for another program's lock."""

_PASSES: Final = 8
_MOST_AT_ONCE: Final = 100_000
WAL_RESET_REPAIRED: Final = (3, 51, 3)
"""The first version of SQLite without its WAL-reset bug."""

_HOPELESS: Final = (
    "SQLite can read nothing of it: restore a backup, or try `.recover` of the sqlite3 shell (Debian 12 has none)"
)


def examine(path: Path, *, progress: Progress | None = None) -> Report:
    """Check everything in a database, without changing it and without blocking writers.

    Args:
        path: The file.
        progress: Called with the progress of the check.

    Raises:
        StoreMissing: The file does not exist.
        StoreNotADatabase: The file is not a database, or belongs to another application.
        StoreTooNew: A newer version wrote the file.
        StoreTooOld: A development version wrote the file.
        StoreReadOnly: The file has an older format, which a writer must migrate first.
        StoreCorrupt: The write-ahead log is damaged and finished commits follow, or nothing can be read.
        StoreError: The file cannot be opened.
    """
    while True:
        state = file_state(path)
        found: Report | StoreError
        try:
            found = _examine_once(path, state, progress=progress)
        except StoreError as error:
            found = error
        if has_changed(path, state):
            continue
        if isinstance(found, StoreError):
            raise found
        if found.is_sound:
            move_idle_log(path)
        return found


def of_this_library() -> Iterator[Finding]:
    """Yield notes about bugs in the SQLite library that this Python uses. They do not depend on any file."""
    if sqlite3.sqlite_version_info >= WAL_RESET_REPAIRED:
        return
    what = (
        f"SQLite {sqlite3.sqlite_version} has the WAL-reset bug (3.7.0 to 3.51.2, unless your system repaired it); "
        "graphengine is not exposed, since it moves the log only under the write lock"
    )
    repair = "let no other program with such an SQLite move the log: no shell that writes, no Litestream up to 0.5.16"
    yield Finding("sqlite_version", what, repair=repair, note=True)


def _examine_once(path: Path, state: FileState, *, progress: Progress | None) -> Report:
    refuse_damaged_log(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    found: list[Finding] = []
    if mode & 0o077:
        message = f"the file has mode {mode:04o}: other users can read or write it"
        repair = "`graphengine doctor --repair` sets 0600"
        found.append(Finding("mode", message, repair=repair, repairable=True))
    counted = Counted()
    try:
        with closing(_open_damaged(uri_to_read(path, state))) as connection:
            _check_format(connection, path)
            inside = all_findings(connection, path, counted, progress=progress)
            return report_of(path, chain(found, inside), counted)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _explain_damage(error, path) from error


def _explain_damage(error: Exception, path: Path) -> StoreError:
    found = explain(error, path)
    if shows_damage(error):
        found.repair = _HOPELESS
    return found


def _open_damaged(uri: str) -> sqlite3.Connection:
    """Open a database that may be damaged. Rows of its schema that cannot be read are left out."""
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    keep_index(connection, uri)
    harden(connection)
    connection.execute("PRAGMA writable_schema = ON")
    return connection


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Check that the file is a graphengine database of the current format.

    If only the application mark in the header is damaged, but the tables of graphengine exist, the file is accepted.

    Raises:
        StoreNotADatabase, StoreTooNew, StoreTooOld, StoreReadOnly: The file has another format.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID and has_our_tables(connection):
        return
    version = check_format(connection, path)
    if version < latest_format():
        message = f"the database has format {version}, which must be updated to format {latest_format()} first"
        repair = "open the database once with write access: `graphengine run` does"
        raise StoreReadOnly(message, where=str(path), repair=repair)


def repair(path: Path, *, progress: Progress | None = None) -> Repaired:
    """Repair a database: in place or, if pages are damaged, by copying what can be read into a new file.

    The file and its write-ahead log are first copied to `FILE.before-repair-TIME`. If the log is damaged, its finished
    commits are then moved into the file. If there is nothing to repair, nothing is changed. No other process may open
    the database meanwhile.

    Raises:
        StoreLocked: A process has the database open.
        StoreFull: There is not enough space for the copy.
        StoreError: As in `examine`, if nothing can be saved.
    """
    require_file(path)
    path = path.resolve()
    _refuse_live_owners(path)
    unnamed = ""
    if describe_damage(path):
        unnamed = "the write-ahead log was damaged: steps in it may be lost"
    else:
        before = examine(path, progress=progress)
        if not any(finding.repairable for finding in before.findings):
            return Repaired(before)
        if any(finding.code == "page" for finding in before.findings):
            unnamed = "pages of the file were damaged: steps on them may be lost"
    copy = _copy_with_log(path, time.time())
    done: list[str] = []
    lost: list[Lost] = []
    try:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
            done.append("set the file's mode to 0600")
        if describe_damage(path):
            apply_log(path)
            done.append("moved the finished commits of the write-ahead log into the file")
        lost = _repair_content(path, copy.with_name(copy.name + ".new"), done, progress)
    except OSError as error:
        raise explain(error, path) from error
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _explain_damage(error, path) from error
    return Repaired(examine(path, progress=progress), done, lost, copy, unnamed)


def _repair_content(path: Path, new: Path, done: list[str], progress: Progress | None) -> list[Lost]:
    """Repair the rows of a database in place, or save them into a new file that replaces the damaged one.

    Return the steps that are lost.
    """
    lost: list[Lost] = []
    try:
        with closing(_open_damaged(f"{path.as_uri()}?mode=rw")) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()
            connection.execute("BEGIN IMMEDIATE")  # locks out all other processes until this connection is closed
            connection.execute("COMMIT")
            _check_format(connection, path)
            if not _repair_rows(connection, path, done, progress):
                if progress is not None:
                    progress("rows to save", 0, 0)
                lost = rebuild(connection, new)
                done.append("saved every row that could be read into a new file")
                with closing(_open_damaged(f"{new.as_uri()}?mode=rw")) as rebuilt:
                    _repair_rows(rebuilt, new, done, progress)
                _sync(new)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if new.exists():
            # Remove the log first, so that it is never read with the new file. The old file contains its data.
            log_of(path).unlink(missing_ok=True)
            path.with_name(path.name + "-shm").unlink(missing_ok=True)
            new.replace(path)
            sync_folder(path.parent)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return lost


def _repair_rows(connection: sqlite3.Connection, path: Path, done: list[str], progress: Progress | None) -> bool:
    """Run the SQL statements that repair findings, until no finding is left. Return False if a new file is needed.

    The check is repeated after each repair, because one repair can reveal the next fault. For example, a missing run's
    row is restored, and then turns out to be out of date.
    """
    counts: Counter[str] = Counter()
    for _ in range(_PASSES):
        every = all_findings(connection, path, Counted(), progress=progress)
        found = list(islice((finding for finding in every if finding.repairable), _MOST_AT_ONCE))
        if not all(finding.repair_in_place[0] for finding in found):
            return False
        if not found:
            break
        try:
            connection.execute("BEGIN IMMEDIATE")
            for finding in found:
                statement, values = finding.repair_in_place
                connection.execute(statement, values)
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if not shows_damage(error):
                raise
            return False
        counts.update(finding.code for finding in found)
    done += [f"repaired {code} ({count})" for code, count in counts.items()]
    return True


def _refuse_live_owners(path: Path) -> None:
    """Raise StoreLocked if a live process has the database open for writing."""
    folder = path.with_name(path.name + "-owners")
    alive = {owner.id: owner for owner in map(owner_of, lock_files(folder)) if not lock_shows_death(owner, folder)}
    with suppress(*NONSENSE), closing(_open_damaged(uri_to_read(path, file_state(path)))) as connection:
        for row in connection.execute(DOCTOR_SQL["owners"]):
            owner = Owner(*row)
            is_alive = owner.expires_at > time.time() and not lock_shows_death(owner, folder)
            if is_alive or owner.id in alive:
                alive[owner.id] = owner
    if alive:
        message = f"the database is in use by {'; '.join(map(str, alive.values()))}"
        raise StoreLocked(
            message,
            where=str(path),
            repair="end these processes, then repair; `graphengine doctor` without --repair can be used now",
        )


def _copy_with_log(path: Path, now: float) -> Path:
    """Copy the file and its log, and sync both copies to the disk. Return the path of the copy.

    Raises:
        StoreFull: There is not enough space for the copy and a new file.
        StoreError: A file cannot be copied.
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
        message = f"the repair needs {2 * size} bytes for a copy and a new file, but only {free} bytes are free"
        raise StoreFull(
            message,
            where=str(path.parent),
            repair="free some space, or copy the database to another disk and repair the copy",
        )
    try:
        for source, target in ((path, copy), (log, log_of(copy))):
            if source.exists():
                target.touch(mode=0o600, exist_ok=False)
                shutil.copyfile(source, target)
                _sync(target)
        sync_folder(path.parent)
    except OSError as error:
        raise explain(error, path) from error
    return copy


def _sync(file: Path) -> None:
    with file.open("r+b") as opened:
        os.fsync(opened.fileno())
