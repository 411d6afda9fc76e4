"""Clocks of the runner: the system's, or one that a test sets; and the alarms of runs that sleep."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection


_LOOK_SECONDS: Final = 30.0
"""The longest sleep before the clock is read again: it may be set, or the machine suspended, while something sleeps,
and the event loop's timers notice neither."""


async def first_of(*work: Awaitable[object]) -> Collection[asyncio.Future[object]]:
    """Return what has ended, once one of these has. The others are cancelled then, or if this is, and have ended."""
    futures = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in futures:
            each.cancel()
        await asyncio.gather(*futures, return_exceptions=True)
    return done


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


class SteadyClock:
    """The clock by which a driven run counts time: one that cannot be set.

    Args:
        start: The time, epoch seconds, when a process begins to drive the run.
    """

    def __init__(self, start: float) -> None:
        self._offset = start - _passed()

    def now(self) -> float:
        """Return the time, epoch seconds, provided that `start` was right."""
        return self._offset + _passed()

    async def sleep_until(self, when: float) -> None:
        """Return at that time."""
        await _until(self.now, when)


async def _until(now: Callable[[], float], when: float) -> None:
    while (left := when - now()) > 0:  # noqa: ASYNC110 - no event reports that a clock was set
        await asyncio.sleep(min(left, _LOOK_SECONDS))


def _choose_steady_clock() -> Callable[[], float]:
    """Return the clock that also counts while the machine is suspended, if there is one that can be read.

    On Linux that is CLOCK_BOOTTIME, on macOS CLOCK_MONOTONIC; Windows has neither. In a browser (Pyodide) both have
    their names, and reading CLOCK_BOOTTIME fails.
    """
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        if hasattr(time, name):
            read = partial(time.clock_gettime, getattr(time, name))
            with suppress(OSError):
                read()
                return read
    return time.monotonic


_passed: Final = _choose_steady_clock()


class Alarms:
    """The alarms of one Runner: one asyncio task waits for the earliest, however many runs sleep.

    Args:
        clock: The clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._set: list[tuple[float, int, asyncio.Future[None]]] = []  # a heap; some may be done already
        self._numbers = itertools.count()
        self._dropped = 0  # since the heap was last cleared of those that are done
        self._waiter: asyncio.Task[None] | None = None
        self._awaited = 0.0  # the time that the task waits for

    def set(self, alarm: asyncio.Future[None], due: float) -> None:
        """Set off an alarm at a time, unless it is done by then."""
        heapq.heappush(self._set, (due, next(self._numbers), alarm))
        self._await_first()

    def drop(self, alarm: asyncio.Future[None]) -> None:
        """Forget an alarm that nothing waits for any more."""
        alarm.cancel()
        self._dropped += 1
        if self._dropped > len(self._set) // 2:
            self._dropped = 0
            self._set = [each for each in self._set if not each[2].done()]
            heapq.heapify(self._set)
            self._await_first()

    def close(self) -> asyncio.Task[None] | None:
        """Set off no more alarms, and return the asyncio task to wait for, if any."""
        self._set.clear()
        waiter = self._waiter
        if waiter is not None:
            waiter.cancel()
        return waiter

    def _await_first(self) -> None:
        """Let the task wait for the first alarm."""
        first = self._set[0][0] if self._set else None
        if self._waiter is not None:
            if first == self._awaited:
                return
            self._waiter.cancel()
            self._waiter = None
        if first is not None:
            self._awaited = first
            self._waiter = asyncio.create_task(self._wait(first), name="graphengine alarms")

    async def _wait(self, due: float) -> None:
        with suppress(Exception):  # a clock that fails wakes the run, which looks at its time again
            await self._clock.sleep_until(due)
        while self._set and self._set[0][0] <= due:
            alarm = heapq.heappop(self._set)[2]
            if not alarm.done():
                alarm.set_result(None)
        self._waiter = None
        self._await_first()
