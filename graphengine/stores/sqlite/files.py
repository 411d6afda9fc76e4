"""Opening the database's file: is it ours, which version is it, and the settings every connection gets.

A file is ours if SQLite's `application_id` says so; `user_version` is the number of the last migration it
had. Both are read, and the migrations run, inside one write transaction, so that any number of processes may
open one new file at once.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from graphengine.errors import StoreError, StoreMissing, StoreMoved, StoreNotADatabase, StoreReadOnly, StoreTooNew
from graphengine.stores.sqlite.checkpoints import never_by_itself, sync_as
from graphengine.stores.sqlite.definitions import harden, refuse_foreign
from graphengine.stores.sqlite.faults import explain_os
from graphengine.stores.sqlite.owners import somebody_lives
from graphengine.stores.sqlite.queries import MIGRATIONS, migration
from graphengine.stores.sqlite.torn import refuse_damaged_log, sync_log

if TYPE_CHECKING:
    from pathlib import Path

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]

APPLICATION_ID: Final = 0x47726147
"""What marks a SQLite file as ours: the letters GraG."""

VERSION: Final = len(MIGRATIONS)
"""The format that this code writes."""

PAGE_BYTES: Final = 8192
"""A step of a conversation takes some 1.3 KB: pages of 4 KB hold two or three of those, these hold six."""

# One statement, so that all three are of one moment, also while another process makes the database.
_IDENTITY: Final = """
    SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
    FROM pragma_application_id, pragma_user_version
"""
_SMALLEST_BYTES: Final = 512
_OLDEST_SQLITE: Final = (3, 37, 0)
_WAL_POLL_SECONDS: Final = 0.005


def prepare_file(path: Path) -> None:
    """Make the file and its folder if they are missing, readable by this user alone.

    Raises:
        StoreNotADatabase: The path is a folder, a device or anything else but a file, or another kind of file.
        StoreError: The file cannot be made.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        message = f"SQLite {sqlite3.sqlite_version} is too old"
        raise StoreError(message, where="python's sqlite3 module", repair="use a Python with SQLite 3.37 or newer")
    _refuse_others(path)
    try:
        _make_folder(path.parent)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError as error:
        if not path.exists():  # a part of the path is a file, or the path is a link to nowhere
            raise explain_os(error, path) from error
    except OSError as error:
        raise explain_os(error, path) from error


class Look(NamedTuple):
    """What tells whether a database's file changed since.

    Attributes:
        has_log: Whether there is something in the write-ahead log: somebody writes, or died writing.
        inode: Which file it is.
        size_bytes: How large it is.
        changed_at_ns: When it was changed last.
    """

    has_log: bool
    inode: int
    size_bytes: int
    changed_at_ns: int


class Place:
    """The files of an open database, to notice that they are not those at its path any more.

    Two things bring that about:

    1. The file is moved, deleted or replaced.
    2. This process opens and closes the file by itself, as for a backup or a checksum. With that the system drops all
       locks that the process has on it, those of SQLite as well. The next process that closes the database then takes
       itself for the last one and deletes the log, into which this one still writes.

    Either way SQLite would report commits as done that no other process ever reads.

    Args:
        path: The database, while a connection has it open: only then the log is sure to be there.

    Attributes:
        path: The same.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._files: Final = [(each, _identity(each)) for each in (path, log_of(path))]

    def check(self) -> None:
        """Compare the files with those at their paths; it costs a `stat` of each.

        Raises:
            StoreMoved: One is another file, or gone.
        """
        for path, identity in self._files:
            if _identity(path) != identity:
                message = f"{path} was moved, deleted or replaced while it was open: nothing more is recorded"
                repair = (
                    "close this Runner, put the file back if it was moved, and resume; never open the file of a live "
                    "database yourself, not even to read or copy it"
                )
                raise StoreMoved(message, where=str(path), repair=repair)


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def log_of(path: Path) -> Path:
    """The write-ahead log beside a database; it may not be there."""
    return path.with_name(path.name + "-wal")


def look_at(path: Path) -> Look:
    """How the file is now.

    Raises:
        StoreMissing, StoreNotADatabase, StoreError: As `require_file`.
    """
    require_file(path)
    try:
        stat = path.stat()
        log = log_of(path)
        has_log = log.exists() and log.stat().st_size > 0
    except OSError as error:
        raise explain_os(error, path) from error
    return Look(has_log, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def uri_to_read(path: Path, look: Look) -> str:
    """How to open a file that nothing may be left beside.

    Without a log it is at rest and is opened as immutable: SQLite then trusts us that it does not change, so whoever
    reads looks at it again afterwards.
    """
    return f"{path.as_uri()}?{'mode=ro' if look.has_log else 'mode=ro&immutable=1'}"


def sync_folder(folder: Path) -> None:
    """See that the names in a folder outlast a power cut."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they outlast a power cut: SQLite sees to what is in it only."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def require_file(path: Path) -> None:
    """See that there is a database to read.

    Raises:
        StoreMissing: There is none.
        StoreNotADatabase: The path is a folder, a device or anything else but a file, or another kind of file.
        StoreError: The path cannot be looked at.
    """
    _refuse_others(path)
    if not path.exists():
        message = f"no database at {path}"
        raise StoreMissing(message, where=str(path), repair="check the path; a database is made by the first run")


def _refuse_others(path: Path) -> None:
    """Refuse what is no regular file, and a file so short that SQLite would take it for empty and write over it."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise explain_os(error, path) from error
    message = f"{path} is not a database"
    repair = "name another file, or move this one away"
    if stat.S_ISDIR(found.st_mode):
        message, repair = f"{path} is a folder, not a database", f"name a file in it, such as {path / 'runs.db'}"
    elif not stat.S_ISREG(found.st_mode):
        message, repair = f"{path} is {_kind(found.st_mode)}, not a file", "name a file for the runs"
    elif not 0 < found.st_size < _SMALLEST_BYTES:
        return
    raise StoreNotADatabase(message, where=str(path), repair=repair)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "something else")


def set_up(connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
    """Prepare the writing connection: check the file, bring it to this version, choose its settings.

    Raises:
        StoreNotADatabase: Another application's database.
        StoreTooNew: Written by a newer version.
        StoreAltered: Somebody else defined something in it.
        sqlite3.Error: No database, read-only, locked.
    """
    _check_log(path)
    sync_log(path)
    version = _checked(connection, path)
    if version == 0:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # free pages can be given back while others write
    _use_wal(connection)
    never_by_itself(connection)
    sync_as(connection, synchronous)
    if version < VERSION:
        migrate(connection, path)
    _check_writable(connection)


def _check_log(path: Path) -> None:
    """Look at a log that was left behind; one that somebody is writing to was looked at by them.

    Raises:
        StoreCorrupt: Finished commits lie behind a damaged place of it.
    """
    if not somebody_lives(path):
        refuse_damaged_log(path)


def set_up_reader(connection: sqlite3.Connection, path: Path, *, is_alone: bool = True) -> None:
    """Prepare a connection that only reads; `is_alone`: not beside one of ours that writes.

    Raises:
        StoreMissing: The file is empty.
        StoreError: As `set_up`; also for an older version, which only a writer brings up to date.
        sqlite3.Error: As `set_up`.
    """
    connection.execute("PRAGMA query_only = ON")
    if is_alone:
        _check_log(path)
    version = _checked(connection, path)
    if version == 0:
        message = f"{path} is empty: it is no database yet"
        raise StoreMissing(message, where=str(path), repair="check the path; the first run makes it a database")
    if version < VERSION:
        message = f"the database has format {version} and must be brought to format {VERSION} before it is read"
        raise StoreReadOnly(message, where=str(path), repair="open it once with write access, as by `graphengine run`")


def _checked(connection: sqlite3.Connection, path: Path) -> int:
    """The version of a database that is ours in all it defines; both are of one moment, also while it is migrated.

    Raises:
        StoreNotADatabase, StoreTooNew: As `check_format`.
        StoreAltered: Somebody else defined something in it.
    """
    harden(connection)
    connection.execute("BEGIN")
    try:
        version = check_format(connection, path)
        refuse_foreign(connection, path, version)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return version


def check_format(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the database's format; 0 for a database that is still empty.

    Raises:
        StoreNotADatabase: It is another application's.
        StoreTooNew: It was written by a newer version.
    """
    application, version, tables = connection.execute(_IDENTITY).fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        message = f"{path} is the database of another application"
        raise StoreNotADatabase(message, where=str(path), repair="name another file for the runs")
    if version > VERSION:
        message = f"the database has format {version}; this version of graphengine reads up to {VERSION}"
        raise StoreTooNew(message, where=str(path), repair="update graphengine, or use another file for the runs")
    return int(version)


def migrate(connection: sqlite3.Connection, path: Path, upto: int = VERSION) -> None:
    """Bring the database to a version, from whichever it has, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for version in range(check_format(connection, path) + 1, upto + 1):
            for statement in migration(version):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {upto}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging, once for all. SQLite does not wait for other openers here, so we do."""
    (timeout_milliseconds,) = connection.execute("PRAGMA busy_timeout").fetchone()
    give_up_at = time.monotonic() + timeout_milliseconds / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(_WAL_POLL_SECONDS)
        else:
            return


def _check_writable(connection: sqlite3.Connection) -> None:
    """Find out now, not at the first step, that the file cannot be written."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")
