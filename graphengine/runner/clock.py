"""Time, as the runner is told of it: the system's, or one that a test turns by hand."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

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
    """The machine's clock, which may be set at any time.

    Args:
        now: Tells the time, epoch seconds.
    """

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self.now = now or time.time

    async def sleep_until(self, when: float) -> None:
        """Return at that time, epoch seconds."""
        await _until(self.now, when)

    def steady(self, least: float) -> Clock:
        """A clock that nobody sets; it begins at the time of this one, or at the least time if that is later."""
        return _SteadyClock(max(self.now(), least))


class _SteadyClock:
    """Counts what passes."""

    def __init__(self, start: float) -> None:
        self._offset = start - _passed()

    def now(self) -> float:
        """Epoch seconds, if the machine's clock was right at the start."""
        return self._offset + _passed()

    async def sleep_until(self, when: float) -> None:
        """Return at that time."""
        await _until(self.now, when)


def steady(clock: Clock, last: float) -> Clock:
    """The clock by which a run that is driven counts what passes: one that nobody sets.

    The machine's clock is read when a process begins to drive a run, and is not believed where it is before the `last`
    time in the run's log. A clock of the caller's own is.
    """
    return clock.steady(last) if isinstance(clock, SystemClock) else clock


async def _until(now: Callable[[], float], when: float) -> None:
    while (left := when - now()) > 0:  # noqa: ASYNC110 - no event tells of a clock that is set
        await asyncio.sleep(min(left, _LOOK_SECONDS))


def _passed() -> float:
    """Seconds since some moment, those included in which the machine was suspended."""
    return time.clock_gettime(_STEADY) if _STEADY is not None else time.monotonic()


_STEADY: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
"""CLOCK_MONOTONIC stands still on Linux while the machine is suspended, and does not on macOS; Windows has neither."""
