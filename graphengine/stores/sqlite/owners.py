"""Who drives runs here: a row for each open store, a lease that a thread renews, and a lock.

An owner holds an operating system's lock on a file of its own in a folder next to the database for as long as
it lives. The system frees the lock when the process ends, however it ends, so another process on that host
sees at once that the owner is dead. From other hosts, and where locks do not work, an owner is dead when its
lease ran out. A mistake about this costs a run's driver its turn, never the run its log: the fence decides
what may be written.

Taking a run over and clearing away a dead owner happen inside write transactions, so no two processes do it at
the same time. Who only reads (`Onlooker`) judges by the same signs and changes nothing.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import sqlite3
import threading
import time
import uuid
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.errors import StoreMoved
from graphengine.stores.sqlite.checkpoints import never_by_itself, sync_as
from graphengine.stores.sqlite.definitions import harden
from graphengine.stores.sqlite.queries import SQL

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]  # Windows has no such module

if TYPE_CHECKING:
    from collections.abc import Callable

    from filelock import FileLock

    from graphengine.stores.sqlite.files import Place

log = logging.getLogger("graphengine.stores")

_TICK_SECONDS: Final = 0.5  # how soon the thread sees that the thread of the event loop has ended
_RENEWALS_PER_LEASE: Final = 3
_ID: Final = re.compile(r"[0-9a-f]{32}")  # a database may say anything; only such an id leads to a file
_OPEN_ONLY_FILES: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_LOCKS: Final = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class Owner(NamedTuple):
    """An owner as recorded."""

    id: str
    host: str
    pid: int
    lock_file: str
    expires_at: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (owner {self.id})"


@dataclass(frozen=True, slots=True)
class LeaseOptions:
    """What an owner's lease needs to know.

    Attributes:
        path: The database's file.
        lease_seconds: How long an owner counts as alive without a sign of life.
        busy_timeout_seconds: How long a renewal waits for the database.
        clock: Gives epoch seconds.
    """

    path: Path
    lease_seconds: float
    busy_timeout_seconds: float
    clock: Callable[[], float] = field(default=time.time)

    @property
    def folder(self) -> Path:
        """Where the owners' lock files are."""
        return self.path.with_name(self.path.name + "-owners")


class Lease:
    """This process's ownership: its row, its lock file and the thread that renews it.

    `acquire_lock`, `register`, `retire` and `other` may be called from any one thread at a time.

    Attributes:
        place: The files of the open database, once they are known.
        owed: Runs that were let go, with their fences, as long as that is not recorded: a full disk may have refused
            it, or whoever waited for it was cancelled. Each renewal tries again, so that no run stays with an owner
            that lives and does not drive it. The loop's thread adds to it, both remove; a pair never comes twice.
    """

    def __init__(self, options: LeaseOptions) -> None:
        self.id: Final = uuid.uuid4().hex
        self._options = options
        self._host = socket.gethostname()
        self._lock: FileLock | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.place: Place | None = None
        self.owed: set[tuple[str, int]] = set()
        self._is_retired = False

    def now(self) -> float:
        """The time on the store's clock, epoch seconds."""
        return self._options.clock()

    def acquire_lock(self) -> None:
        """Make this owner's lock file and hold it; without locks on this file system only the lease counts.

        Raises:
            OSError: The folder cannot be made or written.
        """
        folder = self._options.folder
        while self._lock is None:
            folder.mkdir(mode=0o700, exist_ok=True)
            lock = _lock_on(folder / f"{self.id}.lock")
            try:
                lock.acquire(blocking=False)
            except FileNotFoundError:
                continue  # another owner, closing, removed the empty folder between our two calls
            except OSError as error:
                if error.errno in _NO_LOCKS:
                    return
                raise
            self._lock = lock

    def register(self, connection: sqlite3.Connection) -> None:
        """Record this owner, or that it is still alive, inside the caller's transaction."""
        lock_file = f"{self.id}.lock" if self._lock else ""
        expires_at = self.now() + self._options.lease_seconds
        connection.execute(SQL["keep_owner"], (self.id, self._host, os.getpid(), lock_file, expires_at))

    def retire(self, connection: sqlite3.Connection) -> None:
        """Give up every run and this owner's row for good, inside the caller's transaction."""
        self._is_retired = True
        connection.execute(SQL["release_all"], (self.now(), self.id))
        connection.execute(SQL["drop_owner"], (self.id,))

    def release_lock(self) -> None:
        """Free and remove the lock file, and the folder when it was the last one."""
        lock, self._lock = self._lock, None
        if lock is not None:
            _remove(lock)
            with suppress(OSError):  # other owners' files are in it
                self._options.folder.rmdir()

    def other(self, connection: sqlite3.Connection, owner_id: str) -> Owner | None:
        """The owner of this id if it is alive; the row and the lock file of a dead one are removed.

        Inside the caller's write transaction.
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

    def keep(self, loop_thread: threading.Thread, abandon: Callable[[], None]) -> None:
        """Start the thread that renews the lease, until `stop`.

        If `loop_thread` ends first, nobody can close the store any more: then `abandon` is called, so that
        the connections' threads do not keep the process from ending.
        """
        self._thread = threading.Thread(
            target=self._run, args=(loop_thread, abandon), name="graphengine-lease", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns when it has ended."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, loop_thread: threading.Thread, abandon: Callable[[], None]) -> None:
        interval = self._options.lease_seconds / _RENEWALS_PER_LEASE
        due = time.monotonic() + interval
        while not self._stopped.wait(min(interval, _TICK_SECONDS)):
            if not loop_thread.is_alive():
                abandon()
                return
            if time.monotonic() >= due:
                due = time.monotonic() + interval
                self.renew()

    def renew(self) -> None:
        """Record a sign of life; a failure is logged and tried again at the next turn."""
        options = self._options
        try:
            if self.place is not None:
                self.place.check()  # the path may lead to another database
            with closing(
                sqlite3.connect(
                    f"{options.path.as_uri()}?mode=rw",
                    uri=True,
                    timeout=options.busy_timeout_seconds,
                    isolation_level=None,
                )
            ) as connection:
                harden(connection)
                never_by_itself(connection)
                # A lease means nothing after a power cut. But the commits after it are synced, and a log in which one
                # of those reached the disk and this one did not looks like a damaged one.
                sync_as(connection, "FULL")
                self._renew(connection)
        except (sqlite3.Error, StoreMoved) as error:
            log.warning("the lease on %s could not be renewed: %s", options.path, error)

    def _renew(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        owed = self.owed.copy()
        if not self._is_retired:  # its row is gone, and nobody would ever remove another one
            self.register(connection)
        for run_id, fence in owed:
            connection.execute(SQL["release"], (self.now(), run_id, fence, self.id))
        connection.execute("COMMIT")
        self.owed.difference_update(owed)


class Onlooker:
    """Judges for one read which owners are alive: it changes nothing, and looks at each owner's lock once.

    Args:
        options: Those of the store.
        own_id: The store's own owner, whose lock need not be looked at; None if it only reads.
    """

    def __init__(self, options: LeaseOptions, own_id: str | None) -> None:
        self._options = options
        self._own_id = own_id
        self._dead: dict[str, bool] = {}

    def sees_alive(self, connection: sqlite3.Connection, owner_id: str, expires_at: float | None) -> bool:
        """Whether the owner of this id, whose lease ends then (None: it has no row), is alive."""
        if owner_id == self._own_id:
            return True  # who looks is alive, also if it could not renew its lease in time
        if expires_at is None or expires_at <= self._options.clock():
            return False
        if owner_id not in self._dead:
            row = connection.execute(SQL["owner"], (owner_id,)).fetchone()
            self._dead[owner_id] = row is None or lock_shows_death(Owner(*row), self._options.folder)
        return not self._dead[owner_id]


def somebody_lives(path: Path) -> bool:
    """Whether an owner on this host has the database open to write, as far as locks tell."""
    folder = path.with_name(path.name + "-owners")
    try:
        names = [each.name for each in folder.iterdir() if each.suffix == ".lock"]
    except OSError:
        return False
    host = socket.gethostname()
    return any(not lock_shows_death(Owner(name[: -len(".lock")], host, 0, name, 0.0), folder) for name in names)


def lock_shows_death(owner: Owner, folder: Path) -> bool:
    """Whether the owner is of this host and holds its lock no more; False where that cannot be told."""
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
    """Whether nobody holds the lock; on return the caller does, until it closes the descriptor.

    A shared lock is asked for where there is one: it is refused beside an owner's, but those who look at a dead
    owner at the same time do not take one another for it.
    """
    if fcntl is None:
        from filelock import lock_descriptor  # noqa: PLC0415 - as below

        return lock_descriptor(descriptor, blocking=False)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_on(path: Path) -> FileLock:
    from filelock import FileLock  # noqa: PLC0415 - who only reads does without

    return FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)


def _remove(lock: FileLock) -> None:
    """Free a lock and remove its file: while it is held, or right after where the system forbids that."""
    with suppress(OSError):
        Path(lock.lock_file).unlink()
    lock.release()
    with suppress(OSError):
        Path(lock.lock_file).unlink()
