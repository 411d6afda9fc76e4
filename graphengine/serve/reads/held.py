"""A cache for results that many pages request and that take long to compute."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

T = TypeVar("T")

_REST: Final = 20.0
"""A result is kept for this many times as long as its computation took.

Open pages therefore use at most a twentieth of a processor.
"""


class Held(Generic[T]):
    """A cache of results that take long to compute, such as numbers of runs.

    If several pages need the same result, the result is computed once. It is then kept for a while.

    Args:
        least_seconds: The minimum time for which a result is kept.
    """

    def __init__(self, least_seconds: float = 0.0) -> None:
        self._least = least_seconds
        self._held: dict[Hashable, tuple[float, asyncio.Task[T]]] = {}

    async def of(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Return the cached result under a key. If the cache does not contain it, compute the result and keep it.

        Errors are not kept.

        Args:
            key: Identifies the result. The key must contain the tenant of the caller, so that no tenant gets a result
                that was computed for another.
            work: Computes the result.
        """
        now = time.monotonic()
        self._held = {each: held for each, held in self._held.items() if held[0] > now}
        if key not in self._held:
            self._held[key] = math.inf, asyncio.create_task(self._make_once(key, work))
        return await asyncio.shield(self._held[key][1])  # the first caller may be cancelled

    async def _make_once(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        began, lasts = time.monotonic(), 0.0
        try:
            result = await work()
            lasts = self._least + _REST * (time.monotonic() - began)
        finally:
            self._held[key] = time.monotonic() + lasts, self._held[key][1]
        return result


__all__ = ["Held"]
