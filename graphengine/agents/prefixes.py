"""Calls that share a cached beginning: the first one writes the provider's cache, and the others wait to read it.

A provider that is sent one long beginning by many calls at once writes it to its cache as many times, at 1.25 times the
price of plain tokens, where reading it costs a tenth (Anthropic's prices of prompt caching). So of calls that begin
alike, in one Runner, the first goes alone, and the rest once its answer begins or it fails, if the beginning is long
enough to be cached at all and was not just used. Source: Anthropic's documentation of prompt caching, which names 1,024
tokens as the shortest beginning for most models, the start of the first answer as the time from which a cache can be
read, and five minutes as the time it lives.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LEAST_CHARACTERS: Final = 4096
"""A beginning of fewer characters, some 1,024 tokens, is not cached."""
LIVES_SECONDS: Final = 240.0
"""For so long after a call its beginning is taken to be cached, somewhat less than the five minutes it is."""
_KEPT: Final = 1000
"""So many beginnings are kept before those that are not cached any more are looked for."""


class Prefixes:
    """The beginnings of calls of one Runner.

    Args:
        clock: Tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used: dict[str, float] = {}
        self._first: dict[str, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def turn(self, prefix: str, characters: int) -> AsyncIterator[Callable[[], None] | None]:
        """Wait for the start of the first call's answer with this beginning, if that is worth it.

        If that call fails, those that waited for it go together: to wait for the next one would make calls that all
        fail, as where a provider is down, fail one after the other.

        Args:
            prefix: What tells the beginning from others: model, instructions, tools.
            characters: How long it is.

        Returns:
            What the first call is to call when its answer begins, since others wait for that; None for all others.
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
        """Let those go that wait for a first call."""
        if not first.done():
            del self._first[prefix]
            first.set_result(None)

    def _forget_cold(self) -> None:
        """Keep no more beginnings than may be asked for."""
        if len(self._used) > _KEPT:
            self._used = {prefix: used for prefix, used in self._used.items() if self._is_warm(prefix)}

    def _is_warm(self, prefix: str) -> bool:
        return self._clock() - self._used.get(prefix, float("-inf")) < LIVES_SECONDS
