"""Extensions that work beside a worker, such as one that sends notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager, AsyncExitStack


@runtime_checkable
class Delivers(Protocol):
    """An extension of a Runner that also works beside a worker, for example to send notifications."""

    def delivering(self, runner: Any) -> AbstractAsyncContextManager[None]:  # noqa: ANN401 - the program's Runner
        """Return a context in which the extension works, while a worker drives the runs of a Runner."""
        ...


async def deliver(extensions: Sequence[object], runner: object, stack: AsyncExitStack) -> None:
    """Let those extensions of a Runner that deliver something work beside a worker, until the stack is closed."""
    for each in extensions:
        if isinstance(each, Delivers):
            await stack.enter_async_context(each.delivering(runner))


__all__ = ["Delivers", "deliver"]
