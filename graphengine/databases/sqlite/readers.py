"""The connections that read, so that reads never wait for writes.

A store that writes opens one more connection for reading when it is first needed.

A store that only reads must not leave files behind, and must work where it cannot create files. SQLite's write-ahead
log needs two files next to the database while the database is open:

- If a log exists, a process has the database open or died while it was open, and both files exist.
- If no log exists, the file is opened as immutable. SQLite then relies on the file not changing. So the reader checks
  the file before and after each read, and repeats the read if the file changed.
- A copy with a log on a read-only volume is read without these files.

If the writing process closes the database first, SQLite leaves the log to the reader. The reader moves the log into the
file when it closes, if it may write there.
"""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from graphengine.databases.refusals import closed_error
from graphengine.databases.sqlite.faults import explain
from graphengine.databases.sqlite.files import file_state, has_changed, move_idle_log, set_up_reader, uri_to_read
from graphengine.databases.sqlite.reads import in_snapshot
from graphengine.databases.sqlite.worker import Worker
from graphengine.errors import StoreCorrupt, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphengine.databases.sqlite.files import FileState

T = TypeVar("T")


_NONSENSE: Final = (TypeError, ValueError, IndexError, OverflowError)
"""Exceptions caused by rows of a damaged page, which may not fit the columns of their table."""


class Reader:
    """Reads from one database file on a thread of its own.

    If `at_rest` is True, the store only reads. Then a file that no process has open is opened as immutable, which means
    that SQLite reads it without locks.

    Attributes:
        connections: How many connections were opened so far.
    """

    def __init__(self, path: Path, *, busy_timeout_seconds: float, at_rest: bool) -> None:
        self._path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        self._at_rest = at_rest
        self._worker: Worker | None = None
        self._opened_at: FileState | None = None
        self._connecting = asyncio.Lock()
        self._is_closed = False
        self.connections = 0

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function in a read transaction on the reading thread.

        Raises:
            GraphEngineError: The error that the function raised.
            RunnerClosed: The reader is closed.
            StoreError: The file cannot be read.
        """
        while True:
            state = file_state(self._path) if self._at_rest else None
            try:
                async with self._connecting:
                    worker = await self._ensure_connected(state)
                result = await worker.run(partial(in_snapshot, read=read))
            except (sqlite3.Error, StoreCorrupt, *_NONSENSE) as error:
                if self._has_changed_since(state):
                    continue
                if isinstance(error, StoreError):
                    raise
                raise explain(error, self._path) from error
            if not self._has_changed_since(state):
                return result

    def _has_changed_since(self, state: FileState | None) -> bool:
        return state is not None and has_changed(self._path, state)

    async def _ensure_connected(self, state: FileState | None) -> Worker:
        is_right = self._opened_at is None or self._opened_at.has_log or self._opened_at == state
        if self._worker is not None and is_right:
            return self._worker
        if self._is_closed:
            raise closed_error()
        await self._disconnect()
        uri = f"{self._path.as_uri()}?mode=ro" if state is None else uri_to_read(self._path, state)
        worker = await Worker.connect(uri, busy_timeout_seconds=self._busy_timeout_seconds, only_reads=True)
        try:
            await worker.run(partial(set_up_reader, path=self._path, uri=uri, is_alone=self._at_rest))
        except BaseException:
            await worker.close()
            raise
        self._worker, self._opened_at = worker, state
        self.connections += 1
        return worker

    async def close(self) -> None:
        """Close the connection, even if it is just being opened, and open no more."""
        self._is_closed = True
        async with self._connecting:
            await self._disconnect(self._leave if self._at_rest else None)

    def _leave(self, connection: sqlite3.Connection) -> None:
        """Close the connection. If no other process has the database open, leave only the database file."""
        connection.close()
        move_idle_log(self._path)

    async def _disconnect(self, last: Callable[[sqlite3.Connection], None] | None = None) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close(last)

    def abandon(self) -> None:
        """Close the connection without the event loop; see `Worker.abandon`."""
        if self._worker is not None:
            self._worker.abandon()
