"""Calls that share a cached prefix: the first one writes the provider's cache, and the others wait to read it.

If many calls send one long prefix at the same time, the provider writes it to its cache for each of them, at 1.25 times
the price of plain tokens, while reading it costs a tenth (Anthropic's prices of prompt caching). So of the calls of one
Runner with the same prefix, the first goes alone, and the others follow when its answer begins or it fails, provided
that the prefix is long enough to be cached and was not used recently. Source: Anthropic's documentation of prompt
caching: 1,024 tokens is the shortest prefix for most models, a cache can be read from the start of the first answer on,
and it lives for five minutes.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LEAST_CHARACTERS: Final = 4096
"""Shorter prefixes, of about 1,024 tokens, are not cached."""
LIVES_SECONDS: Final = 240.0
"""How long after a call its prefix counts as cached: somewhat less than the actual five minutes."""
_KEPT: Final = 1000
"""The number of prefixes from which expired ones are removed."""


class Prefixes:
    """The prefixes of the calls of one Runner.

    Args:
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used: dict[str, float] = {}
        self._first: dict[str, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def turn(self, prefix: str, characters: int) -> AsyncIterator[Callable[[], None] | None]:
        """Wait until the answer of the first call with this prefix begins, if that saves money.

        If that call fails, all that wait for it proceed together. If each waited for the next one, calls that all fail,
        as when a provider is down, would fail one after the other.

        Args:
            prefix: The identity of the prefix: model, instructions, tools.
            characters: The length of the prefix.

        Returns:
            A function that the first call has to call when its answer begins, to release the others; None for the
            others.
        """
        if characters < LEAST_CHARACTERS:
            yield None
            return
        first = self._first.get(prefix)
        if self._is_warm(prefix) or first is not None:
            if first is not None:
                await asyncio.shield(first)
            yield None
            self._used[prefix] = self._clock()
            return
        first = self._first[prefix] = asyncio.get_running_loop().create_future()

        def begun() -> None:
            self._used[prefix] = self._clock()
            self._release(prefix, first)

        try:
            yield begun
            begun()
            self._forget_cold()
        finally:
            self._release(prefix, first)

    def _release(self, prefix: str, first: asyncio.Future[None]) -> None:
        """Release the calls that wait for a first call."""
        if not first.done():
            del self._first[prefix]
            first.set_result(None)

    def _forget_cold(self) -> None:
        """Remove expired prefixes if there are many."""
        if len(self._used) > _KEPT:
            self._used = {prefix: used for prefix, used in self._used.items() if self._is_warm(prefix)}

    def _is_warm(self, prefix: str) -> bool:
        return self._clock() - self._used.get(prefix, float("-inf")) < LIVES_SECONDS
