"""Time, as the runner is told of it: the system's, or one that a test turns by hand."""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

_LOOK_SECONDS: Final = 30.0
"""The machine's clock may be set, or the machine be suspended, while something sleeps: so often it is looked at."""


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> float:
        """Epoch seconds."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Return at that time, epoch seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    now = staticmethod(time.time)

    async def sleep_until(self, when: float) -> None:
        """Return at that time, epoch seconds."""
        while (left := when - time.time()) > 0:  # noqa: ASYNC110 - no event tells of a clock that is set
            await asyncio.sleep(min(left, _LOOK_SECONDS))
