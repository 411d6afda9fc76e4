"""Clocks of the runner (the system's clock, or a clock that a test sets), and the alarms of runs that sleep."""

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
"""The longest sleep before the clock is read again.

While something sleeps, the clock may be set or the machine may be suspended. The timers of the event loop notice
neither.
"""


async def first_of(*work: Awaitable[object]) -> Collection[asyncio.Future[object]]:
    """Wait until the first of several awaitables has ended, and cancel the others.

    The others are also cancelled if the calling task is cancelled. All have ended when this function returns.

    Returns:
        The futures of those awaitables that ended by themselves.
    """
    futures = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in futures:
            each.cancel()
        await asyncio.gather(*futures, return_exceptions=True)
    return done


class Clock(Protocol):
    """A clock of a Runner: tells the current time, and waits until a given time. Tests can replace it."""

    def now(self) -> float: ...

    async def sleep_until(self, when: float) -> None:
        """Wait until the given time, in epoch seconds."""
        ...


class SystemClock:
    """The clock of this machine, which somebody can set, so that its time can jump while runs are driven.

    Args:
        now: A function that returns the time, in epoch seconds.
    """

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self.now = now or time.time

    async def sleep_until(self, when: float) -> None:
        await _until(self.now, when)


class SteadyClock:
    """A clock that nobody can set, for the time that passes while this process drives a run.

    Args:
        start: The time, in epoch seconds, at which this process begins to drive the run and the clock begins to count.
    """

    def __init__(self, start: float) -> None:
        self._offset = start - _passed()

    def now(self) -> float:
        return self._offset + _passed()

    async def sleep_until(self, when: float) -> None:
        await _until(self.now, when)


async def _until(now: Callable[[], float], when: float) -> None:
    while (left := when - now()) > 0:  # noqa: ASYNC110 - no event reports that a clock was set
        await asyncio.sleep(min(left, _LOOK_SECONDS))


def _choose_steady_clock() -> Callable[[], float]:
    """Return a function that reads a clock which also counts while the machine is suspended, if there is such a clock.

    On Linux it is CLOCK_BOOTTIME, and on macOS CLOCK_MONOTONIC. Windows has neither. In a browser (Pyodide) both names
    exist, but reading CLOCK_BOOTTIME fails.
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
    """Wakes sleeping runs at their times. However many runs sleep, a single asyncio task waits for the earliest time.

    Args:
        clock: The clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._set: list[tuple[float, int, asyncio.Future[None]]] = []  # a heap; some of the alarms may be done already
        self._numbers = itertools.count()
        self._dropped = 0  # the number of dropped alarms since the heap was last cleared of alarms that are done
        self._waiter: asyncio.Task[None] | None = None
        self._awaited = 0.0  # the time for which the task waits

    def set(self, alarm: asyncio.Future[None], due: float) -> None:
        """Let an alarm go off at a time. An alarm is a future, which gets a result then unless it is already done."""
        heapq.heappush(self._set, (due, next(self._numbers), alarm))
        self._await_first()

    def drop(self, alarm: asyncio.Future[None]) -> None:
        """Forget the alarm of a sleeping run, because the run no longer waits."""
        alarm.cancel()
        self._dropped += 1
        if self._dropped > len(self._set) // 2:
            self._dropped = 0
            self._set = [each for each in self._set if not each[2].done()]
            heapq.heapify(self._set)
            self._await_first()

    def close(self) -> asyncio.Task[None] | None:
        """Cancel all alarms, because the Runner closes.

        Returns:
            The asyncio task that waited for the alarms and is now cancelled; the caller should wait for its end. None
            if there is no such task.
        """
        self._set.clear()
        waiter = self._waiter
        if waiter is not None:
            waiter.cancel()
        return waiter

    def _await_first(self) -> None:
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
        with suppress(Exception):  # If the clock fails, the run is woken, and looks at the time again.
            await self._clock.sleep_until(due)
        while self._set and self._set[0][0] <= due:
            alarm = heapq.heappop(self._set)[2]
            if not alarm.done():
                alarm.set_result(None)
        self._waiter = None
        self._await_first()
