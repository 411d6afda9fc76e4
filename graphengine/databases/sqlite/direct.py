"""Short reads and writes that the event loop makes itself, without a thread.

Reading a few rows takes less time than switching to a thread and back. So the event loop reads them on a connection of
its own that never waits. SQLite stops a read that takes too many steps or finds a value that is too long. The reading
thread then repeats that read, and also any read that fails; the thread can wait, and reports errors. Before each read,
other tasks of the event loop get a turn, so that a program that reads again and again does not block them.

With `synchronous = NORMAL` a commit only copies a few pages into the cache of the file system, which takes about 20 µs;
switching to a thread and back takes twice as long. So the event loop executes short writes on the same connection, if
no other write is queued. If another process has the lock or the write fails, it is rolled back and left to the writing
thread, which waits, repeats, and reports errors. Two kinds of commits are always left to the thread, because they wait
for the disk: all commits with `FULL`, and the first commit after a checkpoint, which restarts the log and syncs its
header. A single step that leaves its run `running` and changes nothing else is one statement, without BEGIN and COMMIT.

In one turn of the event loop, only one run is written in this way. Writes of other runs are queued, so that they share
a transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, cast

from graphengine.databases.long_texts import MET_BYTES
from graphengine.databases.sqlite.checkpoints import connect_too
from graphengine.databases.sqlite.reads import KEY_BITS, in_snapshot
from graphengine.databases.sqlite.writes import ADD_NEXT_STEP, Addition, next_step
from graphengine.kernel.reader import encode_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.databases.sql import Claimed
    from graphengine.databases.sqlite.checkpoints import Checkpoints
    from graphengine.databases.sqlite.files import OpenFiles
    from graphengine.kernel.store import Append

T = TypeVar("T")

MOST_BYTES: Final = 32 * 1024
"""The most bytes that the event loop writes itself. Larger writes would delay other runs."""

MOST_READ_BYTES: Final = 8 * 1024
"""The longest row that the event loop reads itself."""

MOST_STEPS: Final = 1000
"""About how many instructions of SQLite's virtual machine a read may take: enough for some 60 rows."""


class NotDone(Exception):
    """The event loop did not execute a read or write, or rolled it back. The thread must do it."""


def is_lone_step(batch: Append) -> bool:
    """Return whether a batch is a single step after which the run is still `running`, and changes nothing else."""
    return (
        len(batch.steps) == 1
        and batch.status == "running"
        and batch.summary is None
        and not batch.consume
        and not batch.posts
        and batch.code is None
        and batch.fingerprint is None
    )


class Direct:
    """A second connection to a SQLite database, with which the event loop itself executes short reads and writes.

    This is faster than passing a short write to the thread of the writing connection, because that would take longer
    than the write itself.

    Args:
        place: The files of the open database.
        checkpoints: The checkpoints of the same store.
    """

    def __init__(self, place: OpenFiles, checkpoints: Checkpoints) -> None:
        self._place = place
        self._checkpoints = checkpoints
        self._run_id: str | None = None  # the run that was written in this turn
        self._connection: sqlite3.Connection | None = connect_too(place.path, "NORMAL", busy_timeout_seconds=0)
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 2 * MOST_BYTES)  # this limits rows as well

    async def read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function that reads in a read transaction on the event loop, and return the result.

        Raises:
            NotDone: The read failed or took too long. The caller should repeat it on the reading thread.
        """
        await asyncio.sleep(0)
        connection = self._connection
        if connection is None:
            raise NotDone

        def bounded(connection: sqlite3.Connection) -> T:
            ends = iter((0, 0, 0, 1))
            connection.set_progress_handler(partial(next, ends, 1), MOST_STEPS // 4)
            most = connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_READ_BYTES)
            try:
                return read(connection)
            finally:
                connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, most)
                connection.set_progress_handler(None, 0)  # before the end of the transaction, which it could interrupt

        try:
            return in_snapshot(connection, bounded)
        except Exception as error:
            raise NotDone from error
        finally:
            _leave_transaction(connection)

    def write(self, run_id: str, work: Callable[[sqlite3.Connection], T], written_bytes: int) -> T:
        """Call a function that writes in a transaction on the event loop, commit, and return the result.

        Args:
            run_id: The run whose rows the function changes. It must not change rows of other runs.
            work: The function, which changes a few rows.
            written_bytes: About how many bytes the function writes.

        Raises:
            NotDone: Nothing was written. The caller should repeat the write on the writing thread.
        """
        connection, checkpoints = self._connection, self._checkpoints
        is_long = written_bytes > MOST_BYTES or checkpoints.are_due or checkpoints.restart
        if connection is None or is_long or self._run_id not in (None, run_id):
            raise NotDone
        changes, result = connection.total_changes, cast("T", None)
        try:
            self._place.check()
            connection.execute("BEGIN IMMEDIATE")
            if isinstance(work, Addition):
                work.write_alone(connection)
            else:
                result = work(connection)
            connection.execute("COMMIT")
        except Exception as error:  # the thread fails in the same way, and reports it
            raise NotDone from error
        finally:
            _leave_transaction(connection)
        checkpoints.count(connection.total_changes - changes, written_bytes)
        if self._run_id is None:
            self._note_turn(run_id)
        return result

    def append_step(self, batch: Append, driven: Claimed, owner: str) -> bool:
        """Append a single step to a run with one SQL statement on the event loop.

        Return whether the step is durable; if not, the writing thread should append it.

        The statement is a transaction of its own. It takes the write lock before it reads. So the same transaction that
        inserts the row checks that this owner still drives the run and that the step directly follows the log.

        Args:
            batch: A single step; see `is_lone_step`.
            driven: The run, which this store drives.
            owner: The id of this store's owner.
        """
        connection, checkpoints, run_id = self._connection, self._checkpoints, batch.run_id
        (step,) = batch.steps
        body = encode_step(step)
        if (
            connection is None
            or connection.in_transaction
            or not len(body) < MET_BYTES <= MOST_BYTES
            or driven.tail.is_due(len(body))
            or checkpoints.are_due
            or checkpoints.restart
            or self._run_id not in (None, run_id)
        ):
            return False
        try:
            self._place.check()
            row_id = driven.key << KEY_BITS | step.seq
            values = next_step(driven, run_id, owner, "running", step.at, row_id, body, body, None)
            connection.execute(ADD_NEXT_STEP, values)
        except Exception:  # noqa: BLE001 - the thread fails in the same way, and reports it
            return False
        driven.tail.grow(1, len(body))
        checkpoints.count(1, len(body))
        if self._run_id is None:
            self._note_turn(run_id)
        return True

    def _note_turn(self, run_id: str) -> None:
        self._run_id = run_id
        asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._run_id = None

    def close(self) -> None:
        """Close the connection. Any thread may call this."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _leave_transaction(connection: sqlite3.Connection) -> None:
    """Roll back an open transaction, which would keep the log from being moved and prevent the next transaction."""
    if connection.in_transaction:
        with suppress(sqlite3.Error):  # the transaction is over either way
            connection.execute("ROLLBACK")
