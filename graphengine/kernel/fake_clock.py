"""A clock for tests: a run that sleeps for a week is over in milliseconds.

    async with Runner(clock=FakeClock()) as runner:
        result = await runner.start(reminders).result()

Tests do not wait for time to pass. By default the clock jumps: once the event loop has nothing else to do, it jumps to
the time of the earliest sleeper and wakes it, then to the next one. With `jumps=False` it does not move until a test
moves it. Node timeouts (`timeout_seconds` of a node) and asyncio's own sleeps use real time, which this clock neither
changes nor waits for.

The event loop has nothing else to do if its queue is empty for a whole turn, except for other clocks that check too,
no write to PostgreSQL awaits its answer, and no thread of a pool, of the SQLite store or of aiosqlite is at work or has
a call in its queue. Threads are checked several times before they count as idle, since a call that was just taken is
not visible yet.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from graphengine.errors import DefinitionError
from graphengine.kernel.senders import SENDERS
from graphengine.runner.held_loops import frames_of_threads

if TYPE_CHECKING:
    from collections.abc import Sized

_WORKERS: Final = ("concurrent.futures.thread", "graphengine.databases.sqlite.worker", "aiosqlite.core")
"""Modules whose threads work for an event loop: such a thread calls what comes through a queue."""

_LOOK_SECONDS: Final = 0.0005
_QUIET_LOOKS: Final = 4
"""How often, and how many times in a row, the event loop and its threads must be found idle if there are threads."""

_LOOKS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, int]] = WeakKeyDictionary()
"""How many clocks check an event loop in its next turn; they do not wait for each other."""


class FakeClock:
    """A simulated clock for tests: with `Runner(clock=FakeClock())`, sleeps of runs end at once.

    A `FakeClock` serves one event loop at a time. Its methods `now` and `move` may be called by any code that runs in
    that loop.

    Args:
        start: The initial time, epoch seconds.
        jumps: Whether the time jumps to the next sleeper whenever the event loop is idle. If not, a test moves the
            clock with `move`.

    Example:
        >>> clock = FakeClock(start=100.0, jumps=False)
        >>> clock.move(5)
        >>> clock.now()
        105.0
    """

    def __init__(self, start: float = 1_000_000_000.0, *, jumps: bool = True) -> None:
        self._now = start
        self._jumps = jumps
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._looker: asyncio.AbstractEventLoop | None = None
        self._quiet = 0

    def __repr__(self) -> str:
        return f"FakeClock({self._now}, {len(self._waiting())} asleep)"

    @property
    def jumps(self) -> bool:
        """Whether the clock moves itself to the time of the next sleeper when the event loop is idle.

        If this is False, a test has to call `move`.
        """
        return self._jumps

    def now(self) -> float:
        """Return the simulated time, epoch seconds."""
        return self._now

    async def sleep_until(self, when: float) -> None:
        """Wait until the simulated clock shows this time. Sleepers wake in the order of their times."""
        if when <= self._now:
            return
        loop = asyncio.get_running_loop()
        awake: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._sleepers, (when, next(self._numbers), awake))
        if self._jumps and self._looker is not loop:
            self._looker = loop
            self._look_soon(loop)
        await awake

    def move(self, seconds: float) -> None:
        """Move the time forward, and wake the sleepers whose time has come, the earliest first.

        Args:
            seconds: How many seconds.

        Raises:
            DefinitionError: The number is negative or infinite.
        """
        if not 0 <= seconds < math.inf:
            text = f"move({seconds!r}): the clock can only be moved by a finite number of seconds of at least 0"
            raise DefinitionError(text, where="FakeClock", repair="write clock.move(60)")
        self._set(self._now + seconds)

    def _set(self, now: float) -> None:
        self._now = now
        while self._sleepers and self._sleepers[0][0] <= now:
            awake = heapq.heappop(self._sleepers)[2]
            if not awake.done():
                awake.set_result(None)

    def _waiting(self) -> list[tuple[float, int, asyncio.Future[None]]]:
        return [sleeper for sleeper in self._sleepers if not sleeper[2].done()]

    def _look_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        _LOOKS[loop] = _LOOKS.get(loop, 0) + 1
        loop.call_soon(self._look_now, loop)

    def _look_now(self, loop: asyncio.AbstractEventLoop) -> None:
        _LOOKS[loop] -= 1
        self._look(loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Move the clock to the time of the next sleeper if the event loop is idle.

        Otherwise check again soon, as long as somebody sleeps. A busy loop may still do work at the present time.
        """
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)  # it was cancelled
        if not self._sleepers or self._sleepers[0][0] == math.inf:
            self._looker = None
            return
        threads = _threads()
        is_quiet = not (_is_busy(loop) or any(threads) or any(sender.is_busy for sender in SENDERS.get(loop, ())))
        self._quiet = self._quiet + 1 if is_quiet else 0
        if self._quiet >= (_QUIET_LOOKS if threads else 2):  # once more: sockets are read between two turns
            self._quiet = 0
            self._set(self._sleepers[0][0])
        if threads and not _is_busy(loop):
            loop.call_later(_LOOK_SECONDS, self._look, loop)
        else:
            self._look_soon(loop)


def _is_busy(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether the event loop has anything else to run now. Clocks that look for the same do not count."""
    waiting: Sized = getattr(loop, "_ready", ())  # asyncio has no public access to this
    return len(waiting) > _LOOKS.get(loop, 0)


def _threads() -> list[bool]:
    """Return, for each thread that works for an event loop, whether the thread is busy.

    The clock must not jump while a thread is busy, because the event loop still waits for its result. A thread counts
    as idle only if the loop in which it waits for calls is waiting and the queue of its calls is also empty. The queue
    has to be checked too, because a busy system may wake the thread long after a call was put into the queue. Python
    has no public access to a thread's function and queue, so their private attributes are read. A thread drops these
    attributes when it ends.
    """
    if threading.active_count() == 1:
        return []
    here = threading.get_ident()
    workers: list[tuple[int, object, bool]] = []
    for each in threading.enumerate():
        function = getattr(each, "_target", None) or type(each).run  # aiosqlite before 0.22 has a class of threads
        given = (*getattr(each, "_args", ()), *vars(each).values())
        if each.ident != here and getattr(function, "__module__", None) in _WORKERS:
            has_call = any(isinstance(queue, SimpleQueue) and not queue.empty() for queue in given)
            workers.append((each.ident or 0, getattr(function, "__code__", None), has_call))
    # Only now, so that a call that was taken before is seen. Between two calls of a thread, CPython can return another
    # object than a frame.
    frames = frames_of_threads()
    return [has_call or getattr(frames.get(ident), "f_code", None) is not code for ident, code, has_call in workers]


__all__ = ["FakeClock"]
