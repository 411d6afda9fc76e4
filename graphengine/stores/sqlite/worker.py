"""A SQLite connection on its own thread that runs a whole function per hop.

aiosqlite sends each statement to its thread and waits for the result, so a transaction of five statements switches
threads ten times. Here the unit sent to the thread is a function of the connection. aiosqlite has no call for that, but
it passes `factory=` to `sqlite3.connect`, and it calls `Connection.commit` on the thread without arguments. So `commit`
of this class runs the next function in the queue. Nothing else is overridden. No function leaves a transaction open, so
a real commit is never needed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import aiosqlite

from graphengine.errors import RunnerClosed
from graphengine.stores.closing import Uncancelled
from graphengine.stores.refusals import closed

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_ENDS_SECONDS: Final = 5.0


# A name with damaged UTF-8 must not prevent the other rows of a list from being read.
_TEXT: Final = partial(str, encoding="utf-8", errors="replace")


def connect(uri: str, *, busy_timeout_seconds: float) -> sqlite3.Connection:
    """Open a connection to a `file:` URI, in autocommit, for any thread; the first statement reads the file itself.

    Raises:
        sqlite3.Error: As by `sqlite3.connect`.
    """
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=busy_timeout_seconds
    )
    connection.text_factory = _TEXT
    return connection


class Connection(sqlite3.Connection):
    """A connection whose `commit` runs the oldest piece of work that was queued for it."""

    def __init__(self, pieces: deque[Callable[[sqlite3.Connection], None]], *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # the arguments of sqlite3.connect
        self._pieces = pieces
        self.text_factory = _TEXT

    def commit(self) -> None:
        """Run the oldest piece of work."""
        self._pieces.popleft()(self)


async def _open(
    uri: str, busy_timeout_seconds: float, pieces: deque[Callable[[sqlite3.Connection], None]]
) -> aiosqlite.Connection:
    opening = aiosqlite.connect(
        uri,
        uri=True,
        timeout=busy_timeout_seconds,
        isolation_level=None,
        factory=partial(Connection, pieces),
    )
    try:
        return await opening
    except sqlite3.Error:
        # Its thread ends now and notifies the loop. If the loop were closed by then, it would print a traceback.
        opening._thread.join(_ENDS_SECONDS)  # noqa: SLF001 - there is no public way to wait for it
        raise


def _drop(opening: asyncio.Task[aiosqlite.Connection]) -> None:
    """Close a connection that was opened for a caller that is cancelled."""
    if opening.exception() is None:
        connection = opening.result()
        connection.stop()  # pyright: ignore[reportUnknownMemberType]  # returns a bare Future
        connection._thread.join(_ENDS_SECONDS)  # noqa: SLF001 - it has nothing else to do


class Worker:
    """A connection that runs functions one after another, in the order of the calls of `run`."""

    def __init__(self, connection: aiosqlite.Connection, pieces: deque[Callable[[sqlite3.Connection], None]]) -> None:
        self._connection: aiosqlite.Connection | None = connection
        self._pieces = pieces
        self._ended: asyncio.Future[None] | None = None  # once it is being closed

    @classmethod
    async def connect(cls, uri: str, *, busy_timeout_seconds: float) -> Worker:
        """Open a connection, in autocommit, to a `file:` URI.

        Raises:
            sqlite3.Error: As by `sqlite3.connect`; the file itself is only read by the first statement.
        """
        pieces: deque[Callable[[sqlite3.Connection], None]] = deque()
        opening = Uncancelled(_open(uri, busy_timeout_seconds, pieces))
        try:
            connection = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_drop)  # also if a second cancellation ends the wait
            await asyncio.wait([opening])
            raise
        return cls(connection, pieces)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call `work(connection)` on the connection's thread; it must leave no transaction open.

        Queued work runs even if the caller is cancelled. A cancelled caller waits until it has ended: the thread then
        notifies the event loop, which must not be closed by then.

        Raises:
            RunnerClosed: The connection was closed.
        """
        connection = self._connection
        if connection is None:
            raise closed()
        results: list[T] = []

        def piece(raw: sqlite3.Connection) -> None:
            results.append(work(raw))

        self._pieces.append(piece)
        try:
            await connection.commit()
        except asyncio.CancelledError:
            await asyncio.wait([self._ended or Uncancelled(self._idle())])
            raise
        return results[0]

    async def _idle(self) -> None:
        """Return after the work that is queued so far."""
        with suppress(RunnerClosed):  # closed meanwhile, by a caller that waits too
            await self.run(lambda _: None)

    def post(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Call `work(connection)` on the connection's thread, after what was queued before, without waiting for it.

        Raises:
            RunnerClosed: The connection was closed.
        """
        connection = self._connection
        if connection is None:
            raise closed()
        self._pieces.append(work)
        # A future for it would cost two more turns of the event loop, and there is no public way to omit it.
        connection._tx.put_nowait((None, connection._conn.commit))  # noqa: SLF001

    async def close(self, last: Callable[[sqlite3.Connection], None] | None = None) -> None:
        """Finish the queued work and `last`, and free the connection. Its thread has ended when this returns.

        All of it is queued at once, so the thread ends also if the event loop does.
        """
        if last is not None and self._connection is not None:
            self.post(last)
        connection, self._connection = self._connection, None
        if connection is not None:
            self._ended = connection.stop()  # pyright: ignore[reportUnknownMemberType]  # returns a bare Future
            try:
                if self._ended is not None:
                    await asyncio.wait([self._ended])
            finally:
                connection._thread.join(_ENDS_SECONDS)  # noqa: SLF001 - it reported its last work, and ends at once

    def abandon(self, last: Callable[[], None] | None = None) -> None:
        """Let the thread end after the queued work and a last call, without the event loop; for any thread."""
        if last is not None and self._connection is not None:
            self.post(lambda _: last())
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.stop()  # pyright: ignore[reportUnknownMemberType]  # returns a bare Future
            # Until its thread has closed it, its finalizer would warn that it was dropped while open.
            connection._thread.join(_ENDS_SECONDS)  # noqa: SLF001 - there is no public way to wait for it
