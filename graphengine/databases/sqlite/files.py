"""Opening a database file: checks of its application and version, and the settings of every connection.

SQLite's `application_id` marks a file as graphengine's. Its `user_version` is the number of the last migration. Both
are read, and the migrations run, inside one write transaction, so that many processes can open a new file at the same
time.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from graphengine.databases.refusals import too_old
from graphengine.databases.sqlite.checkpoints import keep_log_short, sync_as
from graphengine.databases.sqlite.definitions import harden, refuse_foreign
from graphengine.databases.sqlite.faults import explain
from graphengine.databases.sqlite.owners import has_live_owner
from graphengine.databases.sqlite.queries import FIRST, latest_format, migration
from graphengine.databases.sqlite.wal_recovery import bytes_of_log, log_of, refuse_damaged_log, sync_log
from graphengine.errors import StoreError, StoreMissing, StoreMoved, StoreNotADatabase, StoreReadOnly, StoreTooNew

log = logging.getLogger("graphengine.stores")

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]

APPLICATION_ID: Final = 0x47726147
"""The mark of graphengine's SQLite files: the letters GraG."""

OLDEST_READ: Final = latest_format()
"""The oldest format that can be read without a migration."""

_OURS: Final = frozenset({"runs", "steps", "snapshots", "graph_specs", "inbox"})

PAGE_BYTES: Final = 4096
"""The size of a page. A commit writes changed pages as a whole, so with 8 KB short runs would take 15 % longer."""

# One statement, so that all three values are consistent while another process creates the database.
_IDENTITY: Final = """
    SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
    FROM pragma_application_id, pragma_user_version
"""
_SMALLEST_BYTES: Final = 512
_WITHOUT_LOCKS: Final = "&vfs=unix-none"
_OLDEST_SQLITE: Final = (3, 37, 0)
_WAL_POLL_SECONDS: Final = 0.005
_MOUNTS: Final = Path("/proc/self/mountinfo")
"""The mounts of this system, one in each line. Source: proc_pid_mountinfo(5)."""
_SECOND_NANOSECONDS: Final = 1_000_000_000
_LONGEST_TICK_NANOSECONDS: Final = 3 * _SECOND_NANOSECONDS
"""Longer than a tick of the coarsest file system clock, the 2 s of FAT. Such clocks show no fractions of seconds."""
_FINE_TICK_NANOSECONDS: Final = _SECOND_NANOSECONDS // 10
"""Longer than a tick of the coarsest clock that shows fractions of seconds, the 10 ms of some Linux systems."""


def prepare_file(path: Path) -> None:
    """Create a database file and its folder if they are missing, so that only this user can access them.

    Raises:
        StoreNotADatabase: The path is a folder, a device or another special file, or a file that is not a database.
        StoreError: The file cannot be created, has a second name, or is itself a mount point.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        message = f"this Python uses SQLite {sqlite3.sqlite_version}, which is too old"
        raise StoreError(message, where="python's sqlite3 module", repair="use a Python with SQLite 3.37 or newer")
    _refuse_others(path)
    try:
        _make_synced_folder(path.parent)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError as error:
        if not path.exists():  # a part of the path is a file, or the path is a link to nowhere
            raise explain(error, path) from error
        _refuse_second_names(path)
    except OSError as error:
        raise explain(error, path) from error
    else:
        _tell_of_like_names(path)


def _refuse_second_names(path: Path) -> None:
    """Raise an error if the database file also has another name, in this folder or another one.

    SQLite writes recorded data to a log file beside the name under which the database is opened, `runs.db-wal`. So data
    can be lost as follows:

    1. The single file `runs.db` of the host is mounted in a container. The container records a run and is killed.
    2. The log is in the container's own folder, and is removed with the container.
    3. On the host the run is lost, although it was synced to the disk.

    Source: https://www.sqlite.org/howtocorrupt.html, "Multiple links to the same file".
    """
    real = path.resolve()
    if real.stat().st_nlink > 1:
        message = f"the file '{path}' has a second name (a hard link), but its log, {real.name}-wal, has only one"
        repair = (
            f"remove the other name: `find / -samefile {path}` shows it; or copy the file with `graphengine backup`"
        )
        raise StoreError(message, where=str(path), repair=repair)
    if _is_mount_point(real):
        message = f"only the file '{path}' is mounted, so its log, {real.name}-wal, would be written outside the mount"
        raise StoreError(message, where=str(path), repair="mount the folder that contains the database")


def _is_mount_point(path: Path) -> bool:
    """Return whether something is mounted at a path, according to Linux. False on other systems."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return False
    points = (line.split(b" ", 5)[4] for line in lines if line.count(b" ") > 4)  # noqa: PLR2004 - the fifth field
    escaped = os.fsencode(path)
    for character in b"\\ \t\n":
        escaped = escaped.replace(bytes([character]), b"\\%03o" % character)
    return escaped in points


def _tell_of_like_names(path: Path) -> None:
    """Log a hint if a file with nearly the same name exists beside a new file: the runs may be in that file."""
    name = path.name
    for other in {name.lower(), name.upper(), name.capitalize(), name[:1].swapcase() + name[1:]} - {name}:
        beside = path.with_name(other)
        if beside.exists() and not beside.samefile(path):  # on some file systems both names mean one file
            text = "the database %s is new, and %s is beside it\n  repair: write the name as the file has it"
            log.warning(text, path, other)


class FileState(NamedTuple):
    """Facts about a database file that show whether the file has changed.

    Attributes:
        has_log: Whether the write-ahead log contains data. Then a process has the database open, or died while it was
            open.
        inode: The inode of the file.
        size_bytes: The size of the file.
        changed_at_ns: The time of the last change.
    """

    has_log: bool
    inode: int
    size_bytes: int
    changed_at_ns: int


class OpenFiles:
    """Remembers the files of an open database, to detect when its path leads to other files.

    A path can lead to other files for two reasons:

    1. The file is moved, deleted or replaced.
    2. This process itself opens and closes the file, for example for a backup or checksum. Then the operating system
       drops all locks that the process holds on the file, including those of SQLite. The next process that closes the
       database takes itself for the last one and deletes the log, to which this process still writes.

    In both cases SQLite would report commits as done that no other process ever reads.

    Args:
        path: The database. A connection must have it open, because only then the log certainly exists.

    Attributes:
        path: The database.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._files: Final = [(each, _identity_of_file(each)) for each in (str(path), str(log_of(path)))]
        self._folder: Final = str(path.parent)
        self._checked: tuple[int, int, int] | None = None  # the state of the folder when they were last compared

    def check(self) -> None:
        """Check that the paths of the database and its log still lead to the files that were opened.

        First, this function only checks whether a name in the folder was added, renamed or removed since the last
        check. If not, the paths still lead to the same files. This costs one `stat`. Checking the files themselves
        costs more, because Linux then updates the time of the log at the next write, which the sync of a commit must
        wait for.

        Raises:
            StoreMoved: A file was replaced or is gone.
        """
        folder = _state_of_folder(self._folder)
        if folder is not None and folder == self._checked:
            return
        for path, identity in self._files:
            if _identity_of_file(path) != identity:
                message = (
                    f"the database '{path}' was moved, deleted or replaced while open, so nothing more is recorded"
                )
                repair = (
                    "close this Runner, put the file back if it was moved, and resume; never open the file of a live "
                    "database yourself in a process that has it open, not even to read or copy it"
                )
                raise StoreMoved(message, where=str(path), repair=repair)
        # Two changes within a tick of the file system's clock have one time: only an older one is certainly the last.
        self._checked = None
        if folder is not None:
            tick = _FINE_TICK_NANOSECONDS if folder[2] % _SECOND_NANOSECONDS else _LONGEST_TICK_NANOSECONDS
            self._checked = folder if time.time_ns() - folder[2] > tick else None


def _state_of_folder(folder: str) -> tuple[int, int, int] | None:
    """Return numbers that change whenever a file in a folder is added, renamed or removed.

    They include the time of the folder's last change. Return None where the system does not offer this.
    """
    if os.name != "posix":
        return None
    try:
        found = os.stat(folder)  # noqa: PTH116 - as in `_identity_of_file`
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _identity_of_file(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - before each commit: half the time of Path.stat
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def file_state(path: Path) -> FileState:
    """Return the facts about a database file by which a later change of the file is noticed.

    Raises:
        StoreMissing, StoreNotADatabase, StoreError: As in `require_file`.
    """
    require_file(path)
    try:
        stat = path.stat()
        has_log = bytes_of_log(path) > 0
    except OSError as error:
        raise explain(error, path) from error
    return FileState(has_log, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def has_changed(path: Path, state: FileState) -> bool:
    """Return whether the file may have changed since `state`, so that data or errors read since then may be wrong."""
    now = file_state(path)
    return not now.has_log if state.has_log else now != state


def uri_to_read(path: Path, state: FileState) -> str:
    """Return the URI with which SQLite opens a file for reading, so that no new files are left next to the database.

    - If the file has no write-ahead log, no process has it open. Then it is opened as immutable: SQLite assumes that
      the file does not change, and the caller must compare a new `file_state` after reading.
    - If the file has a log, SQLite uses the index of the log next to the database, which all processes share.
    - If the file has a log but no index, and no index can be created, as on a read-only volume, no other process has
      the database open. Then the index is kept in memory (`keep_index`), and no locks are used.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    if not state.has_log:
        return f"{uri}&immutable=1"
    index = path.with_name(path.name + "-shm")
    cannot_have_index = os.name == "posix" and not index.exists() and not os.access(path.parent, os.W_OK)
    return uri + _WITHOUT_LOCKS if cannot_have_index else uri


def keep_index(connection: sqlite3.Connection, uri: str) -> None:
    """Keep the index of the log in memory if the URI from `uri_to_read` requires this."""
    if uri.endswith(_WITHOUT_LOCKS):
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()


def move_idle_log(path: Path) -> None:
    """Move the write-ahead log into the database file if no process has the database open. A failure is only logged.

    SQLite does this itself when the last connection is closed, unless that connection only reads. So call this function
    after closing a connection that only reads.
    """
    if not log_of(path).exists():
        return
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            harden(connection)
            sync_as(connection, "FULL")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # this opens the log
    except sqlite3.Error as error:
        log.info("the write-ahead log of %s was not moved into the file: %s", path, error)


def sync_folder(folder: Path) -> None:
    """Sync a folder to the disk, so that the names of files in it survive a power cut."""
    if os.name != "posix":  # other systems cannot open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_synced_folder(folder: Path) -> None:
    """Create a folder and its parents, and sync their names. SQLite syncs only the folder that contains the file."""
    if folder.is_dir():
        return
    _make_synced_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def require_file(path: Path) -> None:
    """Check that the path is an existing database file.

    Raises:
        StoreMissing: The file does not exist.
        StoreNotADatabase: The path is a folder, a device or another special file, or a file that is not a database.
        StoreError: The path cannot be accessed.
    """
    _refuse_others(path)
    if not path.exists():
        message = f"there is no database '{path}'"
        raise StoreMissing(message, where=str(path), repair="check the path; the first run creates the database")


def _refuse_others(path: Path) -> None:
    """Raise an error if a path is not a regular file, or is too short to be a database.

    SQLite would take a file that is too short for an empty database, and overwrite it.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise explain(error, path) from error
    message = f"the file '{path}' is not a database"
    repair = "choose another file for the runs, or move this file away"
    if stat.S_ISDIR(found.st_mode):
        message, repair = (
            f"'{path}' is a folder, not a database",
            f"give a file in the folder, such as {path / 'runs.db'}",
        )
    elif not stat.S_ISREG(found.st_mode):
        message = f"'{path}' is {_name_file_kind(found.st_mode)}, not a file"
        repair = "give the path of a file for the runs, such as runs.db"
    elif not 0 < found.st_size < _SMALLEST_BYTES:
        return
    raise StoreNotADatabase(message, where=str(path), repair=repair)


def _name_file_kind(mode: int) -> str:
    kinds = {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "something else")


def set_up(connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
    """Prepare the writing connection: check the file, migrate it to this version, and apply the settings.

    Raises:
        StoreNotADatabase: The database belongs to another application.
        StoreTooNew, StoreTooOld: A newer version, or a development version, wrote the database.
        StoreAltered: Another program changed or added definitions.
        sqlite3.Error: The file is not a database, or is read-only or locked.
    """
    _check_log(path)
    sync_log(path)
    version = _check_definitions(connection, path)
    if version == 0:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # allow returning free pages while others write
    _use_wal(connection)
    connection.execute("PRAGMA secure_delete = FAST").fetchone()  # ON would write every page that is freed
    keep_log_short(connection)
    sync_as(connection, synchronous)
    if version < latest_format():
        migrate(connection, path)
    _check_file_writable(connection)


def _check_log(path: Path) -> None:
    """Check the write-ahead log that a process may have left when it died.

    If another live process has the database open, that process has already checked the log.

    Raises:
        StoreCorrupt: A place in the log is damaged, and finished commits follow it.
    """
    if not has_live_owner(path):
        refuse_damaged_log(path)


def set_up_reader(connection: sqlite3.Connection, path: Path, *, uri: str = "", is_alone: bool = True) -> None:
    """Prepare a connection that only reads: check the file, and apply the settings.

    `is_alone` means that this store has no writing connection, which would have checked the write-ahead log.

    Raises:
        StoreMissing: The file is empty.
        StoreError: As in `set_up`; also if the database has an older format, which only a writer can migrate.
        sqlite3.Error: As in `set_up`.
    """
    keep_index(connection, uri)
    connection.execute("PRAGMA query_only = ON")
    if is_alone:
        _check_log(path)
    version = _check_definitions(connection, path)
    if version == 0:
        message = f"the file '{path}' is empty, so it is not a database yet"
        raise StoreMissing(message, where=str(path), repair="check the path; the first run makes the file a database")
    if version < OLDEST_READ:
        message = (
            f"the database has format {version}, which must be updated to format {latest_format()} before it is read"
        )
        raise StoreReadOnly(
            message, where=str(path), repair="open the database once with write access: `graphengine run` does"
        )


def _check_definitions(connection: sqlite3.Connection, path: Path) -> int:
    """Check the application mark and the definitions of a database in one read, and return the version of its format.

    Raises:
        StoreNotADatabase, StoreTooNew, StoreTooOld: As in `check_format`.
        StoreAltered: Another program changed or added definitions.
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
    """Return the version of the database's format; 0 if the database is empty.

    Raises:
        StoreNotADatabase: The database belongs to another application.
        StoreTooNew: A newer version wrote the database.
        StoreTooOld: A development version wrote the database.
    """
    application, version, tables = connection.execute(_IDENTITY).fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        if has_our_tables(connection):
            message = (
                f"the database '{path}' has the tables of graphengine without its mark, as after loading a `.dump`"
            )
            repair = "if you trust the file, `graphengine doctor --repair` saves everything in it"
            raise StoreNotADatabase(message, where=str(path), repair=repair)
        message = f"the file '{path}' is the database of another application"
        raise StoreNotADatabase(message, where=str(path), repair="choose another file for the runs, such as runs.db")
    if version > latest_format():
        message = f"the database has format {version}; this version of graphengine reads up to {latest_format()}"
        raise StoreTooNew(message, where=str(path), repair="update graphengine, or use another file for the runs")
    if 0 < version < FIRST:
        raise too_old("database", version, FIRST, str(path), "use another file")
    return int(version)


def has_our_tables(connection: sqlite3.Connection) -> bool:
    """Return whether a database contains graphengine's tables, whatever application its mark names."""
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")} >= _OURS


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Migrate the database to the latest format, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = check_format(connection, path)
        upto = latest_format()
        for number in range(max(version + 1, FIRST), upto + 1):
            for statement in migration(number):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {upto}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch a database to write-ahead logging.

    If another process holds a lock, try again, because SQLite does not wait for locks here.
    """
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


def _check_file_writable(connection: sqlite3.Connection) -> None:
    """Raise an error when the store is opened, and not at the first step, if the file cannot be written."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")
