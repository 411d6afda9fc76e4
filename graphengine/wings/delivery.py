"""Extensions that work beside a worker, such as one that sends notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager, AsyncExitStack


@runtime_checkable
class Delivers(Protocol):
    """Protocol of an extension of a Runner that does its own work while a worker runs, such as notifying people."""

    def delivering(self, runner: Any) -> AbstractAsyncContextManager[None]:  # noqa: ANN401 - the program's Runner
        """Return a context manager. The extension works until the worker leaves its block."""
        ...


async def deliver(extensions: Sequence[object], runner: object, stack: AsyncExitStack) -> None:
    """Start the work of the extensions that deliver something. It ends when the stack is closed."""
    for each in extensions:
        if isinstance(each, Delivers):
            await stack.enter_async_context(each.delivering(runner))


__all__ = ["Delivers", "deliver"]
