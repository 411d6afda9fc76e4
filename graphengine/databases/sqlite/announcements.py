"""Announcements between the processes that use one SQLite file, by the modification time of the folder of owners.

A process that posts a message, or releases or queues a run, sets this time. A process that waits for announcements
reads the time 40 times a second, which costs only one system call; reading the database would need a thread. Steps,
which are most of the writes, announce nothing. The time also changes when an owner begins or ends. An announcement can
be missed, for example on a file system without such times. That does no harm, because an announcement only makes the
next poll happen earlier.
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
    """Tells other processes on this host that something in their common database has changed, and hears it from them.

    Args:
        folder: The folder of the owners' lock files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = self._time()
        self._count = 0

    def announce(self) -> None:
        """Tell the other processes that something in the database has changed, so that they read it now."""
        # The file system's clock counts milliseconds, which would hide the second of two announcements in one.
        now = time.time_ns()
        with suppress(OSError):
            os.utime(self._folder, ns=(now, now))

    async def heard(self, after: int) -> int:
        """Wait for announcements of other processes, until more than `after` were received in all.

        Return how many were received.
        """
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
