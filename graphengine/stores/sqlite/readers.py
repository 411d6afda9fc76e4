"""The connections that read, so that reading never waits behind writing.

Beside a store that writes, one more connection is opened when it is first needed. A store that only reads
must not leave files behind and must work where none can be made. SQLite's write-ahead log needs two files
beside the database while it is open, so the way to open depends on what is there: if there is a log, somebody
writes or died writing, and the files are there; if there is none, the file is at rest and is opened as
immutable. SQLite then trusts us that it does not change, so we look at the file before and after each read,
and read again if it changed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from graphengine.errors import StoreCorrupt, StoreError
from graphengine.stores.sqlite.faults import explain
from graphengine.stores.sqlite.files import look_at, set_up_reader, uri_to_read
from graphengine.stores.sqlite.reads import in_snapshot
from graphengine.stores.sqlite.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphengine.stores.sqlite.files import Look

T = TypeVar("T")


_NONSENSE: Final = (TypeError, ValueError, IndexError, OverflowError)
"""What comes of rows that are not of the shape that their table has, as a damaged page may give them."""


class Reader:
    """Reads of one file. `at_rest` allows opening it as immutable, for a store that only reads."""

    def __init__(self, path: Path, *, busy_timeout_seconds: float, at_rest: bool) -> None:
        self._path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        self._at_rest = at_rest
        self._worker: Worker | None = None
        self._opened_at: Look | None = None
        self._connecting = asyncio.Lock()

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Call `read` in a read transaction on the reading thread.

        Raises:
            GraphEngineError: What `read` raises.
            StoreError: The medium failed.
        """
        while True:
            look = self._look()
            try:
                async with self._connecting:
                    worker = await self._connected(look)
                result = await worker.run(partial(in_snapshot, read=read))
            except (sqlite3.Error, StoreCorrupt, *_NONSENSE) as error:
                if self._changed_since(look):
                    continue
                if isinstance(error, StoreError):
                    raise
                raise explain(error, self._path) from error
            if not self._changed_since(look):
                return result

    def _look(self) -> Look | None:
        return look_at(self._path) if self._at_rest else None

    def _changed_since(self, look: Look | None) -> bool:
        return look is not None and not look.has_log and self._look() != look

    async def _connected(self, look: Look | None) -> Worker:
        is_right = self._opened_at is None or self._opened_at.has_log or self._opened_at == look
        if self._worker is not None and is_right:
            return self._worker
        await self.close()
        uri = f"{self._path.as_uri()}?mode=ro" if look is None else uri_to_read(self._path, look)
        worker = await Worker.connect(uri, busy_timeout_seconds=self._busy_timeout_seconds)
        try:
            await worker.run(partial(set_up_reader, path=self._path, is_alone=self._at_rest))
        except BaseException:
            await worker.close()
            raise
        self._worker, self._opened_at = worker, look
        return worker

    async def close(self) -> None:
        """Free the connection."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()

    def abandon(self) -> None:
        """As `Worker.abandon`."""
        if self._worker is not None:
            self._worker.abandon()
