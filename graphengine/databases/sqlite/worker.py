"""A SQLite connection with its own thread, to which whole functions are passed.

A transaction of five statements is one function, so it switches threads once to begin and once to report. If each
statement were sent by itself, there would be ten switches. The thread takes functions from a queue, in order. A
function whose result nobody needs costs no future. Any thread can end the connection's thread, without the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import warnings
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from graphengine.databases.refusals import closed_error
from graphengine.databases.sql import Promise

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
log = logging.getLogger("graphengine.stores")

_ENDS_SECONDS: Final = 5.0


def connect(uri: str, *, busy_timeout_seconds: float) -> sqlite3.Connection:
    """Open a connection to a `file:` URI in autocommit mode. Any thread may use it.

    The file itself is only read by the first statement.

    Raises:
        sqlite3.Error: As in `sqlite3.connect`.
    """
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=busy_timeout_seconds
    )
    # a name with damaged UTF-8 must not prevent the other rows of a list from being read
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    return connection


class Job(NamedTuple):
    """A job for the thread of a connection: a function that the thread calls when its turn comes.

    Attributes:
        work: The function that the thread calls. An error is only logged.
        then: A function that the thread calls afterwards, for example to notify the event loop, which may be closed by
            then.
        is_last: Whether the thread ends after this job.
    """

    work: Callable[[], object]
    then: Callable[[], object] | None = None
    is_last: bool = False


def _serve_calls(calls: SimpleQueue[Job]) -> None:
    """Call the functions in a queue up to the last job. If a function raises, the next ones are called nevertheless."""
    ends = False
    while not ends:
        work, then, ends = calls.get()
        try:
            work()
        except BaseException:
            log.exception("a call on the thread of a SQLite connection failed")
        if then is not None:
            with suppress(RuntimeError):  # the event loop was closed, so nobody waits for the result
                then()
        del work, then  # these would keep a worker alive that nobody else refers to


def _close(opened: list[sqlite3.Connection]) -> None:
    for connection in opened:
        connection.close()


class Worker:
    """A connection to SQLite with a thread of its own, which calls functions one after another with the connection.

    Args:
        only_reads: Whether the process may exit while the connection is open. Otherwise the exit waits until the
            connection is closed or abandoned.
    """

    def __init__(self, *, only_reads: bool) -> None:
        self._is_open = False
        self._opened: list[sqlite3.Connection] = []  # contains the connection after the first call
        self._calls: SimpleQueue[Job] = SimpleQueue()
        self._thread = threading.Thread(
            target=_serve_calls, args=(self._calls,), name="graphengine-sqlite", daemon=only_reads
        )
        self._thread.start()
        self._is_open = True

    def __del__(self) -> None:
        if self._is_open:
            self._calls.put_nowait(Job(partial(_close, self._opened), is_last=True))
            warnings.warn("a connection to SQLite was dropped without being closed", ResourceWarning, stacklevel=1)

    @classmethod
    async def connect(cls, uri: str, *, busy_timeout_seconds: float, only_reads: bool = False) -> Worker:
        """Open a connection to a `file:` URI in autocommit mode.

        Raises:
            sqlite3.Error: As in `sqlite3.connect`. The file itself is only read by the first statement.
        """
        worker = cls(only_reads=only_reads)
        opened = worker._opened
        try:
            await worker._ask(lambda: opened.append(connect(uri, busy_timeout_seconds=busy_timeout_seconds)))
        except BaseException:
            worker.abandon()  # closes the connection if the caller was cancelled
            raise
        return worker

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call `work(connection)` on the connection's thread. The function must not leave a transaction open.

        The function is called even if the caller is cancelled meanwhile.

        Raises:
            RunnerClosed: The connection was closed.
        """
        return await self._ask(partial(work, *self._opened))

    def post(self, work: Callable[[sqlite3.Connection], None], then: Callable[[], object] | None = None) -> None:
        """Call `work(connection)` on the connection's thread, after the functions queued before.

        Do not wait for the result.

        Args:
            work: The function. It should not raise, because an error is only logged.
            then: Called afterwards on the thread, for example to notify the event loop, which may be closed by then.

        Raises:
            RunnerClosed: The connection was closed.
        """
        if not self._is_open:
            raise closed_error()
        self._calls.put_nowait(Job(partial(work, *self._opened), then))

    def _ask(self, work: Callable[[], T], *, is_last: bool = False) -> asyncio.Future[T]:
        """Let the connection's thread call a function. The future receives the function's result or error."""
        if not self._is_open:
            raise closed_error()
        loop = asyncio.get_running_loop()
        promise: Promise[T] = Promise(loop.create_future())

        def asked() -> None:
            try:
                promise.result = work()
            except BaseException as error:  # noqa: BLE001 - the caller gets it
                promise.error = error

        self._calls.put_nowait(Job(asked, partial(loop.call_soon_threadsafe, promise.settle), is_last))
        return promise.future

    async def close(self, last: Callable[[sqlite3.Connection], None] | None = None) -> None:
        """Close the connection after all queued functions and `last` were called, and wait for the end of the thread.

        Everything is queued at once, so that the thread ends even if the event loop ends first.
        """
        if not self._is_open:
            return
        if last is not None:
            self.post(last)
        ended = self._ask(partial(_close, self._opened), is_last=True)
        self._is_open = False
        try:
            await ended
        finally:
            self._thread.join(_ENDS_SECONDS)  # the thread has reported its last call and ends at once

    def abandon(self, last: Callable[[], None] | None = None) -> None:
        """Close the connection on its thread after all queued functions and `last` were called.

        No event loop is needed.

        Any thread may call this.
        """
        if not self._is_open:
            return
        if last is not None:
            self._calls.put_nowait(Job(last))
        self._calls.put_nowait(Job(partial(_close, self._opened), is_last=True))
        self._is_open = False
        self._thread.join(_ENDS_SECONDS)
