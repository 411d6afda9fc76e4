"""Streams of an agent's live events, which are iterated and not awaited."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from typing_extensions import override

from graphengine.errors import DefinitionError

T = TypeVar("T")


class Stream(AsyncGenerator[T, None]):
    """The asynchronous iterator that `Agent.stream` and `Runner.stream` return: the live events, and then the answer.

    A common mistake is `await runner.stream(…)`. It raises an error whose repair shows the loop to write.

    Args:
        shown: The generator of the events.
    """

    def __init__(self, shown: AsyncGenerator[T, None]) -> None:
        self._shown = shown

    @override
    async def asend(self, value: None, /) -> T:
        return await self._shown.asend(value)

    @override
    async def athrow(self, *error: Any) -> T:
        return await self._shown.athrow(*error)

    @override
    async def aclose(self) -> None:
        await self._shown.aclose()

    if not TYPE_CHECKING:  # type checkers know that it cannot be awaited

        def __await__(self) -> NoReturn:
            text = "the result of stream(…) was awaited, but a stream can only be iterated"
            repair = "write: async for shown in ….stream(…). To get only the answer, write: await ….run(…)"
            raise DefinitionError(text, where="stream(…)", repair=repair)


__all__ = ["Stream"]
