"""Statements that the event loop sends itself, without a thread. Nearly all writes are sent in this way.

A call on a thread costs the client twice as much time as the server needs to insert a step, because control changes to
the thread and back. Here the event loop writes a message to the socket, and reads the answer when the socket has it.
The loop never waits for the server, and the server never waits for the loop, since each statement is a transaction of
its own.

`sessions.py` connects, sends several statements in one transaction, and recovers from faults. This class borrows a
connection from there between calls.
"""

from __future__ import annotations

import re
from contextvars import Context
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakSet

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus

from graphengine.kernel.senders import SENDERS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from psycopg import abc
    from psycopg.abc import Buffer
    from psycopg.pq.abc import PGresult

    from graphengine.databases.postgres.sessions import Connection

_PLACEHOLDER: Final = re.compile(rb"%s")
_GOOD: Final = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


class _Prepared(NamedTuple):
    key: tuple[bytes, Sequence[int]]
    name: bytes
    values: Sequence[Buffer | None]
    formats: Sequence[int]


class Direct:
    """Sends SQL statements to PostgreSQL from the event loop, one at a time, without blocking the loop.

    The statements are prepared on the server once and then executed by name. The connection belongs to a thread. It is
    lent to this object with `use`, and `leave` returns it to the thread.

    Args:
        loop: The event loop. All methods except `use` must be called on it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._connection: Connection | None = None
        self._socket: int | None = None  # set while the event loop watches the socket
        self._is_writing = False  # whether a part of the message still waits for space in the socket
        self._transformer: abc.Transformer | None = None
        self._names: dict[tuple[bytes, Sequence[int]], bytes] = {}  # names of prepared statements, by text and types
        self._preparing: _Prepared | None = None
        self._results: list[PGresult] = []
        self._done: Callable[[Sequence[Sequence[Any]] | None], None] | None = None
        SENDERS.setdefault(loop, WeakSet()).add(self)

    @property
    def is_busy(self) -> bool:
        """Whether a statement was sent whose answer has not arrived."""
        return self._done is not None

    def use(self, connection: Connection) -> None:
        """Use a connection of a thread for the next statements. Call this on that thread, after `leave`."""
        if connection is not self._connection:
            self._connection = connection
            self._transformer = Transformer(connection)
            self._names = {}

    def leave(self) -> None:
        """Stop watching the connection in the event loop, so that its thread can use it until the next `send`."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = None

    def send(
        self, statement: bytes, values: Sequence[Any], done: Callable[[Sequence[Sequence[Any]] | None], None]
    ) -> bool:
        """Send a statement without waiting for the answer. Return whether it was sent.

        Args:
            statement: The SQL text with `%s` for each parameter.
            values: The parameters.
            done: Called with the rows of the answer, or with None if the statement failed or the connection was lost.
                If the connection was lost, the statement may have been executed.

        Raises:
            psycopg.DataError: A value cannot be sent.
        """
        connection, transformer = self._connection, self._transformer
        if connection is None or transformer is None or connection.closed:
            return False
        raws = transformer.dump_sequence(values, [PyFormat.BINARY] * len(values))
        types, formats = transformer.types or (), transformer.formats or ()
        try:
            self._watch(connection)
            name = self._names.get((statement, types))
            if name is None:
                name = b"graphengine_%d" % len(self._names)
                numbers = count(1)
                text = _PLACEHOLDER.sub(lambda _: b"$%d" % next(numbers), statement)
                connection.pgconn.send_prepare(name, text, types)
                self._preparing = _Prepared((statement, types), name, raws, formats)
            else:
                connection.pgconn.send_query_prepared(name, raws, formats)
            self._done = done
            self._flush(connection)
        except NotImplementedError:  # some event loops of Windows cannot watch sockets
            self._connection = None
            return False
        except psycopg.Error:
            self._lose()
        return True

    def _watch(self, connection: Connection) -> None:
        if self._socket is None:
            socket = connection.pgconn.socket
            # in a new context: the context of the calling node would otherwise be kept as long
            Context().run(self._loop.add_reader, socket, self._read)
            self._socket = socket

    def _flush(self, connection: Connection) -> None:
        """Write as much of the current message as the socket accepts now.

        If some bytes are left, let the event loop write them when the socket accepts more.
        """
        is_writing = connection.pgconn.flush() != 0
        if is_writing != self._is_writing and self._socket is not None:
            self._is_writing = is_writing
            if is_writing:
                Context().run(self._loop.add_writer, self._socket, self._read)
            else:
                self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        """Read the part of the server's answer that has arrived.

        The event loop calls this method when the socket is readable, writable or closed.
        """
        connection = self._connection
        if connection is None:
            return
        pgconn = connection.pgconn
        try:
            pgconn.consume_input()
            if self._is_writing:
                self._flush(connection)
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:  # the transaction is durable or has failed: only now the server takes a new command
                    self._end(connection)
                    return
                self._results.append(result)
        except psycopg.Error:
            self._lose()

    def _end(self, connection: Connection) -> None:
        """React to the complete answer of the server.

        If the answer confirms that a statement was prepared, execute the statement; otherwise pass the rows to the
        caller of `send`.
        """
        results, self._results = self._results, []
        is_good = all(result.status in _GOOD for result in results)
        preparing, self._preparing = self._preparing, None
        if preparing is not None and is_good:
            self._names[preparing.key] = preparing.name
            connection.pgconn.send_query_prepared(preparing.name, preparing.values, preparing.formats)
            self._flush(connection)
            return
        if self._done is not None:
            self._finish(self._rows_of(results[0]) if is_good else None)

    def _lose(self) -> None:
        """Close the connection after a failure, and tell the caller of `send` that the statement failed.

        After the failure, the state of the connection is unknown.
        """
        self.leave()
        self._results, self._preparing, self._is_writing = [], None, False
        if self._connection is not None:
            self._connection.close()
        if self._done is not None:
            self._finish(None)

    def _finish(self, rows: Sequence[Sequence[Any]] | None) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(rows)

    def _rows_of(self, result: PGresult) -> Sequence[Sequence[Any]]:
        transformer = self._transformer
        if result.ntuples == 0 or transformer is None:
            return ()
        if result.nfields == 1 and result.get_value(0, 0) == b"t":  # the usual answer: a step was written
            return ((True,),)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)
