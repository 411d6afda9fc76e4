"""Owners, the processes that drive runs: a row for each open store, a lease that a thread renews, and a lock.

Each owner holds an advisory lock of the server in a session of its own. When its process ends, in whatever way, the
server sees the connection close and frees the lock. So other processes detect at once that the owner is dead.

If the host or the network disappears, the server may not notice, and the owner counts as dead when its lease ends. The
lease also decides after a restart of the server, until the owner has connected again. A wrong judgement can take a run
from its driver, but cannot damage the run's log, because the database accepts writes only with the current fence.

The same session is notified (`LISTEN`) when messages are posted to runs, and looks for owners that have died.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import psycopg

from graphengine.databases.leases import RENEWALS_PER_LEASE, LeaseThread, now
from graphengine.databases.owner_locks import OwnerLock, lock_on_host
from graphengine.databases.postgres.faults import words_of
from graphengine.databases.postgres.queries import SQL
from graphengine.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.databases.leases import LeaseDoubt
    from graphengine.databases.postgres.sessions import Connection, Connector

log = logging.getLogger("graphengine.stores")

_TICK_SECONDS: Final = 0.2  # how soon the thread notices that an owner died, or that the event loop's thread has ended
_PAUSE_SECONDS: Final = 0.1
_DEATH_SECONDS: Final = 1.0
"""For how long an owner must look dead before it counts as dead. A live process whose connections were all cut connects
again within this time."""
_UNTOLD: Final = 100
_LOCK_BITS: Final = 63

WAKE: Final = "due"
"""The announcement that any process may continue a run."""


class Lease(LeaseThread):
    """This process as an owner of runs in a PostgreSQL database: its row, its lock, and its renewing thread.

    Args:
        server: How to connect to the database.
        lease_seconds: How long the owner counts as alive after a renewal.
        on_news: Called on the renewing thread when runs may need attention: a message was posted to a run that is
            driven here or waits, or an owner has died.

    Attributes:
        channel: The channel on which processes announce that runs need attention.
        untold: The tokens of claims whose answers were lost, so that this owner may have become the driver of runs
            without knowing it. Each renewal of the lease releases these runs, so that another process can take them.
        dead: Owners of runs that have looked dead for long enough, so that their runs can be taken over.
    """

    def __init__(
        self,
        server: Connector,
        lease_seconds: float,
        on_news: Callable[[], None],
        doubted: Callable[[LeaseDoubt], None],
        *,
        ends_process: bool = False,
    ) -> None:
        super().__init__(lease_seconds, doubted, ends_process=ends_process)
        self.channel: Final = f"graphengine {server.address.schema}"
        self.untold: deque[int] = deque(maxlen=_UNTOLD)
        self._server = server
        self._on_news = on_news
        self._lock: Final = secrets.randbits(_LOCK_BITS)
        self._connection: Connection | None = None
        self.dead: frozenset[str] = frozenset()
        self._dead_since: dict[str, float] = {}  # on the monotonic clock
        self._is_retired = False
        self._registering = threading.Lock()
        self._on_host: OwnerLock | None = None
        self._was_connected = False

    def connect(self) -> None:
        """Register this process as an owner, and open the connection on which its lease is renewed.

        The announcements of other processes arrive on the same connection.

        Raises:
            psycopg.Error, StoreNotSupported: As in `Connector.connect`.
        """
        if not self._was_connected:
            self._on_host = lock_on_host(self.id)
        connection = self._server.connect()
        began = now()
        try:
            self._register(connection)
            # The session that broke can hold the lock until the server notices.
            connection.execute(f"SET lock_timeout = {int(self._seconds * 1000 / RENEWALS_PER_LEASE)}".encode())
            connection.execute(SQL["lock_owner"], (self._lock,))
            connection.execute("SET lock_timeout = 0")
            connection.execute(SQL["locked"], (self.id,))
            connection.execute(f'LISTEN "{self.channel}"'.encode())
            connection.execute(SQL["forget_owners"])
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        # 1. The session is cut, and its lock is free. 2. Another process takes a run a second later, and waits for the
        # end of this lease before it does what is in flight here. 3. This one has a session again, and its lease goes
        # on: what was taken must end here now.
        self.note_renewed(began, was_away=self._was_connected)
        self._was_connected = True

    def _register(self, connection: Connection) -> None:
        facts = self.id, socket.gethostname(), os.getpid(), self._lock, self._seconds
        with self._registering:
            if self._is_retired:
                message = "the store is being closed"
                raise psycopg.OperationalError(message)
            connection.execute(SQL["register"], facts)

    def retire(self) -> None:
        """Stop renewing the lease because its row is about to be deleted. The thread ends at its next step."""
        with self._registering:  # otherwise a row could be inserted later and would stay
            self._is_retired = True
        self._stopped.set()

    def _turn(self, *, is_due: bool) -> bool:
        if self._server.stopped.is_set():  # the caller that was opening the store was cancelled
            self._stopped.set()
            with suppress(psycopg.Error):
                if self._connection is not None:
                    self._connection.execute(SQL["retire"], (self.id, self.channel))
            self._disconnect()
            return False
        try:
            if self._connection is None:
                self.connect()
                self._on_news()  # notifications may have been missed
            self._listen(self._connection)
            self._look(self._connection)
            if is_due:
                self._renew(self._connection)
        except (psycopg.Error, OSError, StoreError) as error:
            if self._connection is None:
                self._stopped.wait(_PAUSE_SECONDS)
                return False
            address = self._server.address  # logged only once for a lost connection
            log.warning("the lease on %s could not be renewed: %s", address.shown, words_of(error, address))
            self._disconnect()
            self.dead, self._dead_since = frozenset(), {}  # the same fault may have cut the connections of other owners
            return False
        return is_due

    def _listen(self, connection: Connection | None) -> None:
        """Wait a moment for an announcement that runs need attention, and call `on_news` if one arrives."""
        if connection is None:
            return
        for note in connection.notifies(timeout=_TICK_SECONDS, stop_after=1):
            if note.payload in {WAKE, self.id}:
                self._on_news()

    def _look(self, connection: Connection | None) -> None:
        """Find other processes that died while they were driving runs.

        If such a process has just been found, call `on_news`, so that this process takes its runs over.
        """
        if connection is None or self._stopped.is_set():
            return
        seconds, now = min(_DEATH_SECONDS, self._seconds / RENEWALS_PER_LEASE), time.monotonic()
        found = connection.execute(SQL["dead"], (self.id,)).fetchall()
        self._dead_since = {owner: self._dead_since.get(owner, now) for (owner,) in found}
        before, self.dead = self.dead, frozenset(o for o, since in self._dead_since.items() if now - since >= seconds)
        if self.dead - before:
            self._on_news()

    def _renew(self, connection: Connection | None) -> None:
        if connection is None or self._is_retired:
            return
        began = now()
        if connection.execute(SQL["renew"], (self._seconds, self.id)).rowcount == 0:
            message = "another process removed this owner"
            raise psycopg.OperationalError(message)  # makes this thread connect and register again
        self.note_renewed(began)
        for run_id, fence in self.owed.copy():
            connection.execute(SQL["release"], (self.id, run_id, fence, self.channel))
            self.owed.discard((run_id, fence))
        if self.untold:  # repeated at each renewal: the server may still execute a call whose connection was cut
            connection.execute(SQL["release_untold"], (self.channel, self.id, list(self.untold)))

    def stop(self) -> None:
        """Stop renewing the lease: stop the threads, close the connection, and release the lock on this host."""
        super().stop()
        lock, self._on_host = self._on_host, None
        if lock is not None and self._is_retired:
            lock.release()
        elif lock is not None:
            lock.let_go()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()
