"""Group commit: all queued writes are sent to the server together and committed in one transaction.

While one transaction is being committed, the next writes wait in a queue. Up to `_MOST` of them are taken at once, and
appends to different runs become one statement. If a transaction is a single statement, the event loop sends it
(`direct.py`). Otherwise, and if that failed, the writing thread sends all its statements as one pipeline. The first of
them locks the rows of all runs in the order of their ids, so that two processes never wait for each other in a circle.

If the database refuses a write, for example because of an old fence, only that write fails. If the server fails, all
writes of the transaction fail with that error. Any other error concerns the values of one write; then each write is
repeated by itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg

from graphengine.databases.postgres.direct import Direct
from graphengine.databases.postgres.faults import explain, is_of_the_medium
from graphengine.databases.postgres.queries import SQL
from graphengine.databases.postgres.writes import (
    Addition,
    Command,
    is_repeated,
    many_runs,
    many_steps,
    one_step,
    refusal,
    were_written,
)
from graphengine.databases.sql import Promise
from graphengine.errors import GraphEngineError, StoreError
from graphengine.kernel.inside import is_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphengine.databases.addresses import Address
    from graphengine.databases.postgres.sessions import Connection, Sessions

T = TypeVar("T")

_MOST: Final = 500
"""The most writes in one transaction. The server executes them while the event loop continues other runs."""


class PendingWrite(Promise[T], kw_only=True, eq=False):
    write: Command[T] | Addition
    is_done: bool = False
    leads: bool = False  # the next write must be in the same transaction

    def finish(self, answer: Sequence[Any]) -> None:
        """Set the result of the write from the row with which the database answered.

        If the database refused the write, set the error that says why.
        """
        if isinstance(self.write, Command):
            try:
                self.result = self.write.read(answer)
            except GraphEngineError as error:
                self.error = error


class GroupCommit:
    """The queue of one process for writes to a PostgreSQL database.

    Writes that wait at the same time share one transaction.

    Writes to the same run keep the order in which they were submitted.
    """

    def __init__(self, sessions: Sessions, address: Address) -> None:
        self._sessions = sessions
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._direct = Direct(self._loop)
        self._queue: list[PendingWrite[Any]] = []
        self._sent: list[PendingWrite[Any]] = []  # the writes that were sent and have no answer yet
        self._is_doubtful = False  # whether they may have been executed although the answer was lost
        self._woken: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def submit(self, write: Command[T]) -> asyncio.Future[T]:
        """Queue a write, and return a future that is done when the transaction is durable or has failed.

        Cancelling the future does not cancel the write.
        """
        return self._queue_write(write)

    def add(self, addition: Addition, posts: Sequence[Command[bool]] = ()) -> asyncio.Future[None]:
        """Queue steps to append to a run, and messages to post to other runs in the same transaction.

        The returned future is done when the transaction is durable or has failed.
        """
        if not posts:
            return self._queue_write(addition)
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.append(PendingWrite(future, write=addition, leads=True))
        for post in posts[:-1]:
            self._queue.append(PendingWrite(_ignore_outcome(self._loop.create_future()), write=post, leads=True))
        _ignore_outcome(self._queue_write(posts[-1]))
        return future

    def _queue_write(self, write: Command[T] | Addition) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.append(PendingWrite(future, write=write))
        if self._task is None or self._task.done():
            # in a new context: the context of the calling node would otherwise live as long as the task
            self._task = self._loop.create_task(self._drain(), context=Context())
        elif len(self._queue) >= _MOST and not self._sent:
            self._send_next()  # the server works while the event loop continues the other runs
        return future

    async def drain(self) -> None:
        """Wait until all queued writes are durable or have failed."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
        self._direct.leave()

    def abandon(self) -> None:
        """Stop watching the connection, because another thread is about to close it. Call this from that thread."""
        with suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(self._direct.leave)

    async def _drain(self) -> None:
        """Write the queued writes, group by group, until the queue is empty. Runs as a task of its own.

        Cancelling the task does not end it, because at the end of an event loop all tasks are cancelled, but queued
        writes must not be lost.
        """
        while self._queue or self._sent:
            if not self._sent:
                self._send_next()
            if self._direct.is_busy:
                self._woken = self._loop.create_future()
                with suppress(asyncio.CancelledError):
                    await self._woken
            elif self._sent:
                self._settle(await self._write_on_thread(self._sent))

    def _send_next(self) -> None:
        """Take the next writes from the queue.

        If one statement can write all of them, the event loop sends the statement now; otherwise a thread writes them
        later.
        """
        most = _MOST
        while most < len(self._queue) and self._queue[most - 1].leads:
            most += 1
        self._sent, self._queue = self._queue[:most], self._queue[most:]
        self._is_doubtful = False
        try:
            groups = list(grouped(self._sent))
            if len(groups) == 1:
                self._direct.send(*self._statement_of(groups[0]), self._accept_rows)
        except (ValueError, TypeError, OverflowError, psycopg.DataError):
            return  # a value cannot be sent: the writing thread finds out which write has it

    def _accept_rows(self, rows: Sequence[Sequence[Any]] | None) -> None:
        """Set the results of the writes that were sent from the event loop, and send the next queued writes.

        `rows` is the server's answer, or None if the statement failed. If it failed, or if the server refused a write,
        a thread repeats the writes.
        """
        try:
            is_written = rows is not None and self._finish(self._sent, rows)
        except Exception:  # noqa: BLE001 - the writing thread meets it too, and reports it
            rows, is_written = None, False
        if is_written:
            self._settle(None)
            if self._queue:
                self._send_next()
        else:
            self._is_doubtful = rows is None
        if not self._direct.is_busy and self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _settle(self, error: Exception | None) -> None:
        jobs, self._sent = self._sent, []
        for job in jobs:
            if error is not None and not job.is_done:
                job.error = explain(error, self._address) if isinstance(error, StoreError) else error
            job.settle()

    async def _write_on_thread(self, jobs: Sequence[PendingWrite[Any]]) -> Exception | None:
        """Write a list of writes on the writing thread, and wait for the end.

        Return the error with which all writes fail that are not done; None if all are done.
        """
        self._direct.leave()
        try:
            writing = self._sessions.begin(partial(self._write, jobs, is_doubtful=self._is_doubtful))
            while not writing.done():
                try:
                    await asyncio.wait([writing])
                except asyncio.CancelledError:
                    continue
            writing.result()
        except Exception as error:  # noqa: BLE001 - whatever it was, the waiters must get it
            return error
        return None

    def _write(
        self, jobs: Sequence[PendingWrite[Any]], connection: Connection, *, again: bool, is_doubtful: bool = False
    ) -> None:
        """Execute a list of writes in one transaction. Runs on the writing thread.

        If the transaction fails because of the values of a write, execute each write in a transaction of its own, so
        that only the faulty one fails.
        """
        self._direct.use(connection)
        again = again or is_doubtful
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

    def _transact(self, jobs: Sequence[PendingWrite[Any]], connection: Connection, *, again: bool) -> None:
        groups = list(grouped(jobs))
        statements = [self._statement_of(group, again=again) for group in groups]
        if len(groups) == 1:
            answers = [connection.execute(*statements[0])]
        else:
            run_ids = {run_id for job in jobs for run_id in job.write.run_ids if is_name(run_id)}
            with connection.pipeline():
                connection.execute("BEGIN")
                connection.execute(SQL["lock"], (sorted(run_ids),))
                answers = [connection.execute(*statement) for statement in statements]
                connection.execute("COMMIT")
        for group, answer in zip(groups, answers, strict=True):
            rows = answer.fetchall()
            if not self._finish(group, rows, again=again):
                # Nothing was written. This statement returns the reason.
                rows = connection.execute(*many_steps(_additions(group))).fetchall()
                self._finish_many(group, rows)
            if again:
                _accept_repeated(group, rows, connection)
            for job in group:
                job.is_done = True

    def _statement_of(self, group: Sequence[PendingWrite[Any]], *, again: bool = False) -> tuple[bytes, Sequence[Any]]:
        write = group[0].write
        if isinstance(write, Command):
            new = [job.write.row for job in group if isinstance(job.write, Command) and job.write.row is not None]
            return many_runs(new) if len(group) > 1 else (write.statement, write.values)
        if _is_one_step(group, again=again):
            return one_step(write)
        return many_steps(_additions(group))

    def _finish(
        self, group: Sequence[PendingWrite[Any]], rows: Sequence[Sequence[Any]], *, again: bool = False
    ) -> bool:
        """Set the results of the writes that were sent as one statement, from the rows that the server returned.

        Return False if the statement appended a single step and was refused. Its answer does not contain the reason,
        which a slower statement must then find out.
        """
        write = group[0].write
        if isinstance(write, Command) and len(group) == 1:
            group[0].finish(rows[0])
        elif isinstance(write, Command):
            answers = {run_id: answer for run_id, *answer in rows}
            for job in group:
                job.finish(answers[job.write.run_ids[0]])
        elif not _is_one_step(group, again=again):
            self._finish_many(group, rows)
        elif not rows or not rows[0][0]:
            return False
        return True

    def _finish_many(self, group: Sequence[PendingWrite[Any]], rows: Sequence[Sequence[Any]]) -> None:
        refused = {row[0]: row for row in rows}
        for job in group:
            if isinstance(job.write, Addition) and job.write.key in refused:
                job.error = refusal(job.write, refused[job.write.key])


def _ignore_outcome(posted: asyncio.Future[bool]) -> asyncio.Future[bool]:
    """Ignore the outcome of a posted message: the run that should receive it may have been removed."""
    posted.add_done_callback(lambda _: posted.cancelled() or posted.exception())
    return posted


def _is_one_step(group: Sequence[PendingWrite[Any]], *, again: bool) -> bool:
    """Return whether a group of writes can be sent as `one_step`, the fast statement for a single step.

    The fast statement must not be used to repeat an append whose answer was lost (`again`). Otherwise this could
    happen:

    1. The first attempt waits in the server for the lock of the run's row. The connection breaks, which the server does
       not notice yet.
    2. The append is repeated with the statement `append_step`. It reads the last step of the log, and waits for the
       lock too.
    3. The first attempt gets the lock and writes the step.
    4. The repeated statement gets the lock. It still compares with the last step that it read at 2, and fails.

    The slower statement `append` reads the last step only after it has the lock, and then answers that the step is
    recorded.
    """
    write = group[0].write
    return not again and len(group) == 1 and isinstance(write, Addition) and write.is_plain


def _additions(group: Sequence[PendingWrite[Any]]) -> Sequence[Addition]:
    return [job.write for job in group if isinstance(job.write, Addition)]


def _accept_repeated(group: Sequence[PendingWrite[Any]], rows: Sequence[Sequence[Any]], connection: Connection) -> None:
    """Accept writes that were refused only because an earlier attempt, whose answer was lost, has already written them.

    For example, a step is refused because the log already contains the step. Such a write gets a result instead of its
    error.
    """
    for job in group:
        write = job.write
        if job.error is None:
            continue
        if isinstance(write, Addition):
            answer = next(row for row in rows if row[0] == write.key)
            count = connection.execute(*were_written(write)).fetchone() if write.rows else None
            if count == (len(write.rows),) if write.rows else is_repeated(write, answer):
                job.error = None
        elif write.confirm is not None and write.confirmed is not None:
            found = connection.execute(SQL["was_created"], write.confirm).fetchone()
            if found is not None:
                job.result, job.error = write.confirmed(found[0]), None


def grouped(jobs: Sequence[PendingWrite[Any]]) -> Iterator[list[PendingWrite[Any]]]:
    """Split queued writes into groups, each of which can be sent as one SQL statement, and yield the groups.

    Appends to different runs form a group, and new runs form a group. Every other write is a group of its own. Writes
    to the same run keep their order.
    """
    appends: list[PendingWrite[Any]] = []
    creations: list[PendingWrite[Any]] = []
    calls: deque[PendingWrite[Any]] = deque()
    after: set[str] = set()  # runs whose next append must come after the writes collected so far
    for job in jobs:
        write = job.write
        if isinstance(write, Command):
            if write.row is not None and after.isdisjoint(write.run_ids):
                creations.append(job)
            else:
                calls.append(job)
            after.update(write.run_ids)
            continue
        if write.run_id in after:
            yield from _gather_alike(appends, creations, calls)
            appends, creations, after = [], [], set()
            calls.clear()
        appends.append(job)
        after.add(write.run_id)
    yield from _gather_alike(appends, creations, calls)


def _gather_alike(
    appends: list[PendingWrite[Any]], creations: list[PendingWrite[Any]], calls: Iterable[PendingWrite[Any]]
) -> Iterator[list[PendingWrite[Any]]]:
    if appends:
        yield appends
    # In order of their ids: two processes that create the same runs never wait for each other in a circle.
    if creations:
        yield sorted(creations, key=lambda job: job.write.run_ids[0])
    yield from ([call] for call in calls)
