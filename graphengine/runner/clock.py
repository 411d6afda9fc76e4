"""Clocks of the runner: the system's, or one that a test sets."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_SECONDS: Final = 30.0
"""The longest sleep before the clock is read again: it may be set, or the machine suspended, while something sleeps,
and the event loop's timers notice neither."""


class Clock(Protocol):
    """Returns the time, and waits until a time."""

    def now(self) -> float:
        """Return the time, epoch seconds."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Return at that time, epoch seconds."""
        ...


class SystemClock:
    """The machine's clock, which may be set at any time.

    Args:
        now: Returns the time, epoch seconds.
    """

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self.now = now or time.time

    async def sleep_until(self, when: float) -> None:
        """Return at that time, epoch seconds."""
        await _until(self.now, when)

    def steady(self, least: float) -> Clock:
        """Return a clock that cannot be set. It begins at this clock's time, or at `least` if that is later."""
        return _SteadyClock(max(self.now(), least))


class _SteadyClock:
    """A clock that counts passing time."""

    def __init__(self, start: float) -> None:
        self._offset = start - _passed()

    def now(self) -> float:
        """Return the time, epoch seconds, provided the machine's clock was right at the start."""
        return self._offset + _passed()

    async def sleep_until(self, when: float) -> None:
        """Return at that time."""
        await _until(self.now, when)


def steady(clock: Clock, last: float) -> Clock:
    """Return the clock by which a driven run counts time: one that cannot be set.

    The machine's clock is read when a process begins to drive a run; if it is before the `last` time in the run's log,
    `last` is used instead. A clock that the caller passed is used unchanged.
    """
    return clock.steady(last) if isinstance(clock, SystemClock) else clock


async def _until(now: Callable[[], float], when: float) -> None:
    while (left := when - now()) > 0:  # noqa: ASYNC110 - no event reports that a clock was set
        await asyncio.sleep(min(left, _LOOK_SECONDS))


_STEADY: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
"""The clock that also counts while the machine is suspended: on Linux CLOCK_BOOTTIME, on macOS CLOCK_MONOTONIC. Windows
has neither."""
_passed: Final = time.monotonic if _STEADY is None else partial(time.clock_gettime, _STEADY)
