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


class Announcements:
    """The announcements of one database, as one owner hears them.

    Args:
        folder: The folder of the owners.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = self._time()
        self._count = 0

    def announce(self) -> None:
        """Announce once more: waiting processes read the database."""
        # The file system's own clock counts in milliseconds: of two announcements within one, it would hide the second.
        now = time.time_ns()
        with suppress(OSError):
            os.utime(self._folder, ns=(now, now))

    async def heard(self, after: int) -> int:
        """Return once there were more than `after` announcements; return how many."""
        while True:
            found = self._time()
            self._count += found != self._seen
            self._seen = found
            if self._count > after:
                return self._count
            await asyncio.sleep(_LOOK_SECONDS)

    def _time(self) -> int:
        try:
            return self._folder.stat().st_mtime_ns
        except OSError:
            return 0
