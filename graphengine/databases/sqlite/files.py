"""Opening the database file: checks of its application and version, and the settings of every connection.

SQLite's `application_id` marks a file as graphengine's; `user_version` is the number of its last migration. Both are
read, and the migrations run, inside one write transaction, so that any number of processes can open a new file at once.
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
"""The oldest format that is read without migrating it."""

_OURS: Final = frozenset({"runs", "steps", "snapshots", "graph_specs", "inbox"})

PAGE_BYTES: Final = 4096
"""A commit writes each page that it changes as a whole: with 8 KB the start and the end of a run take 15 % longer."""

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
"""What is mounted, a line each. Source: proc_pid_mountinfo(5)."""
_SECOND_NANOSECONDS: Final = 1_000_000_000
_LONGEST_TICK_NANOSECONDS: Final = 3 * _SECOND_NANOSECONDS
"""More than the 2 s of FAT, the coarsest clock of a file system. Clocks of whole seconds show no fractions of them."""
_FINE_TICK_NANOSECONDS: Final = _SECOND_NANOSECONDS // 10
"""More than the 10 ms of the coarsest clock that shows fractions of a second: Linux with 100 timer interrupts."""


def prepare_file(path: Path) -> None:
    """Create the file and its folder if they are missing, accessible to this user only.

    Raises:
        StoreNotADatabase: The path is a folder, a device or anything else but a file, or another kind of file.
        StoreError: The file cannot be created, has a second name, or is itself a mount point.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        message = f"SQLite {sqlite3.sqlite_version} is too old"
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
    """Raise if the database is the same file as one of another name, in this or in another folder.

    SQLite writes what is recorded to a log beside the name under which the database is opened, `runs.db-wal`. 1. A
    container has the single file `runs.db` of the host mounted, records a run and is killed. 2. The log is in the
    container's own folder, and is removed with the container. 3. On the host the run, though it was synced, is lost.

    Source: https://www.sqlite.org/howtocorrupt.html, "Multiple links to the same file".
    """
    real = path.resolve()
    if real.stat().st_nlink > 1:
        message = f"{path} has a second name (a hard link): its log, {real.name}-wal, is beside one of the names only"
        repair = "remove the other name, which `find -samefile` finds, or copy the file with `graphengine backup`"
        raise StoreError(message, where=str(path), repair=repair)
    if _is_mount_point(real):
        message = f"{path} is a single file that is mounted: its log, {real.name}-wal, is outside the mount"
        raise StoreError(message, where=str(path), repair="mount the folder that contains the database")


def _is_mount_point(path: Path) -> bool:
    """Return whether something is mounted at a path, as Linux lists it; False where there is no such list."""
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
    """Log that a file which was just created has almost the name of another one: the runs may be in that."""
    name = path.name
    for other in {name.lower(), name.upper(), name.capitalize(), name[:1].swapcase() + name[1:]} - {name}:
        beside = path.with_name(other)
        if beside.exists() and not beside.samefile(path):  # some file systems take both for one name
            text = "the database %s is new, and %s is beside it\n  repair: write the name as the file has it"
            log.warning(text, path, other)


class FileState(NamedTuple):
    """The facts that show whether a database file has changed.

    Attributes:
        has_log: Whether the write-ahead log is not empty: a process has the database open, or died with it open.
        inode: The inode of the file.
        size_bytes: The size of the file.
        changed_at_ns: The time of the last change.
    """

    has_log: bool
    inode: int
    size_bytes: int
    changed_at_ns: int


class OpenFiles:
    """The files of an open database, to detect that its path leads to other files.

    This has two causes:

    1. The file is moved, deleted or replaced.
    2. This process opens and closes the file itself, as for a backup or a checksum. The system then drops all locks
       that the process has on it, including those of SQLite. The next process that closes the database considers
       itself the last one and deletes the log, to which this process still writes.

    In both cases SQLite would report commits as done that no other process ever reads.

    Args:
        path: The database, while a connection has it open: only then the log is certain to exist.

    Attributes:
        path: The database.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._files: Final = [(each, _identity_of_file(each)) for each in (str(path), str(log_of(path)))]
        self._folder: Final = str(path.parent)
        self._checked: tuple[int, int, int] | None = None  # the state of the folder when they were last compared

    def check(self) -> None:
        """Check that the files are still those at their paths.

        While nothing in their folder was made, renamed or removed, they are: this costs one `stat`. Those of the files
        cost more, since Linux then gives the log a new time with the next write, which the sync of a commit waits for.

        Raises:
            StoreMoved: One was replaced or is gone.
        """
        folder = _state_of_folder(self._folder)
        if folder is not None and folder == self._checked:
            return
        for path, identity in self._files:
            if _identity_of_file(path) != identity:
                message = f"{path} was moved, deleted or replaced while it was open: nothing more is recorded"
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
    """Return what changes with every name in a folder; None where the system has nothing of the kind."""
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
    """Return the current facts about the file.

    Raises:
        StoreMissing, StoreNotADatabase, StoreError: As `require_file`.
    """
    require_file(path)
    try:
        stat = path.stat()
        has_log = bytes_of_log(path) > 0
    except OSError as error:
        raise explain(error, path) from error
    return FileState(has_log, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def has_changed(path: Path, state: FileState) -> bool:
    """Return whether what was read since `state` is possibly not the file's content, or was refused for that reason."""
    now = file_state(path)
    return not now.has_log if state.has_log else now != state


def uri_to_read(path: Path, state: FileState) -> str:
    """Return the URI to open a file for reading without leaving other files next to it.

    Without a log no process has it open, and it is opened as immutable. SQLite then relies on it not changing, so the
    caller must compare a new `file_state` after reading. With a log, SQLite makes an index of it next to the file, for
    all processes. Where there is none and none can be made, as beside a copy on a read-only volume, no other process
    has it open: `keep_index` keeps the index in memory, and locks say nothing.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    if not state.has_log:
        return f"{uri}&immutable=1"
    return uri + _WITHOUT_LOCKS if _has_index_to_itself(path) else uri


def _has_index_to_itself(path: Path) -> bool:
    index = path.with_name(path.name + "-shm")
    return os.name == "posix" and not index.exists() and not os.access(path.parent, os.W_OK)


def keep_index(connection: sqlite3.Connection, uri: str) -> None:
    """Keep the index of a write-ahead log in memory, if the URI to read the file needs that."""
    if uri.endswith(_WITHOUT_LOCKS):
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()


def move_idle_log(path: Path) -> None:
    """Move the write-ahead log into the file if no process has the database open. Log a failure.

    SQLite does so when the last connection is closed, unless that one only reads. Call it after closing such a one.
    """
    if not log_of(path).exists():
        return
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            harden(connection)
            sync_as(connection, "FULL")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # opens the log
    except sqlite3.Error as error:
        log.info("the write-ahead log of %s was not moved into the file: %s", path, error)


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that the names in it survive a power cut."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_synced_folder(folder: Path) -> None:
    """Create a folder and its parents and sync their names: SQLite syncs only what is in the folder."""
    if folder.is_dir():
        return
    _make_synced_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def require_file(path: Path) -> None:
    """Check that there is a database to read.

    Raises:
        StoreMissing: There is no file.
        StoreNotADatabase: The path is a folder, a device or anything else but a file, or another kind of file.
        StoreError: The path cannot be accessed.
    """
    _refuse_others(path)
    if not path.exists():
        message = f"no database at {path}"
        raise StoreMissing(message, where=str(path), repair="check the path; a database is made by the first run")


def _refuse_others(path: Path) -> None:
    """Raise if the path is not a regular file, or if the file is so short that SQLite would overwrite it as empty."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise explain(error, path) from error
    message = f"{path} is not a database"
    repair = "name another file, or move this one away"
    if stat.S_ISDIR(found.st_mode):
        message, repair = f"{path} is a folder, not a database", f"name a file in it, such as {path / 'runs.db'}"
    elif not stat.S_ISREG(found.st_mode):
        message, repair = f"{path} is {_name_file_kind(found.st_mode)}, not a file", "name a file for the runs"
    elif not 0 < found.st_size < _SMALLEST_BYTES:
        return
    raise StoreNotADatabase(message, where=str(path), repair=repair)


def _name_file_kind(mode: int) -> str:
    kinds = {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "something else")


def set_up(connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
    """Prepare the writing connection: check the file, migrate it to this version, apply the settings.

    Raises:
        StoreNotADatabase: It is another application's database.
        StoreTooNew, StoreTooOld: It was written by a newer version, or by a development version.
        StoreAltered: Another program defined something in it.
        sqlite3.Error: It is not a database, read-only or locked.
    """
    _check_log(path)
    sync_log(path)
    version = _check_definitions(connection, path)
    if version == 0:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # allow returning free pages while others write
    _use_wal(connection)
    connection.execute("PRAGMA secure_delete = FAST").fetchone()  # not ON, which writes each page that it frees
    keep_log_short(connection)
    sync_as(connection, synchronous)
    if version < latest_format():
        migrate(connection, path)
    _check_file_writable(connection)


def _check_log(path: Path) -> None:
    """Check a log that a dead process left; if an owner is alive, it checked the log when it opened the database.

    Raises:
        StoreCorrupt: Finished commits follow a damaged place in the log.
    """
    if not has_live_owner(path):
        refuse_damaged_log(path)


def set_up_reader(connection: sqlite3.Connection, path: Path, *, uri: str = "", is_alone: bool = True) -> None:
    """Prepare a connection that only reads; `is_alone` means that this store has no writing connection.

    Raises:
        StoreMissing: The file is empty.
        StoreError: As `set_up`; also for an older version, which only a writer migrates.
        sqlite3.Error: As `set_up`.
    """
    keep_index(connection, uri)
    connection.execute("PRAGMA query_only = ON")
    if is_alone:
        _check_log(path)
    version = _check_definitions(connection, path)
    if version == 0:
        message = f"{path} is empty: it is not a database yet"
        raise StoreMissing(message, where=str(path), repair="check the path; the first run makes it a database")
    if version < OLDEST_READ:
        message = f"the database has format {version} and must be brought to format {latest_format()} before it is read"
        raise StoreReadOnly(message, where=str(path), repair="open it once with write access, as by `graphengine run`")


def _check_definitions(connection: sqlite3.Connection, path: Path) -> int:
    """Check a database's mark and definitions and return its version, consistently while it is migrated.

    Raises:
        StoreNotADatabase, StoreTooNew, StoreTooOld: As `check_format`.
        StoreAltered: Another program defined something in it.
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
    """Return the version of the database's format; 0 if it is still empty.

    Raises:
        StoreNotADatabase: It is another application's.
        StoreTooNew: It was written by a newer version.
        StoreTooOld: It was written by a development version.
    """
    application, version, tables = connection.execute(_IDENTITY).fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        if has_our_tables(connection):
            message = f"{path} has graphengine's tables without its mark, as after a `.dump` that was loaded"
            repair = "if you know where it comes from, `graphengine doctor --repair` saves all that it has"
            raise StoreNotADatabase(message, where=str(path), repair=repair)
        message = f"{path} is the database of another application"
        raise StoreNotADatabase(message, where=str(path), repair="name another file for the runs")
    if version > latest_format():
        message = f"the database has format {version}; this version of graphengine reads up to {latest_format()}"
        raise StoreTooNew(message, where=str(path), repair="update graphengine, or use another file for the runs")
    if 0 < version < FIRST:
        raise too_old("database", version, FIRST, str(path), "use another file")
    return int(version)


def has_our_tables(connection: sqlite3.Connection) -> bool:
    """Return whether a database has the tables of runs, whatever its mark says."""
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")} >= _OURS


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Migrate the database from its version to the latest one, in one transaction."""
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
    """Switch to write-ahead logging permanently. SQLite does not wait for other openers here, so poll."""
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
    """Raise now, and not at the first step, if the file cannot be written."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")
