"""Connections on threads of their own: the event loop never waits for the server, nor the server for the event loop.

A session replaces its connection when it breaks, and repeats the call that was cut off: the server can have written it
before the answer was lost, so every write can be repeated (`schema/0002_runs.sql`). A restart of the server pauses
the runs, and raises no error, as long as it is shorter than `patience_seconds`. `direct.py` borrows the connection of
the writing thread between its calls.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.array import ListBinaryDumper
from psycopg.types.numeric import Int8BinaryDumper

from graphengine.databases.postgres.faults import (
    explain,
    has_become_read_only,
    is_lost,
    is_starting,
    is_undone,
    pooled,
    words_of,
)
from graphengine.databases.refusals import closed_error
from graphengine.errors import GraphEngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from psycopg.abc import Dumper

    from graphengine.databases.addresses import Address

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
log = logging.getLogger("graphengine.stores")

_FIRST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 1.0
_STARTING_PAUSE_SECONDS: Final = 0.1
_SETTINGS: Final = {
    # A plan: each statement is made for an index. One made while a table is small would read it whole ever after.
    "enable_seqscan": "off",
    "enable_indexscan": "on",
    "enable_indexonlyscan": "on",
    "enable_bitmapscan": "on",
    "enable_nestloop": "on",
    "enable_sort": "on",
    "plan_cache_mode": "auto",
    "jit": "off",
    # What is found: an index of words may not leave rows out.
    "gin_fuzzy_search_limit": "0",
    # A transaction. A process that disappears in the middle of one, as with its host, must not keep its locks.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "idle_in_transaction_session_timeout": "10s",
    # A value, as text and back.
    "client_encoding": "UTF8",
    "extra_float_digits": "1",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "array_nulls": "on",
    # A statement, and what our functions say.
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "plpgsql.extra_errors": "none",
    "client_min_messages": "warning",
}
"""What a session depends on, whatever role, database, pooler or environment set; limits of time are the operator's."""

_CLIENT: Final = "graphengine.client"
"""A setting of our own: whose session it is. What a pooler gives to a second client has the first one's mark."""
_WHOSE: Final = f"SELECT current_setting('{_CLIENT}', true)".encode()
_ELSEWHERE: Final = frozenset({"26000", "42P01", "42P05", "42883"})
"""A prepared statement, table or function is missing, or there already: as in the session of another client."""
DUMPERS: Final[Mapping[type, type[Dumper]]] = {int: Int8BinaryDumper, list: ListBinaryDumper}
"""Always the same type and format, whatever the numbers: a statement is prepared once for each."""
KEEPALIVES: Final[dict[str, Any]] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
    "connect_timeout": 5,  # seconds
    "application_name": "graphengine",
}


class ConnectionWork(Protocol[T_co]):
    """A function of a connection; `again` if it was called before and cut off, so that it may have been done."""

    def __call__(self, connection: Connection, *, again: bool) -> T_co:
        """Do it."""
        ...


@dataclass(slots=True)
class Connector:
    """How to connect to a database.

    Attributes:
        address: The database.
        patience_seconds: How long to try to reach the server again before a call fails.
        read_only: Whether the server must refuse writes.
        stopped: Set when no caller waits for an answer any more.
        switched: How often a session turned out to lead to a server that has become read-only, as after a switch-over:
            those that were opened before that lead there too, and are replaced.
    """

    address: Address
    patience_seconds: float
    read_only: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)
    switched: int = 0

    def first_connect(self) -> Connection:
        """Open the first connection: wait for a server that is just starting, and for no other.

        Raises:
            psycopg.Error, StoreNotSupported: As `connect`.
        """
        deadline = time.monotonic() + self.patience_seconds
        while True:
            try:
                connection, is_pooled = self._open()
            except psycopg.Error as error:
                if not is_starting(error) or time.monotonic() > deadline or self.stopped.wait(_STARTING_PAUSE_SECONDS):
                    raise
                continue
            with _close_on_error(connection):
                if is_pooled:  # does a second client get the same session, or is this one exchanged then?
                    self.connect().close()
                    self.check(connection)
            return connection

    def connect(self) -> Connection:
        """Open a connection in autocommit.

        Raises:
            psycopg.Error: The server cannot be reached, or refuses.
            StoreNotSupported: The session is that of another client.
        """
        return self._open()[0]

    def _open(self) -> tuple[Connection, bool]:
        """Open a connection, make its settings, and return it and whether a pooler is between.

        The settings are not options of the start of the session, since poolers refuse or drop those.
        """
        given = conninfo_to_dict(self.address.url)
        chosen = {name: value for name, value in KEEPALIVES.items() if name not in given}
        connection = psycopg.connect(**{**given, **chosen}, autocommit=True)
        settings = {_CLIENT: _mark_of_session(connection), "search_path": self.address.quoted, **_SETTINGS}
        if self.read_only:
            settings["default_transaction_read_only"] = "on"
        asked = _WHOSE + b", pg_backend_pid()" + b", set_config(%s, %s, false)" * len(settings)
        with _close_on_error(connection):
            row = connection.execute(asked, [word for each in settings.items() for word in each]).fetchone()
            if row is None or row[0]:
                raise pooled(self.address)
        connection.prepare_threshold = 2
        for kind, dumper in DUMPERS.items():
            connection.adapters.register_dumper(kind, dumper)
        return connection, row[1] != connection.info.backend_pid

    def check(self, connection: Connection) -> None:
        """Check that a connection still has the session in which its settings were made.

        Raises:
            psycopg.Error: The server cannot be reached.
            StoreNotSupported: A pooler gave it another one.
        """
        if connection.execute(_WHOSE).fetchone() != (_mark_of_session(connection),):
            raise pooled(self.address)


@contextmanager
def _close_on_error(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _mark_of_session(connection: Connection) -> str:
    """Return what marks the session of a connection: the number of its process, which each pooler makes up."""
    return str(connection.info.backend_pid)


class ServerConnection:
    """One connection, for one thread at a time, replaced when it breaks."""

    def __init__(self, server: Connector, connection: Connection | None = None) -> None:
        self._server = server
        self._connection = connection
        self._opened_at = server.switched

    def run(self, work: ConnectionWork[T]) -> T:
        """Call `work`; repeat it on a new connection if the connection is lost.

        Raises:
            GraphEngineError: As raised by `work`.
            StoreUnreachable: The server could not be reached again in time.
            psycopg.Error: Any other error, after which the connection is idle.
        """
        server = self._server
        deadline = time.monotonic() + server.patience_seconds
        pause, again = _FIRST_PAUSE_SECONDS, False
        while True:
            try:
                return work(self._ensure_open(), again=again)
            except (psycopg.Error, OSError) as error:
                if not self._can_repeat(error):
                    if self._connection is not None and getattr(error, "sqlstate", None) in _ELSEWHERE:
                        server.check(self._connection)
                    raise
                if time.monotonic() + pause > deadline or server.stopped.is_set():
                    raise explain(error, server.address) from None
                if not again:
                    words = words_of(error, server.address)
                    log.warning("the connection to %s was lost, trying again: %s", server.address.shown, words)
            except GraphEngineError:
                self._undo()
                raise
            except BaseException:
                self.close()  # its state is unknown
                raise
            again = True
            server.stopped.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _ensure_open(self) -> Connection:
        if self._opened_at != self._server.switched:
            self.close()
        if self._connection is None:
            self._opened_at = self._server.switched
            self._connection = self._server.connect()
        return self._connection

    def _can_repeat(self, error: Exception) -> bool:
        """Leave the connection idle, or closed if it was lost; return whether the call can be repeated.

        1. The server of a session is demoted, and the session lives on. 2. New sessions lead to the new primary. 3.
        What the old one refuses is written there; its other sessions, which would read what is old, are replaced too.
        """
        if has_become_read_only(error) and not self._server.read_only:
            if self._opened_at == self._server.switched:
                self._server.switched += 1
            self.close()
            return True
        if is_lost(error) or self._connection is None or self._connection.closed:
            self.close()
            return is_lost(error)
        self._undo()
        return is_undone(error)

    def _undo(self) -> None:
        """End an open transaction."""
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.rollback()
        except psycopg.Error:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


class Sessions:
    """Some sessions, each on its own thread while it works.

    Args:
        server: Where they connect to.
        count: The most sessions that work at the same time.
        name: The beginning of the threads' names.
    """

    def __init__(self, server: Connector, count: int, name: str) -> None:
        self.server = server
        self._threads: ThreadPoolExecutor | None = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._idle: deque[ServerConnection] = deque()
        self._pending: set[Future[Any]] = set()  # also of cancelled callers

    def first_connect(self) -> Connection:
        """Open the first connection, which a session then works with; see `Connector.first_connect`."""
        connection = self.server.first_connect()
        self._idle.append(ServerConnection(self.server, connection))
        return connection

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Call `work` on a thread, also again after a fault. If the caller is cancelled, it ends there nevertheless.

        Raises:
            RunnerClosed: The sessions were closed.
            GraphEngineError: As by `Session.run`, with errors of the server translated.
        """
        return await self.begin(lambda connection, **_: work(connection))

    def begin(self, work: ConnectionWork[T]) -> asyncio.Future[T]:
        """Call `work` on a thread; the future is not a task, so the end of the event loop does not cancel it."""
        return self.call(partial(self._run, work))

    def call(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Call a function on a thread, without a session."""
        threads = self._threads
        if threads is None:
            raise closed_error()
        pending = threads.submit(self._call_and_close, function)
        self._pending.add(pending)
        pending.add_done_callback(self._pending.discard)
        return asyncio.wrap_future(pending)

    def _call_and_close(self, function: Callable[[], T]) -> T:
        try:
            return function()
        finally:
            if self._threads is None:  # closed meanwhile
                self._close_idle()

    def _run(self, work: ConnectionWork[T]) -> T:
        try:
            session = self._idle.pop()
        except IndexError:
            session = ServerConnection(self.server)
        try:
            return session.run(work)
        except psycopg.Error as error:
            raise explain(error, self.server.address) from None
        finally:
            self._idle.append(session)

    def wait_for(self, work: Callable[[Connection], T]) -> T:
        """Call `work` as `run` does, on the calling thread."""
        return self._run(lambda connection, **_: work(connection))

    async def close(self) -> None:
        """Wait for the work that was begun, then end the threads and close the connections."""
        while self._pending:
            await asyncio.gather(*map(asyncio.wrap_future, self._pending.copy()), return_exceptions=True)
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown()  # they have nothing to do, so this does not block
            self._close_idle()

    def abandon(self) -> None:
        """Let the threads end after their work, and close the connections; callable from any thread."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)
            self._close_idle()

    def _close_idle(self) -> None:
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return
