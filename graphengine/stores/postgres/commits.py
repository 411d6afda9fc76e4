"""Group commit: all queued writes are sent in one round trip and committed in one transaction.

While one transaction is on its way, the next writes gather in a queue; the writing thread takes all of them at once.
Appends to different runs become one call, and all calls of a transaction are sent as one pipeline, after a statement
that locks the rows of all its runs in order of their ids, so that two processes never wait for each other in a circle.

A refusal is an answer of its call and concerns only that write. If the server fails, every write of the transaction
fails with that cause. Any other error concerns the values of one write: then each is written by itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import psycopg

from graphengine.errors import GraphEngineError, StoreError
from graphengine.stores.postgres.arrays import Strings
from graphengine.stores.postgres.faults import explain, is_of_the_medium
from graphengine.stores.postgres.queries import SQL
from graphengine.stores.postgres.values import fits
from graphengine.stores.postgres.writes import Addition, Call, is_repeated, many_steps, one_step, refusal, were_written
from graphengine.stores.promises import Promise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphengine.stores.addresses import Address
    from graphengine.stores.postgres.sessions import Connection, Sessions

    Cursor: TypeAlias = psycopg.Cursor[tuple[Any, ...]]

T = TypeVar("T")


class Job(Promise[T]):
    """One write, and the future that gets its result."""

    __slots__ = ("is_done", "write")

    def __init__(self, write: Call[T] | Addition, future: asyncio.Future[T]) -> None:
        super().__init__(future)
        self.write = write
        self.is_done = False

    def finish(self, answer: Sequence[Any]) -> None:
        """Keep the answer to a call."""
        if isinstance(self.write, Call):
            try:
                self.result = self.write.read(answer)
            except GraphEngineError as error:
                self.error = error


class GroupCommit:
    """The queue of writes of one owner. Those of one run are written in the order in which they were submitted."""

    def __init__(self, sessions: Sessions, address: Address, owner: str) -> None:
        self._sessions = sessions
        self._address = address
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._queue: list[Job[Any]] = []
        self._task: asyncio.Task[None] | None = None

    def submit(self, write: Call[T]) -> asyncio.Future[T]:
        """Queue a call. Its future is done when its transaction is durable or has failed.

        Cancelling the future does not cancel the write.
        """
        return self._queued(write)

    def add(self, addition: Addition) -> asyncio.Future[None]:
        """Queue an append, like `submit`."""
        return self._queued(addition)

    def _queued(self, write: Call[T] | Addition) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.append(Job(write, future))
        if self._task is None or self._task.done():
            # in a new context: the context of the calling node would otherwise live as long as the task
            self._task = self._loop.create_task(self._drain(), context=Context())
        return future

    async def drain(self) -> None:
        """Wait until everything that was queued is durable or has failed."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def _drain(self) -> None:
        """Write until the queue is empty; continue when cancelled, as every task is when the loop ends."""
        while self._queue:
            jobs, self._queue = self._queue, []
            error = await self._written(jobs)
            for job in jobs:
                if error is not None and not job.is_done:
                    job.error = explain(error, self._address) if isinstance(error, StoreError) else error
                job.settle()

    async def _written(self, jobs: Sequence[Job[Any]]) -> Exception | None:
        """Write jobs; return why those that are not done failed."""
        try:
            writing = self._sessions.begin(partial(self._write, jobs))
            while not writing.done():
                try:
                    await asyncio.wait([writing])
                except asyncio.CancelledError:
                    continue
            writing.result()
        except Exception as error:  # noqa: BLE001 - whatever it was, the waiters must get it
            return error
        return None

    def _write(self, jobs: Sequence[Job[Any]], connection: Connection, *, again: bool) -> None:
        """Write jobs in one transaction; on the writing thread."""
        for job in jobs:
            job.result = job.error = None
            job.is_done = False
        try:
            self._transact(jobs, connection, again=again)
        except (psycopg.Error, ValueError, TypeError, OverflowError) as error:
            if is_of_the_medium(error):
                raise
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.rollback()
            if len(jobs) == 1:
                jobs[0].error = explain(error, self._address)
                jobs[0].is_done = True
                return
            for job in jobs:
                self._write([job], connection, again=again)

    def _transact(self, jobs: Sequence[Job[Any]], connection: Connection, *, again: bool) -> None:
        groups = list(grouped(jobs))
        if len(groups) == 1:
            answers = [self._send(groups[0], connection)]
        else:
            run_ids = {run_id for job in jobs for run_id in _locked(job.write) if fits(run_id)}
            with connection.pipeline():
                connection.execute("BEGIN")
                connection.execute(SQL["lock"], (Strings(sorted(run_ids)),))
                answers = [self._send(group, connection) for group in groups]
                connection.execute("COMMIT")
        for group, answer in zip(groups, answers, strict=True):
            self._finish(group, answer, connection, again=again)
            for job in group:
                job.is_done = True

    def _send(self, group: Sequence[Job[Any]], connection: Connection) -> Cursor:
        write = group[0].write
        if isinstance(write, Call):
            return connection.execute(write.statement, write.values)
        if len(group) == 1 and write.is_plain:
            return connection.execute(*one_step(write, self._owner))
        return connection.execute(
            *many_steps([job.write for job in group if isinstance(job.write, Addition)], self._owner)
        )

    def _finish(self, group: Sequence[Job[Any]], cursor: Cursor, connection: Connection, *, again: bool) -> None:
        """Give each job of a group its result."""
        rows = cursor.fetchall()
        write = group[0].write
        if isinstance(write, Call):
            group[0].finish(rows[0])
            if again and write.confirm is not None and write.confirmed is not None and group[0].error is not None:
                found = connection.execute(SQL["was_created"], write.confirm).fetchone()
                if found is not None:
                    group[0].result, group[0].error = write.confirmed(found[0]), None
            return
        if len(group) == 1 and write.is_plain:
            if rows[0][0]:
                return
            # Nothing was written: this returns why.
            rows = connection.execute(*many_steps([write], self._owner)).fetchall()
        refused = {row[0]: row for row in rows}
        for job in group:
            if isinstance(job.write, Addition) and job.write.key in refused:
                answer = refused[job.write.key]
                if not (again and _was_written(job.write, answer, connection)):
                    job.error = refusal(job.write, answer, self._owner)


def _was_written(addition: Addition, answer: Sequence[Any], connection: Connection) -> bool:
    """Return whether a refused addition was written by the call whose answer was lost."""
    if not addition.rows:
        return is_repeated(addition, answer)
    row = connection.execute(*were_written(addition)).fetchone()
    return row is not None and row[0] == len(addition.rows)


def grouped(jobs: Sequence[Job[Any]]) -> Iterator[list[Job[Any]]]:
    """Yield what is sent as one statement each: appends to different runs together, any other write by itself.

    The order of the writes of one run is kept.
    """
    appends: list[Job[Any]] = []
    calls: deque[Job[Any]] = deque()
    after: set[str] = set()  # runs whose next append must come after what is in `appends` and `calls`
    for job in jobs:
        write = job.write
        if isinstance(write, Call):
            calls.append(job)
            after.update(write.run_ids)
            continue
        if write.run_id in after:
            if appends:
                yield appends
            yield from ([call] for call in calls)
            appends, after = [], set()
            calls.clear()
        appends.append(job)
        after.add(write.run_id)
    if appends:
        yield appends
    yield from ([call] for call in calls)


def _locked(write: Call[Any] | Addition) -> Sequence[str]:
    return write.run_ids if isinstance(write, Call) else [write.run_id]
