"""Owners, the processes that drive runs: a row for each open store, a lease that a thread renews, and a lock.

An owner holds a lock of the operating system on its own file, in a folder next to the database, for as long as it
lives. The system releases the lock when the process ends, however it ends, so other processes on the same host detect
immediately that the owner is dead. On other hosts, and where locks do not work, an owner is dead when its lease has
expired. A wrong judgement can take a run from its driver but never damage its log: the fence decides which writes are
accepted.

Taking over a run and removing a dead owner happen inside write transactions, so that no two processes do it at the same
time. A reader (`Onlooker`) judges in the same way and changes nothing.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.databases.leases import RENEWALS_PER_LEASE, LeaseThread
from graphengine.databases.sqlite.checkpoints import connect_too
from graphengine.databases.sqlite.queries import SQL
from graphengine.kernel import StoreMoved

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]  # Windows has no such module

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from filelock import FileLock

    from graphengine.databases.sqlite.files import OpenFiles

log = logging.getLogger("graphengine.stores")

_TICK_SECONDS: Final = 0.5  # how soon the lease thread notices that the event loop's thread has ended
_ID: Final = re.compile(r"[0-9a-f]{32}")  # a database can contain anything; only such an id is used as a file name
_OPEN_ONLY_FILES: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_LOCKS: Final = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class Owner(NamedTuple):
    """A recorded owner."""

    id: str
    host: str
    pid: int
    lock_file: str
    expires_at: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (owner {self.id})"


@dataclass(frozen=True, slots=True)
class LeaseOptions:
    """The options of an owner's lease.

    Attributes:
        path: The database file.
        lease_seconds: How long an owner counts as alive without a renewal.
        busy_timeout_seconds: How long a renewal waits for the database's lock.
        clock: Returns epoch seconds.
    """

    path: Path
    lease_seconds: float
    busy_timeout_seconds: float
    clock: Callable[[], float] = field(default=time.time)

    @property
    def folder(self) -> Path:
        """The folder of the owners' lock files."""
        return self.path.with_name(self.path.name + "-owners")


class Lease(LeaseThread):
    """This process's ownership: its row, its lock file and the thread that renews it.

    The thread has a connection of its own, which stays open: a process that has no file descriptor left must still
    renew its lease, or another process begins what this one still runs.

    `acquire_lock`, `connect`, `register`, `retire` and `other` can be called from any thread, by one at a time.

    Attributes:
        place: The files of the open database, once known.
    """

    def __init__(self, options: LeaseOptions) -> None:
        super().__init__(options.lease_seconds)
        self._options = options
        self._host = socket.gethostname()
        self._lock: FileLock | None = None
        self._connection: sqlite3.Connection | None = None
        self.place: OpenFiles | None = None
        self._is_retired = False

    def now(self) -> float:
        """Return the time on the store's clock in epoch seconds."""
        return self._options.clock()

    def acquire_lock(self) -> None:
        """Create and lock this owner's lock file; on a file system without locks only the lease counts.

        Two races are repeated. The first must be lost before the file exists: FileLock would create the folder itself,
        open to other users.

        1. This process creates or finds the folder. 2. The last other owner closes and removes it, since it is empty.
           3. This process creates its file.
        1. This process creates its file. 2. Another one checks whether its owner is dead, and takes the lock to see.
           3. This process cannot lock it. A new file avoids waiting for the other, which can be suspended.

        Raises:
            OSError: The folder cannot be created or written.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415 - readers do not need it

        folder = self._options.folder
        path = folder / f"{self.id}.lock"
        while self._lock is None:
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            try:
                path.touch(mode=0o600, exist_ok=False)
            except FileNotFoundError:
                if folder.is_symlink():
                    raise  # it leads nowhere, however often this is repeated
                continue
            lock = FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)
            try:
                lock.acquire(blocking=False)
            except OSError as error:
                path.unlink(missing_ok=True)
                if error.errno in _NO_LOCKS:
                    return
                if not isinstance(error, Timeout):
                    raise
            else:
                self._lock = lock

    def connect(self) -> None:
        """Open the connection that renews the lease, and every file that it needs.

        Raises:
            sqlite3.Error: The database cannot be opened.
        """
        # A lease has no meaning after a power cut. But later commits are synced, and a log in which one of those
        # reached the disk and this one did not looks damaged. So it is synced too.
        timeout = self._options.busy_timeout_seconds
        self._connection = connection = connect_too(self._options.path, "FULL", busy_timeout_seconds=timeout)
        connection.execute(SQL["owner"], (self.id,)).fetchone()  # the first read opens the log

    def register(self, connection: sqlite3.Connection) -> None:
        """Record this owner or renew its lease, inside the caller's transaction."""
        lock_file = f"{self.id}.lock" if self._lock else ""
        expires_at = self.now() + self._options.lease_seconds
        connection.execute(SQL["keep_owner"], (self.id, self._host, os.getpid(), lock_file, expires_at))

    def retire(self, connection: sqlite3.Connection) -> None:
        """Release every run and delete this owner's row permanently, inside the caller's transaction."""
        self._is_retired = True
        connection.execute(SQL["release_all"], (self.now(), self.id))
        connection.execute(SQL["drop_owner"], (self.id,))

    def release_lock(self) -> None:
        """Release and remove the lock file; remove the folder if it is empty."""
        lock, self._lock = self._lock, None
        if lock is not None:
            # Remove it while the lock is held or, if the system forbids that, right after.
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            lock.release()
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            with suppress(OSError):  # other owners' files are in it
                self._options.folder.rmdir()

    def other(self, connection: sqlite3.Connection, owner_id: str) -> Owner | None:
        """Return the owner with this id if it is alive; remove the row and lock file of a dead one.

        Call it inside a write transaction.
        """
        row = connection.execute(SQL["owner"], (owner_id,)).fetchone()
        if row is None:
            return None
        owner = Owner(*row)
        if owner.id != self.id and lock_shows_death(owner, self._options.folder):
            connection.execute(SQL["drop_owner"], (owner_id,))
            with suppress(OSError):
                (self._options.folder / owner.lock_file).unlink()
            return None
        return owner if owner.expires_at > self.now() else None

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _turn(self, *, is_due: bool) -> bool:
        if is_due:
            self.renew()
        self._stopped.wait(min(self._seconds / RENEWALS_PER_LEASE, _TICK_SECONDS))
        return is_due

    def renew(self) -> None:
        """Renew the lease; log a failure and try again at the next interval."""
        connection = self._connection
        if connection is None:
            return
        try:
            if self.place is not None:
                self.place.check()  # the path can lead to another database
            self._renew(connection)
        except (sqlite3.Error, StoreMoved) as error:
            log.warning("the lease on %s could not be renewed: %s", self._options.path, error)
        finally:
            if connection.in_transaction:  # it would keep the write lock
                with suppress(sqlite3.Error):
                    connection.rollback()

    def _renew(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        owed = self.owed.copy()
        if not self._is_retired:  # its row was deleted, and nothing would ever remove a new one
            self.register(connection)
        for run_id, fence in owed:
            connection.execute(SQL["release"], (self.now(), run_id, fence, self.id))
        connection.execute("COMMIT")
        self.owed.difference_update(owed)


class Onlooker:
    """Which owners are alive, decided once for one read. It changes nothing and checks each lock once.

    Args:
        options: The options of the store's leases.
        own_id: The id of the store's own owner, whose lock is not checked; None if the store only reads.
        owed: The runs that it released, with their fences, though not recorded in the file yet.
    """

    def __init__(self, options: LeaseOptions, own_id: str | None, owed: Collection[tuple[str, int]] = ()) -> None:
        self.owed = owed
        self._options = options
        self._own_id = own_id
        self._dead: dict[str, bool] = {}

    def sees_alive(self, connection: sqlite3.Connection, owner_id: str, expires_at: float | None) -> bool:
        """Return whether an owner is alive, given the end of its lease (None: it has no row)."""
        if owner_id == self._own_id:
            return True  # this process is alive, even if it could not renew its lease in time
        if expires_at is None or expires_at <= self._options.clock():
            return False
        if owner_id not in self._dead:
            row = connection.execute(SQL["owner"], (owner_id,)).fetchone()
            self._dead[owner_id] = row is None or lock_shows_death(Owner(*row), self._options.folder)
        return not self._dead[owner_id]


def has_live_owner(path: Path) -> bool:
    """Return whether an owner on this host has the database open for writing, according to the locks."""
    folder = path.with_name(path.name + "-owners")
    return any(not lock_shows_death(owner_of(name), folder) for name in lock_files(folder))


def lock_files(folder: Path) -> set[str]:
    """Return the names of the lock files in a folder of owners; none if there is no such folder."""
    try:
        return {each.name for each in folder.iterdir() if each.suffix == ".lock"}
    except OSError:
        return set()


def owner_of(lock_file: str) -> Owner:
    """Return the owner on this host that has a lock file, as far as its name shows it."""
    return Owner(lock_file[: -len(".lock")], socket.gethostname(), 0, lock_file, 0.0)


def lock_shows_death(owner: Owner, folder: Path) -> bool:
    """Return whether an owner of this host no longer holds its lock; False if that cannot be determined."""
    if owner.host != socket.gethostname() or owner.lock_file != f"{owner.id}.lock" or not _ID.fullmatch(owner.id):
        return False
    try:
        descriptor = os.open(folder / owner.lock_file, _OPEN_ONLY_FILES)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        return _can_lock(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _can_lock(descriptor: int) -> bool:
    """Try to take the lock; return whether no owner holds it. The caller holds it until it closes the descriptor.

    Where there are shared locks, take one: it conflicts with an owner's lock, but processes that check a dead owner at
    the same time do not mistake one another for the owner.
    """
    if fcntl is None:
        from filelock import lock_descriptor  # noqa: PLC0415 - readers do not need it

        return lock_descriptor(descriptor, blocking=False)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
