"""One SQLite connection on a thread of its own that runs a whole piece of work in one hop.

aiosqlite sends each statement to its thread and waits for the answer, so a transaction of five statements
crosses the threads ten times. Here the unit sent is a function of the connection. aiosqlite has no call for
that, but it passes `factory=` on to `sqlite3.connect`, and `Connection.commit` is the one method it calls
there without arguments: our connection's `commit` runs the next function in the queue. Nothing else is
overridden, and no transaction is ever left open between two functions, so a plain commit would have nothing
to do.
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

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_ENDS_SECONDS: Final = 5.0


def _nothing(raw: sqlite3.Connection) -> None:
    """A piece of work that is done once all before it are."""


class Connection(sqlite3.Connection):
    """A connection whose `commit` runs the oldest piece of work that was queued for it."""

    def __init__(self, pieces: deque[Callable[[sqlite3.Connection], None]], *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # what sqlite3.connect was given
        self._pieces = pieces
        # A damaged name must not keep the other rows of a list from being read.
        self.text_factory = partial(str, encoding="utf-8", errors="replace")

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
        # Its thread ends now, and tells the loop so: a loop that was closed by then would be told with a traceback.
        opening._thread.join(_ENDS_SECONDS)  # noqa: SLF001 - nothing public says when it has ended
        raise


class Worker:
    """A connection that takes functions; they run one after another, in the order of the calls of `run`."""

    def __init__(self, connection: aiosqlite.Connection, pieces: deque[Callable[[sqlite3.Connection], None]]) -> None:
        self._connection: aiosqlite.Connection | None = connection
        self._pieces = pieces

    @classmethod
    async def connect(cls, uri: str, *, busy_timeout_seconds: float) -> Worker:
        """Open a connection, in autocommit, to a `file:` URI.

        Raises:
            sqlite3.Error: As `sqlite3.connect` does; the file itself is first read by the first statement.
        """
        pieces: deque[Callable[[sqlite3.Connection], None]] = deque()
        opening = asyncio.create_task(_open(uri, busy_timeout_seconds, pieces))
        try:
            connection = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread opens it all the same; nobody else could close it.
            with suppress(sqlite3.Error):
                await (await opening).close()
            raise
        return cls(connection, pieces)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call `work(connection)` on the connection's thread; it must leave no transaction open.

        Work that was begun or queued is done even if the caller is cancelled, who waits for its end: the thread tells
        the event loop of it, which must not be closed by then.

        Raises:
            RunnerClosed: The connection was closed.
        """
        connection = self._connection
        if connection is None:
            message = "the store is closed"
            raise RunnerClosed(message)
        results: list[T] = []

        def piece(raw: sqlite3.Connection) -> None:
            results.append(work(raw))

        self._pieces.append(piece)
        try:
            await connection.commit()
        except asyncio.CancelledError:
            with suppress(ValueError):  # it is closed meanwhile, by somebody who waits as well
                self._pieces.append(_nothing)
                await connection.commit()  # behind what was queued
            raise
        return results[0]

    async def close(self) -> None:
        """Finish what is queued and free the connection and its thread."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def abandon(self) -> None:
        """Let the thread end after what is queued, where nobody can close any more; from any thread."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.stop()  # pyright: ignore[reportUnknownMemberType]  # gives a bare Future
            # Until its thread has closed it, it would warn of being dropped while it is open.
            connection._thread.join(_ENDS_SECONDS)  # noqa: SLF001 - nothing public says when it has ended
