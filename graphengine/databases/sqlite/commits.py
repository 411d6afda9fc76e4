"""Group commit: all queued writes are committed in one transaction.

While one transaction is being committed, the next writes wait in a queue; then the thread takes all of them at once. A
write is a function of the connection that first checks and then writes. If such a function raises an error, the kind of
error decides which writes fail:

- A `GraphEngineError` is raised before anything was written, for example for an old fence: only that write fails.
- An error of the file (disk full, locked, read-only, damaged) fails all writes of the transaction.
- Any other error is caused by the values of one write: the transaction is rolled back and repeated without that write.

The event loop itself executes a short write that comes alone, if the store does not sync every commit: see `direct.py`.

Consecutive appends are written by one statement, which fails if any of them is refused. Then the transaction is rolled
back and repeated with separate statements.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from graphengine.databases.sql import Promise
from graphengine.databases.sqlite.direct import NotDone
from graphengine.databases.sqlite.faults import end_statements, explain, is_of_the_medium
from graphengine.databases.sqlite.writes import Addition, append_all
from graphengine.errors import GraphEngineError, RunnerClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from graphengine.databases.sql import Claimed
    from graphengine.databases.sqlite.checkpoints import Checkpoints
    from graphengine.databases.sqlite.direct import Direct
    from graphengine.databases.sqlite.files import OpenFiles
    from graphengine.databases.sqlite.worker import Worker
    from graphengine.kernel.store import Append

T = TypeVar("T")


class PendingWrite(Promise[T], kw_only=True, eq=False):
    """A queued write, and the future that receives its result."""

    work: Callable[[sqlite3.Connection], T]
    written_bytes: int


class GroupCommit:
    """The queue of writes of one connection. Writes are executed in the order in which they were submitted.

    No asyncio task is needed: `submit` starts the thread at the end of the current turn of the event loop, and the
    thread calls the event loop when results are ready.
    """

    def __init__(
        self, worker: Worker, place: OpenFiles, checkpoints: Checkpoints, direct: Direct | None = None
    ) -> None:
        self._worker = worker
        self._direct = direct
        self._checkpoints = checkpoints
        self._place = place
        self._loop = asyncio.get_running_loop()
        self._tell = partial(self._loop.call_soon_threadsafe, self._settle)
        self._queue: deque[PendingWrite[object]] = deque()
        self._written: deque[PendingWrite[object]] = deque()
        self._unsettled = 0
        self._is_alone = False  # the last job was alone in its transaction: do not hold the next one back
        self._drained: asyncio.Future[None] | None = None

    def submit(
        self, work: Callable[[sqlite3.Connection], T], written_bytes: int = 0, *, run_id: str | None = None
    ) -> asyncio.Future[T]:
        """Queue a write. Its future is done when the transaction is durable or has failed.

        Cancelling the future does not cancel the write.

        Args:
            work: The write.
            written_bytes: About how many bytes it writes, if that is much.
            run_id: The run whose rows it changes, if it changes no others. Then the event loop may execute the write at
                once, if no other write is queued (`Direct`).
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if self._direct is not None and run_id is not None and not self._unsettled:
            with suppress(NotDone):
                future.set_result(self._direct.write(run_id, work, written_bytes))
                return future
        job = PendingWrite(future, work=work, written_bytes=written_bytes)
        self._queue.append(job)  # type: ignore[arg-type]  # jobs of all kinds in one queue
        self._unsettled += 1
        if self._unsettled == 1:
            if self._is_alone:
                self._begin()
            else:
                self._loop.call_soon(self._begin)  # not at once: jobs of the same turn share the transaction
        return future

    def append_step(self, batch: Append, driven: Claimed, owner: str) -> bool:
        """Let the event loop append a single step now, if no other write is queued; see `Direct.append_step`."""
        return self._direct is not None and not self._unsettled and self._direct.append_step(batch, driven, owner)

    async def drain(self) -> None:
        """Wait until all submitted writes are durable or have failed, even if the caller is cancelled."""
        while self._unsettled:
            self._drained = self._drained or self._loop.create_future()
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._drained)

    def _begin(self) -> None:
        try:
            self._worker.post(self._write_queued, self._tell)
        except RunnerClosed as error:
            for job in self._queue:
                job.error = error
            self._written.extend(self._queue)
            self._queue.clear()
            self._settle()

    def _settle(self) -> None:
        self._is_alone = len(self._written) == self._unsettled == 1
        self._unsettled -= len(self._written)
        while self._written:
            self._written.popleft().settle()
        if self._checkpoints.are_due:
            with suppress(RunnerClosed):
                self._worker.post(self._checkpoints.make)
        if self._unsettled:
            self._loop.call_soon(self._begin)  # after the callers that continue now, which may write too
        elif self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    def _write_queued(self, connection: sqlite3.Connection) -> None:
        """Execute the queued writes in transactions. Called on the thread of the connection."""
        jobs: list[PendingWrite[object]] = []
        while self._queue:
            jobs.append(self._queue.popleft())
        try:
            self._place.check()
            changes = connection.total_changes
            self._transact(connection, jobs)
            self._checkpoints.count(connection.total_changes - changes, sum(job.written_bytes for job in jobs))
        except Exception as error:  # noqa: BLE001  # every waiter gets it, translated
            _undo(connection)
            for job in jobs:
                job.error = job.error or explain(error, self._place.path)
        finally:
            self._written.extend(jobs)

    def _transact(self, connection: sqlite3.Connection, jobs: Iterable[PendingWrite[object]]) -> None:
        waiting, together = list(jobs), True
        while waiting:
            connection.execute("BEGIN IMMEDIATE")
            works = _combine_appends(waiting) if together else ((job, job.work) for job in waiting)
            spoiler = _find_spoiler(connection, works)
            if spoiler is None:
                connection.execute("COMMIT")
                return
            _undo(connection)
            if not together:
                waiting.remove(spoiler)
                spoiler.error = explain(spoiler.error, self._place.path) if spoiler.error else None
            together = False  # written one by one, they show which one is refused and why
            for job in waiting:
                job.error = None


def _combine_appends(
    jobs: Iterable[PendingWrite[object]],
) -> Iterator[tuple[PendingWrite[object], Callable[[sqlite3.Connection], object]]]:
    """Yield each queued write, in order, with the function that executes the write.

    Consecutive appends get one common function, which is yielded with the first of them, because one SQL statement for
    several appends is faster than a statement for each.
    """
    row: list[PendingWrite[object]] = []
    released: set[int] = set()  # by appends of that row: `append` refuses a later one of these runs
    for job in jobs:
        work = job.work
        if isinstance(work, Addition) and work.rows and work.key not in released:
            row.append(job)
            if work.status != "running":
                released.add(work.key)
            continue
        if row:
            yield row[0], _work_of_all(row)
            row, released = [], set()
        yield job, work
    if row:
        yield row[0], _work_of_all(row)


def _work_of_all(row: Iterable[PendingWrite[object]]) -> Callable[[sqlite3.Connection], None]:
    return partial(append_all, additions=[cast("Addition", job.work) for job in row])


def _find_spoiler(
    connection: sqlite3.Connection, works: Iterable[tuple[PendingWrite[object], Callable[[sqlite3.Connection], object]]]
) -> PendingWrite[object] | None:
    """Execute queued writes in a transaction, and return the first write that fails because of its own values.

    Return None if there is no such write. Otherwise the caller must roll the transaction back and repeat it without
    this write. If the store refuses a write, for example because its run does not exist, the error is noted at the
    write and the next write is executed.
    """
    for job, work in works:
        try:
            job.result = work(connection)
        except Exception as error:  # raise errors of the medium; keep the job's own error with the job
            end_statements(error)
            if is_of_the_medium(error):
                raise
            job.error = error
            if not isinstance(error, GraphEngineError):
                return job
    return None


def _undo(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        with suppress(sqlite3.Error):  # the transaction is over either way, and its first error is the one to report
            connection.execute("ROLLBACK")
