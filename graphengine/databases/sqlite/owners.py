"""Owners, the processes that drive runs: a row for each open store, a lease that a thread renews, and a lock.

Each owner holds a lock of the operating system on its own file, in a folder next to the database. The system releases
the lock when the process ends, in whatever way. So other processes on the same host detect at once that the owner is
dead. On other hosts, and on file systems without locks, an owner counts as dead when its lease has ended. A wrong
judgement can take a run from its driver, but cannot damage the run's log, because the database accepts writes only with
the current fence.

Taking over a run and removing a dead owner happen inside write transactions, so that only one process does it. A reader
(`Onlooker`) judges in the same way, but changes nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.databases.leases import RENEWALS_PER_LEASE, LeaseThread
from graphengine.databases.leases import now as moment
from graphengine.databases.owner_locks import ID, OwnerLock, is_free
from graphengine.databases.sqlite.checkpoints import connect_too
from graphengine.databases.sqlite.queries import SQL
from graphengine.errors import StoreMoved

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from graphengine.databases.leases import LeaseDoubt
    from graphengine.databases.sqlite.files import OpenFiles

log = logging.getLogger("graphengine.stores")

_RENEWALS_PER_LOOK: Final = 6
"""The length of the log is checked once in so many renewals: with the default lease, once a minute."""
_TICK_SECONDS: Final = 0.5  # how soon the lease thread notices that the event loop's thread has ended


class Owner(NamedTuple):
    id: str
    host: str
    pid: int
    lock_file: str
    expires_at: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (owner {self.id})"


@dataclass(frozen=True, slots=True)
class LeaseOptions:
    """The settings that decide how long an owner counts as alive, and how it renews its lease.

    Attributes:
        path: The database file.
        lease_seconds: How long the owner counts as alive after a renewal.
        busy_timeout_seconds: How long a renewal waits for the database's lock.
        clock: Returns epoch seconds.
    """

    path: Path
    lease_seconds: float
    busy_timeout_seconds: float
    clock: Callable[[], float] = field(default=time.time)

    @property
    def folder(self) -> Path:
        return self.path.with_name(self.path.name + "-owners")


class Lease(LeaseThread):
    """This process as an owner of runs in a SQLite file: its row, its lock file, and the thread that renews the lease.

    The thread keeps its own connection open. So even a process that cannot open any more files can renew its lease;
    otherwise other processes would begin runs that this process still drives.

    `acquire_lock`, `connect`, `register`, `retire` and `other` may be called from any thread, but only from one at a
    time.

    Attributes:
        place: The files of the open database, once they are known.
        look_at_log: Called after some renewals, to have a long log moved into the file.
    """

    def __init__(
        self, options: LeaseOptions, doubted: Callable[[LeaseDoubt], None], *, ends_process: bool = False
    ) -> None:
        super().__init__(options.lease_seconds, doubted, ends_process=ends_process)
        self._options = options
        self._host = socket.gethostname()
        self._lock = OwnerLock(options.folder, self.id)
        self._connection: sqlite3.Connection | None = None
        self.place: OpenFiles | None = None
        self.look_at_log: Callable[[], None] | None = None
        self._renewals = 0
        self._is_retired = False

    def now(self) -> float:
        """Return the time of the store's clock in epoch seconds."""
        return self._options.clock()

    def acquire_lock(self) -> None:
        """Create and lock this owner's lock file. Where the file system does not support locks, only the lease counts.

        Raises:
            OSError: The folder cannot be created or written.
        """
        self._lock.acquire()

    def connect(self) -> None:
        """Open the connection that renews the lease, and all files that it needs.

        Raises:
            sqlite3.Error: The database cannot be opened.
        """
        # A lease has no meaning after a power cut. But later commits are synced, and a log in which one of those
        # reached the disk and this one did not looks damaged. So it is synced too.
        timeout = self._options.busy_timeout_seconds
        self._connection = connection = connect_too(self._options.path, "FULL", busy_timeout_seconds=timeout)
        connection.execute(SQL["owner"], (self.id,)).fetchone()  # the first read opens the log

    def register(self, connection: sqlite3.Connection) -> None:
        """Record this owner, or renew its lease, inside the caller's transaction."""
        expires_at = self.now() + self._options.lease_seconds
        connection.execute(SQL["keep_owner"], (self.id, self._host, os.getpid(), self._lock.file_name, expires_at))

    def retire(self, connection: sqlite3.Connection) -> None:
        """Release all runs of this owner and delete its row, inside the caller's transaction."""
        self._is_retired = True
        connection.execute(SQL["release_all"], (self.now(), self.id))
        connection.execute(SQL["drop_owner"], (self.id,))

    def release_lock(self) -> None:
        self._lock.release()

    def other(self, connection: sqlite3.Connection, owner_id: str) -> Owner | None:
        """Return the owner with this id if its process is alive.

        If its process is dead, remove the owner's row and lock file, and return None. Call this inside a write
        transaction.
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
        """Renew the lease of this process, so that other processes do not take its runs.

        A failure is only logged, because the next renewal tries again.
        """
        connection = self._connection
        if connection is None:
            return
        try:
            if self.place is not None:
                self.place.check()  # the path may lead to another database now
            self._renew(connection)
            self._renewals += 1
            if self.look_at_log is not None and self._renewals % _RENEWALS_PER_LOOK == 0:
                with suppress(OSError):  # tried again after some renewals
                    self.look_at_log()
        except (sqlite3.Error, StoreMoved) as error:
            log.warning("the lease on %s could not be renewed: %s", self._options.path, error)
        finally:
            if connection.in_transaction:  # an open transaction would keep the write lock
                with suppress(sqlite3.Error):
                    connection.rollback()

    def _renew(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        owed, began = self.owed.copy(), moment()
        if not self._is_retired:  # after `retire`, nobody would remove a new row
            self.register(connection)
        for run_id, fence in owed:
            connection.execute(SQL["release"], (self.now(), run_id, fence, self.id))
        connection.execute("COMMIT")
        self.owed.difference_update(owed)
        self.note_renewed(began)


class Onlooker:
    """Decides which owners are alive, for one read of the database and without changing anything.

    Each lock file is checked at most once.

    Args:
        options: The settings of the store's lease.
        own_id: The id of the store's own owner, which is always alive; None if the store only reads.
        owed: The runs that this store has released, as (id, fence), while the file still names this store as their
            driver.
    """

    def __init__(self, options: LeaseOptions, own_id: str | None, owed: Collection[tuple[str, int]] = ()) -> None:
        self.owed = owed
        self._options = options
        self._own_id = own_id
        self._dead: dict[str, bool] = {}

    def sees_alive(self, connection: sqlite3.Connection, owner_id: str, expires_at: float | None) -> bool:
        """Return whether an owner is alive. `expires_at` is the end of its lease; None if the owner has no row."""
        if owner_id == self._own_id:
            return True  # this process is alive, even if it could not renew its lease in time
        if expires_at is None or expires_at <= self._options.clock():
            return False
        if owner_id not in self._dead:
            row = connection.execute(SQL["owner"], (owner_id,)).fetchone()
            self._dead[owner_id] = row is None or lock_shows_death(Owner(*row), self._options.folder)
        return not self._dead[owner_id]

    def seconds_left(self, connection: sqlite3.Connection, owner_id: str | None) -> float | None:
        """Return for how many more seconds another process may still act on its runs, until its lease ends.

        The process may be suspended and not know that others consider it dead. Return None if the owner has no row, or
        if its lock file proves that its process is dead.
        """
        row = connection.execute(SQL["owner"], (owner_id,)).fetchone() if owner_id not in (None, self._own_id) else None
        if row is None or lock_shows_death(Owner(*row), self._options.folder):
            return None
        return max(0.0, Owner(*row).expires_at - self._options.clock())


def has_live_owner(path: Path) -> bool:
    """Return whether a process on this host has the database open for writing, according to the locks."""
    folder = path.with_name(path.name + "-owners")
    return any(not lock_shows_death(owner_of(name), folder) for name in lock_files(folder))


def lock_files(folder: Path) -> set[str]:
    """Return the names of the lock files in a folder of owners; none if the folder does not exist."""
    try:
        return {each.name for each in folder.iterdir() if each.suffix == ".lock"}
    except OSError:
        return set()


def owner_of(lock_file: str) -> Owner:
    """Return an `Owner` of this host for the name of a lock file. Only its id, host and lock file are known."""
    return Owner(lock_file[: -len(".lock")], socket.gethostname(), 0, lock_file, 0.0)


def lock_shows_death(owner: Owner, folder: Path) -> bool:
    """Return whether the lock file of an owner of this host proves that the owner's process has died.

    The process holds a lock on the file as long as it lives. A missing file proves its death, too. For an owner of
    another host the result is False.
    """
    if owner.host != socket.gethostname() or owner.lock_file != f"{owner.id}.lock" or not ID.fullmatch(owner.id):
        return False
    return is_free(folder / owner.lock_file, if_missing=True)
