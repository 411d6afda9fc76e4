"""The line of calls to one model: which calls wait, in which order, and which one is next.

`graphengine.models.pace` decides when the next call may begin; `Line` waits for it. A line may be used from several
threads and event loops: its state is behind a lock, and a call that waits is woken in its own event loop.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from graphengine.errors import ModelError, ModelOverloaded, RateLimited
from graphengine.graph.options import is_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.models.pace import Pace, Turn

CACHED_SECONDS: Final = 240.0
"""How long a beginning counts as cached after a call: somewhat less than the actual five minutes."""
_MOST_BEGINNINGS: Final = 1000
"""The number of beginnings from which expired ones are removed."""


Left: TypeAlias = "tuple[int, float] | None"
"""How many a server still allows, and the seconds until it allows more; None if it does not state it."""


class Clock(Protocol):
    """Returns the time, and waits until a time."""

    def now(self) -> float:
        """Return the time in seconds."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Return at that time."""
        ...


class Waits(Protocol):
    """How a caller waits: by which clock, and what ends the wait early.

    Attributes:
        clock: The clock.
    """

    @property
    def clock(self) -> Clock:
        """The clock."""
        ...

    async def first_of(self, *awaited: asyncio.Future[Any]) -> None:
        """Return when the first of them is done. Never return if the caller has to stop instead."""
        ...


class _MachineClock:
    """The time that passes, whatever the machine's clock is set to."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep_until(self, when: float) -> None:
        await asyncio.sleep(max(0.0, when - time.monotonic()))


MACHINE_CLOCK: Final[Clock] = _MachineClock()


class Plain:
    """Waits that nothing ends early.

    Args:
        clock: The clock; the machine's if not given.
    """

    def __init__(self, clock: Clock = MACHINE_CLOCK) -> None:
        self._clock = clock

    @property
    def clock(self) -> Clock:
        """The clock."""
        return self._clock

    async def first_of(self, *awaited: asyncio.Future[Any]) -> None:
        """Return when the first is done."""
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)


PLAIN: Final = Plain()


class _Waiter:
    """A call that waits in line. The one with the lowest number goes first."""

    __slots__ = ("awake", "loop", "number", "shared")

    def __init__(self, number: int) -> None:
        self.number = number
        self.loop = asyncio.get_running_loop()
        self.awake: asyncio.Future[None] = self.loop.create_future()
        self.shared: Exception | None = None  # the failure of the trial that it waited for

    def __lt__(self, other: _Waiter) -> bool:
        return self.number < other.number

    def wake(self) -> None:
        """Wake it, from any thread."""
        with suppress(RuntimeError):  # its event loop is closed, and the call has ended with it
            self.loop.call_soon_threadsafe(_set, self.awake)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Line:
    """The calls of a lane that wait or are in flight, by one clock. Any thread and event loop may use it.

    Args:
        pace: When they may begin.
        clock: The clock.
        most_held_seconds: For how long limits that the server states in headers are obeyed: they are advice, and a
            server that means them refuses the next call.
    """

    def __init__(self, pace: Pace, clock: Clock, most_held_seconds: float) -> None:
        self._pace = pace
        self._most_held_seconds = most_held_seconds
        self._told_until = -math.inf
        self._lock = threading.RLock()
        self._waiting: list[_Waiter] = []
        self._numbers = itertools.count()
        self._now = clock.now
        self._cached: dict[str, float] = {}
        self._first: dict[str, list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]]] = {}

    def number(self) -> int:
        """Return the place in line of a new call; it keeps it if it is refused."""
        return next(self._numbers)

    def closed_seconds(self) -> float:
        """Return for how long no call may begin: infinity while one is tried, 0.0 if one may now."""
        now = self._now()
        with self._lock:
            return max(0.0, self._pace.closed_until(now) - now)

    def is_free(self, tokens: int) -> bool:
        """Return whether a call would begin at once."""
        with self._lock:
            now = self._now()
            return not self._waiting and self._pace.free_at(now, tokens) <= now

    @property
    def last_failure(self) -> Exception | None:
        """The last failure of a call."""
        return self._pace.last_failure

    def begin_now(self, tokens: int) -> Turn | None:
        """Begin a call if no other one waits and it may begin now."""
        with self._lock:
            return self._pace.begin(self._now(), tokens) if self.is_free(tokens) else None

    async def begin(self, number: int, tokens: int, waits: Waits, check: Callable[[float, float], None]) -> Turn:
        """Wait in line, and begin a call.

        Args:
            number: Its place in line.
            tokens: Its tokens, estimated.
            waits: How to wait.
            check: Raises if the server may not be waited for: gets the time until which it is closed, and that of the
                last answer.

        Raises:
            ModelError: The call before this one was a trial, and failed.
        """
        waiter = _Waiter(number)
        with self._lock:
            heapq.heappush(self._waiting, waiter)
        try:
            while True:
                with self._lock:
                    if waiter.shared is not None:
                        raise _shared(waiter.shared)
                    waiter.awake = waiter.loop.create_future()
                    when, now = self._when(waiter, tokens), self._now()
                    if when <= now:
                        return self._pace.begin(now, tokens)
                    closed = self._pace.closed_until(now)
                    check(closed if closed < math.inf else now, self._pace.last_answer)
                await until(when, waiter.awake, waits)
        finally:
            with self._lock:
                self._waiting.remove(waiter)
                heapq.heapify(self._waiting)
                self._wake()

    def _when(self, waiter: _Waiter, tokens: int) -> float:
        """Return when a waiting call may begin; infinity if another call is ahead of it."""
        return self._pace.free_at(self._now(), tokens) if self._waiting[0] is waiter else math.inf

    def _wake(self) -> None:
        if self._waiting:
            self._waiting[0].wake()

    # What became of a call.

    def begun(self, turn: Turn) -> None:
        """Note that an answer has begun."""
        with self._lock:
            self._pace.begun(turn)
            self._wake()

    def answered(self, turn: Turn, tokens: int | None) -> None:
        """Note an answer."""
        with self._lock:
            self._pace.answered(turn, self._now(), tokens)

    def refused(self, turn: Turn, error: RateLimited) -> float:
        """Note that the server has no room; return the pause."""
        with self._lock:
            return self._pace.refused(turn, self._now(), error, asked_seconds(error))

    def failed(self, turn: Turn, error: Exception) -> None:
        """Note another failure. If a trial failed, the calls that waited for it fail too, without being made."""
        with self._lock:
            was_tried = self._pace.is_tried(turn)
            self._pace.failed(turn, self._now(), error, asked_seconds(error))
            if was_tried and not isinstance(error, ModelOverloaded):
                for waiter in self._waiting:
                    waiter.shared = error
                    waiter.wake()

    def end(self, turn: Turn) -> None:
        """End a call."""
        with self._lock:
            self._pace.end(turn)
            self._wake()

    def note_limits(self, requests: Left, tokens: Left) -> None:
        """Note the limits on requests and tokens that a response states."""
        if requests is None and tokens is None:
            return
        with self._lock:
            now = self._now()
            if requests is not None:
                self._pace.limit_calls(now, requests[0], min(requests[1], self._most_held_seconds))
            if tokens is not None and tokens[0] <= 0:
                self._pace.limit_tokens(now, min(tokens[1], self._most_held_seconds))

    def held_seconds(self, least: float) -> float:
        """Return for how long stated limits hold calls back, if for at least so long and if not returned before."""
        with self._lock:
            now = self._now()
            until = self._pace.held_until(now)
            if until - now < least or now < self._told_until:
                return 0.0
            self._told_until = until
            return until - now

    # Beginnings of questions that the provider caches.

    def first_with(self, beginning: str) -> asyncio.Future[None] | bool:
        """Return whether a call is the first with this beginning; if another one is, a future that ends with it."""
        with self._lock:
            if beginning in self._first:
                loop = asyncio.get_running_loop()
                self._first[beginning].append((loop, loop.create_future()))
                return self._first[beginning][-1][1]
            if self._is_cached(beginning):
                return False
            self._first[beginning] = []
            return True

    def cached(self, beginning: str) -> None:
        """Note that a beginning is in the provider's cache."""
        with self._lock:
            self._cached[beginning] = self._now()
            if len(self._cached) > _MOST_BEGINNINGS:
                self._cached = {each: at for each, at in self._cached.items() if self._is_cached(each)}

    def release(self, beginning: str) -> None:
        """Release the calls that wait for the first one with this beginning."""
        with self._lock:
            waiting = self._first.pop(beginning, ())
        for loop, future in waiting:
            with suppress(RuntimeError):  # its event loop is closed
                loop.call_soon_threadsafe(_set, future)

    def _is_cached(self, beginning: str) -> bool:
        return self._now() - self._cached.get(beginning, -math.inf) < CACHED_SECONDS


async def until(when: float, awake: asyncio.Future[None], waits: Waits) -> None:
    """Wait until a time, or until it is woken."""
    if when == math.inf:
        await waits.first_of(awake)
        return
    asleep = asyncio.ensure_future(waits.clock.sleep_until(when))
    try:
        await waits.first_of(awake, asleep)
    finally:
        asleep.cancel()
        await asyncio.gather(asleep, return_exceptions=True)


def asked_seconds(error: Exception) -> float | None:
    """Return how long a server asks to wait; None if it does not state it."""
    seconds = getattr(error, "retry_after_seconds", None)
    return float(seconds) if seconds is not None and is_seconds(seconds) else None


def _shared(error: Exception) -> Exception:
    """Return the error of a call that was not made, since the one before it failed."""
    if not isinstance(error, ModelError) or type(error).__init__ is not ModelError.__init__:
        return error
    message = f"it was not called, since the call before this one failed: {error.message}"
    found = type(error)(message, where=error.where, repair=error.repair, retry_after_seconds=error.retry_after_seconds)
    found.usage = {}
    return found


__all__ = ["MACHINE_CLOCK", "PLAIN", "Clock", "Line", "Plain", "Waits", "asked_seconds", "until"]
