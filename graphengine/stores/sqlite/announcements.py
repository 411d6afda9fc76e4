"""Announcements between the processes of one database: the time of the folder of owners.

A process that posts, releases or queues sets it, and one that listens reads it 40 times a second. That costs a system
call, where the database would have to be read in its own thread. Steps, by far most of the writes, announce nothing.
Owners that come and go change it too. An announcement can be missed, as on a file system without such times: it only
ends a wait for the next poll.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_LOOK_SECONDS: Final = 0.025
_COARSE_NS: Final = 20_000_000
"""File systems take the time from a clock that moves every few milliseconds."""


class Announcements:
    """The announcements of one database, as one owner hears them.

    Args:
        folder: The folder of the owners.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = 0
        self._seen = self._time()
        self._count = 0

    def announce(self) -> None:
        """Let other processes look."""
        with suppress(OSError):
            os.utime(self._folder)

    async def heard(self, after: int) -> int:
        """Return once there were more than `after` announcements; return how many."""
        while self._look() <= after:  # noqa: ASYNC110 - other processes announce
            await asyncio.sleep(_LOOK_SECONDS)
        return self._count

    def _look(self) -> int:
        now, found = time.time_ns(), self._time()
        if found != self._seen:
            # 1. A process announces. 2. It is seen here. 3. Another one announces at the same time, as the file system
            # counts. So a time that is new is forgotten, and the next look counts it once more.
            self._seen = found if abs(now - found) > _COARSE_NS else 0
            self._count += 1
        return self._count

    def _time(self) -> int:
        try:
            return self._folder.stat().st_mtime_ns
        except OSError:
            return self._seen


__all__ = ["Announcements"]
