"""A SQLite connection on its own thread that runs a whole function per hop.

A transaction of five statements is one function, so it switches threads once to begin and once to report; sent one by
one, its statements switch ten times. The thread takes functions from a queue, in order. A function that nobody waits
for costs no future, and the thread can be ended from any thread, without the event loop.
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


def _decode_text(value: bytes) -> str:
    """Return a text: a name with damaged UTF-8 must not prevent the other rows of a list from being read."""
    return value.decode("utf-8", "replace")


def connect(uri: str, *, busy_timeout_seconds: float) -> sqlite3.Connection:
    """Open a connection to a `file:` URI, in autocommit, for any thread; the first statement reads the file itself.

    Raises:
        sqlite3.Error: As by `sqlite3.connect`.
    """
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=busy_timeout_seconds
    )
    connection.text_factory = _decode_text
    return connection


class Job(NamedTuple):
    """What the thread does next.

    Attributes:
        work: What it does. An error of it is only logged.
        then: What it calls after that, e.g. to tell the event loop, which may be closed by then.
        is_last: Whether the thread ends.
    """

    work: Callable[[], object]
    then: Callable[[], object] | None = None
    is_last: bool = False


def _serve_calls(calls: SimpleQueue[Job]) -> None:
    """Make the calls of a queue up to the last. Whatever one raises, those after it must not wait for ever."""
    ends = False
    while not ends:
        work, then, ends = calls.get()
        try:
            work()
        except BaseException:
            log.exception("a call on the thread of a SQLite connection failed")
        if then is not None:
            with suppress(RuntimeError):  # the event loop was closed, so that nothing waits
                then()
        del work, then  # they can hold a worker that is otherwise dropped


def _close(opened: list[sqlite3.Connection]) -> None:
    for connection in opened:
        connection.close()


class Worker:
    """A connection that runs functions one after another, in the order of the calls of `run` and `post`.

    Args:
        only_reads: Whether the process may exit while it is open; else the exit waits until it is closed or abandoned.
    """

    def __init__(self, *, only_reads: bool) -> None:
        self._is_open = False
        self._opened: list[sqlite3.Connection] = []  # by its first call: the connection
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
        """Open a connection, in autocommit, to a `file:` URI.

        Raises:
            sqlite3.Error: As by `sqlite3.connect`; the file itself is only read by the first statement.
        """
        worker = cls(only_reads=only_reads)
        opened = worker._opened
        try:
            await worker._ask(lambda: opened.append(connect(uri, busy_timeout_seconds=busy_timeout_seconds)))
        except BaseException:
            worker.abandon()  # what was opened for a cancelled caller is closed
            raise
        return worker

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call `work(connection)` on the connection's thread; it must leave no transaction open.

        Queued work runs even if the caller is cancelled.

        Raises:
            RunnerClosed: The connection was closed.
        """
        return await self._ask(partial(work, *self._opened))

    def post(self, work: Callable[[sqlite3.Connection], None], then: Callable[[], object] | None = None) -> None:
        """Call `work(connection)` on the connection's thread, after what was queued before, without waiting for it.

        Args:
            work: It must not raise: no caller would learn of it, and it would only be logged.
            then: Called on the thread after it, e.g. to tell the event loop, which may be closed by then.

        Raises:
            RunnerClosed: The connection was closed.
        """
        if not self._is_open:
            raise closed_error()
        self._calls.put_nowait(Job(partial(work, *self._opened), then))

    def _ask(self, work: Callable[[], T], *, is_last: bool = False) -> asyncio.Future[T]:
        """Queue a call. Its future gets what it returns or raises."""
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
        """Finish the queued work and `last`, and free the connection. Its thread has ended when this returns.

        All of it is queued at once, so the thread ends also if the event loop does.
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
            self._thread.join(_ENDS_SECONDS)  # it reported its last call, and ends at once

    def abandon(self, last: Callable[[], None] | None = None) -> None:
        """Let the thread end after the queued work and a last call, without the event loop; for any thread."""
        if not self._is_open:
            return
        if last is not None:
            self._calls.put_nowait(Job(last))
        self._calls.put_nowait(Job(partial(_close, self._opened), is_last=True))
        self._is_open = False
        self._thread.join(_ENDS_SECONDS)
