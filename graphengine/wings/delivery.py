"""What extensions do beside a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager, AsyncExitStack


@runtime_checkable
class Delivers(Protocol):
    """An extension of a Runner that works beside it in a worker, such as one that sends what it was notified of."""

    def delivering(self, runner: Any) -> AbstractAsyncContextManager[None]:  # noqa: ANN401 - the program's Runner
        """Work inside this block, while a worker drives the runs of a Runner."""
        ...


async def deliver(extensions: Sequence[object], runner: object, stack: AsyncExitStack) -> None:
    """Let the extensions of a Runner that deliver something do so beside a worker, until a stack is closed."""
    for each in extensions:
        if isinstance(each, Delivers):
            await stack.enter_async_context(each.delivering(runner))


__all__ = ["Delivers", "deliver"]
