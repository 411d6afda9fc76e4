"""Time, as the runner is told of it: the system's, or one that a test turns by hand."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


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
        await asyncio.sleep(max(0.0, when - time.time()))
