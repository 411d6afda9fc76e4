"""Turns on the event loop: runs whose nodes never suspend let other work proceed every few milliseconds."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import Final

_TURN_SECONDS: Final = 0.005
"""How long runs may occupy the event loop: long enough that yielding costs nothing, and short enough that other runs
and timers are not delayed noticeably."""


@dataclass(slots=True)
class Turns:
    """What all runs of a Runner share.

    Attributes:
        cancelled: Asyncio tasks of nodes that were cancelled and have not ended yet.
    """

    cancelled: set[asyncio.Task[None]] = field(default_factory=set)
    _began: float = field(default_factory=time.monotonic)

    def over(self) -> bool:
        """Return whether the runs have occupied the event loop for long enough."""
        return time.monotonic() - self._began > _TURN_SECONDS

    def begin(self) -> None:
        """Begin a turn, since the event loop has just had one."""
        self._began = time.monotonic()

    async def yield_loop(self) -> None:
        """Let other work on the event loop proceed."""
        self.begin()
        await asyncio.sleep(0)


class _Here(threading.local):
    """The turns of the runs on a thread's event loop that have no Runner in common: those of `Graph.run`."""

    def __init__(self) -> None:
        self.turns = Turns()


HERE: Final = _Here()
