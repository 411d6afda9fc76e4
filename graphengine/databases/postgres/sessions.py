"""Connections, each used on a thread, so that neither the event loop nor the server ever waits for the other.

When its connection breaks, a session connects again and repeats the call that was cut off. The server may have executed
the call before the answer was lost. So every write is made such that it can be repeated (`schema/0002_runs.sql`). A
restart of the server only pauses the runs and raises no error, as long as it takes less than `patience_seconds`.
`direct.py` borrows the connection of the writing thread between its calls.
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
    # Plans: every statement should use an index. A plan made for a small table would read the whole table for ever.
    "enable_seqscan": "off",
    "enable_indexscan": "on",
    "enable_indexonlyscan": "on",
    "enable_bitmapscan": "on",
    "enable_nestloop": "on",
    "enable_sort": "on",
    "plan_cache_mode": "auto",
    "jit": "off",
    # Results: an index of words may not leave out rows.
    "gin_fuzzy_search_limit": "0",
    # Transactions: a process that disappears in one, for example with its host, must not keep locks.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "idle_in_transaction_session_timeout": "10s",
    # Values converted to text and back.
    "client_encoding": "UTF8",
    "extra_float_digits": "1",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "array_nulls": "on",
    # Syntax of statements, and messages of functions.
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "plpgsql.extra_errors": "none",
    "client_min_messages": "warning",
}
"""Settings that each session needs, whatever the role, database, pooler or environment set."""

_CLIENT: Final = "graphengine.client"
"""A setting of our own that marks the client of a session. If a pooler gives the session to a second client, the first
client's mark shows that."""
_WHOSE: Final = f"SELECT current_setting('{_CLIENT}', true)".encode()
_ELSEWHERE: Final = frozenset({"26000", "42P01", "42P05", "42883"})
"""Error codes: a prepared statement, table or function is missing or exists already, as in another client's session."""
DUMPERS: Final[Mapping[type, type[Dumper]]] = {int: Int8BinaryDumper, list: ListBinaryDumper}
"""Send all integers with one type and format, because a statement is prepared once for each combination of types."""
KEEPALIVES: Final[dict[str, Any]] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
    "connect_timeout": 5,  # seconds
    "application_name": "graphengine",
}


class ConnectionWork(Protocol[T_co]):
    """The type of the functions that `ServerConnection.run` calls with a connection.

    If the connection is lost during the call, the function is called again with `again=True`. The server may then
    already have executed what the function does.
    """

    def __call__(self, connection: Connection, *, again: bool) -> T_co: ...


@dataclass(slots=True)
class Connector:
    """Opens connections to a database.

    Attributes:
        address: The address of the database.
        patience_seconds: How long to try to reach the server again before a call fails.
        read_only: Whether the server must refuse writes of these connections.
        stopped: Set when no caller waits for an answer any more.
        switched: The number of failovers noticed so far. After a failover of the database, the old server has become
            read-only. Connections that were opened before the last failover lead to the old server, and are replaced.
    """

    address: Address
    patience_seconds: float
    read_only: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)
    switched: int = 0

    def first_connect(self) -> Connection:
        """Open the first connection. If the server answers that it is still starting, wait for it.

        Raises:
            psycopg.Error, StoreNotSupported: As in `connect`.
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
                if is_pooled:  # find out whether a second client gets the same session
                    self.connect().close()
                    self.check(connection)
            return connection

    def connect(self) -> Connection:
        """Open a connection in autocommit mode.

        Raises:
            psycopg.Error: The server cannot be reached, or refuses the connection.
            StoreNotSupported: A connection pooler returned the session of another client.
        """
        return self._open()[0]

    def _open(self) -> tuple[Connection, bool]:
        """Open a connection and apply its settings.

        Return the connection, and whether a connection pooler stands between this process and the server.

        The settings are applied with a statement and not passed as start options of the session, because poolers refuse
        or ignore start options.
        """
        options = conninfo_to_dict(self.address.url)
        defaults = {name: value for name, value in KEEPALIVES.items() if name not in options}
        connection = psycopg.connect(**{**options, **defaults}, autocommit=True)
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
        """Check that a connection still has the session in which its settings were applied.

        Raises:
            psycopg.Error: The server cannot be reached.
            StoreNotSupported: A connection pooler has assigned another session.
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
    """Return the number of the server process that serves this connection, to recognise the session of the connection.

    The number differs from session to session. A connection pooler makes up such a number for each client, so the
    number shows whether the pooler has assigned another session.
    """
    return str(connection.info.backend_pid)


class ServerConnection:
    """A connection to PostgreSQL that is opened again when it breaks. Only one thread may use it at a time."""

    def __init__(self, server: Connector, connection: Connection | None = None) -> None:
        self._server = server
        self._connection = connection
        self._opened_at = server.switched

    def run(self, work: ConnectionWork[T]) -> T:
        """Call a function with the connection. If the connection is lost, open a new one and call the function again.

        Raises:
            GraphEngineError: The error that the function raised.
            StoreUnreachable: The server could not be reached again in time.
            psycopg.Error: Any other error of the driver. No transaction is left open.
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
        """Prepare the connection for its next use after a call has failed.

        Return whether the failed call can be repeated.

        After a failover of the database, writes and reads must go to the new primary server:

        1. The server of a session becomes a standby, and the session continues.
        2. New connections lead to the new primary server.
        3. The old server refuses a write. The write is repeated on a connection to the new one. All other connections
           to the old server, which would read old data, are replaced too.
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
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.rollback()
        except psycopg.Error:
            self.close()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


class Sessions:
    """A pool of connections to PostgreSQL. Each connection that works uses a thread of the pool.

    Args:
        server: Opens the connections.
        count: How many connections can work at the same time.
        name: The prefix of the threads' names.
    """

    def __init__(self, server: Connector, count: int, name: str) -> None:
        self.server = server
        self._threads: ThreadPoolExecutor | None = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._idle: deque[ServerConnection] = deque()
        self._pending: set[Future[Any]] = set()  # also of cancelled callers

    def first_connect(self) -> Connection:
        """Open the first connection of the group; see `Connector.first_connect`."""
        connection = self.server.first_connect()
        self._idle.append(ServerConnection(self.server, connection))
        return connection

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Call a function with a connection on a thread of the pool.

        If the connection is lost, the function is called again with a new one.

        The call runs to its end even if the caller is cancelled.

        Raises:
            RunnerClosed: The group was closed.
            GraphEngineError: As in `ServerConnection.run`. Errors of the driver are translated.
        """
        return await self.begin(lambda connection, **_: work(connection))

    def begin(self, work: ConnectionWork[T]) -> asyncio.Future[T]:
        """Start a call of a function with a connection on a thread of the pool, and return a future of its result.

        The future is not a task, so that the end of the event loop does not cancel it.
        """
        return self.call(partial(self._run, work))

    def call(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Start a call of a function on a thread of the pool, without a connection. Return a future of its result."""
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
        """Call `work` as in `run`, but on the calling thread."""
        return self._run(lambda connection, **_: work(connection))

    async def close(self) -> None:
        """Close the pool: wait for the calls that were started, then end the threads and close the connections."""
        while self._pending:
            await asyncio.gather(*map(asyncio.wrap_future, self._pending.copy()), return_exceptions=True)
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown()  # they have nothing to do, so this does not block
            self._close_idle()

    def abandon(self) -> None:
        """Close the connections without waiting for their work. Each thread ends after its work.

        Any thread may call this.
        """
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
