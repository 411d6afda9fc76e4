"""Alarms: one asyncio task waits for the earliest time at which a sleeping run is due, however many runs sleep."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphengine.runner.clock import Clock


class Alarms:
    """The alarms of one Runner.

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
