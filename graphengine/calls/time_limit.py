"""Time limits for work that may have to wait for a thread: the waiting does not count.

A thread pool has a fixed number of threads, and further functions wait in a queue. A limit is on the work itself, so it
is paused while any part of the work waits there: a hundred calls of 0.2 s with a limit of 0.5 s all finish in time,
however few the threads.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Token
    from types import TracebackType


class TimeLimit:
    """Cancel the `async with` block if it takes longer, and raise TimeoutError, as `asyncio.timeout` does.

    Args:
        seconds: How long the block may take; None for no limit.

    Attributes:
        loop: The event loop of the block.
    """

    __slots__ = ("_around", "_left", "_queued", "_since", "_timeout", "_token", "loop")

    def __init__(self, seconds: float | None) -> None:
        self.loop = asyncio.get_running_loop()
        self._left = seconds
        self._timeout = asyncio.timeout(seconds)
        self._queued = 0
        self._since = 0.0
        self._around: TimeLimit | None = None
        self._token: Token[TimeLimit | None] | None = None

    async def __aenter__(self) -> Self:
        self._around = _limit_here()
        self._token = _LIMIT.set(self)
        self._since = self.loop.time()
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            _LIMIT.reset(self._token)
        await self._timeout.__aexit__(kind, error, traceback)

    def expired(self) -> bool:
        """Return whether the time ran out before the block ended."""
        return self._timeout.expired()

    def stand_still(self) -> None:
        """Pause this limit and the limits around it until `count_again`, since a function waits for a thread."""
        self._queued += 1
        if self._queued == 1 and self._left is not None:
            self._left = max(0.0, self._left - (self.loop.time() - self._since))
            self._set(None)
        if self._around is not None:
            self._around.stand_still()

    def count_again(self) -> None:
        """Resume this limit and the limits around it; the function waits no longer."""
        self._queued -= 1
        if not self._queued and self._left is not None:
            self._since = self.loop.time()
            self._set(self._since + self._left)
        if self._around is not None:
            self._around.count_again()

    def _set(self, when: float | None) -> None:
        with suppress(RuntimeError):  # the block has ended
            self._timeout.reschedule(when)


@contextmanager
def queued(function: Callable[[], object]) -> Iterator[Callable[[], object]]:
    """Yield a wrapper to hand to a thread: it pauses the surrounding time limits until the thread calls it."""
    limit = _limit_here()
    if limit is None:
        yield function
        return
    loop = asyncio.get_running_loop()
    is_waiting = True

    def begun() -> None:
        nonlocal is_waiting
        if is_waiting:
            is_waiting = False
            limit.count_again()

    def begin() -> object:
        with suppress(RuntimeError):  # the loop is closed, and this thread outlived it
            loop.call_soon_threadsafe(begun)
        return function()

    limit.stand_still()
    try:
        yield begin
    finally:
        begun()  # the call may have been cancelled before a thread took it


def _limit_here() -> TimeLimit | None:
    """Return the limit of the running code, if it belongs to this event loop."""
    limit = _LIMIT.get()
    return limit if limit is not None and limit.loop is asyncio.get_running_loop() else None


_LIMIT: Final[ContextVar[TimeLimit | None]] = ContextVar("graphengine_time_limit", default=None)
"""The limit of the running code."""

__all__ = ["TimeLimit", "queued"]
