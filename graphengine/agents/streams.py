"""Streams of an agent's live events, which are iterated and not awaited."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from typing_extensions import override

from graphengine.errors import DefinitionError

T = TypeVar("T")


class Stream(AsyncGenerator[T, None]):
    """An asynchronous generator that explains its use when somebody awaits it.

    Args:
        shown: The generator.
    """

    def __init__(self, shown: AsyncGenerator[T, None]) -> None:
        self._shown = shown

    @override
    async def asend(self, value: None, /) -> T:
        """Return the next event.

        Raises:
            StopAsyncIteration: The stream has no more events.
        """
        return await self._shown.asend(value)

    @override
    async def athrow(self, *error: Any) -> T:
        """Raise an error at the current position of the generator; raises the errors of the generator."""
        return await self._shown.athrow(*error)

    @override
    async def aclose(self) -> None:
        """Close the stream."""
        await self._shown.aclose()

    if not TYPE_CHECKING:  # type checkers know that it cannot be awaited

        def __await__(self) -> NoReturn:
            repair = "write: async for shown in ….stream(…); ….run(…) is awaited, and returns the answer alone"
            raise DefinitionError("a stream is iterated, not awaited", where="stream(…)", repair=repair)


__all__ = ["Stream"]
