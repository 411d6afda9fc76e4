"""A SQLite connection with a thread of its own, which calls functions of the connection one after another.

What is sent to the thread is a whole transaction, not a statement: the way there and back costs more than most of them.
No function leaves a transaction open.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from graphengine.errors import RunnerClosed
from graphengine.stores.sql import Promise

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Work: TypeAlias = "Callable[[sqlite3.Connection], object]"
log = logging.getLogger("graphengine.stores")

_ENDS_SECONDS: Final = 5.0


def connect(
    uri: str, *, busy_timeout_seconds: float, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """Open a connection to a `file:` URI, in autocommit, for any thread; the first statement reads the file itself.

    Raises:
        sqlite3.Error: As by `sqlite3.connect`.
    """
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=busy_timeout_seconds, factory=factory
    )
    # A name with damaged UTF-8 must not prevent the other rows of a list from being read.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    return connection


class Worker:
    """A connection that runs functions on its thread, in the order of the calls of `run` and `post`.

    Args:
        uri: The `file:` URI of the database.
        busy_timeout_seconds: How long a statement waits for another program's lock.

    Raises:
        sqlite3.Error: The database cannot be opened.
    """

    def __init__(self, uri: str, *, busy_timeout_seconds: float) -> None:
        connection = connect(uri, busy_timeout_seconds=busy_timeout_seconds)
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._is_closed = False
        # A pool of one thread does the same, and its futures take half as long again.
        self._thread = threading.Thread(target=_serve, args=(self._queue, connection), name="graphengine-sqlite")
        self._thread.start()

    def post(self, work: Work) -> None:
        """Call `work(connection)` on the thread, after what was queued before, without waiting for it.

        Raises:
            RunnerClosed: The connection was closed.
        """
        if self._is_closed:
            message = "the store is closed"
            raise RunnerClosed(message)
        self._queue.put(work)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call `work(connection)` on the thread, also if the caller is cancelled meanwhile, and return the result.

        Raises:
            RunnerClosed: The connection was closed.
        """
        return await self._promised(work)

    def _promised(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        promise = Promise[T](loop.create_future())

        def keep(connection: sqlite3.Connection) -> None:
            try:
                promise.result = work(connection)
            except Exception as error:  # noqa: BLE001 - the caller gets it
                promise.error = error
            with suppress(RuntimeError):  # the event loop was closed, so that nothing waits
                loop.call_soon_threadsafe(promise.settle)

        self.post(keep)
        return promise.future

    async def close(self, last: Work | None = None) -> None:
        """Finish the queued work and `last`, and free the connection. Its thread has ended when this returns.

        All of it is queued at once, so the thread ends also if the event loop does.
        """
        if not self._is_closed:
            self.post(partial(_close, last=last))
            ended = self._promised(lambda _: None)
            self._end()
            await ended
            self._thread.join()

    def abandon(self, last: Work | None = None) -> None:
        """Do the same without the event loop, from any thread; wait a few seconds at most."""
        if not self._is_closed:
            self.post(partial(_close, last=last))
            self._end()
            self._thread.join(_ENDS_SECONDS)

    def _end(self) -> None:
        self._is_closed = True
        self._queue.put(None)


def _serve(queue: SimpleQueue[Work | None], connection: sqlite3.Connection) -> None:
    while (work := queue.get()) is not None:
        try:
            work(connection)
        except Exception:
            log.exception("a piece of work on a database failed")


def _close(connection: sqlite3.Connection, last: Work | None) -> None:
    try:
        if last is not None:
            last(connection)
    finally:
        connection.close()
