"""What no cancellation interrupts: a store half opened or closed would keep its threads, and with them the process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Coroutine


T = TypeVar("T")


class Uncancelled(asyncio.Task[T]):
    """A task that ends by itself. `asyncio.run`, which cancels all tasks when the main one has ended, waits for it."""

    @override
    def cancel(self, msg: Any | None = None) -> bool:
        """Do nothing."""
        return False


async def finish(lock: asyncio.Lock, closing: Coroutine[Any, Any, None]) -> None:
    """Await a coroutine, which must end by itself, under a lock; it continues to its end if the caller is cancelled.

    A shield alone does not do that: 1. Ctrl-C cancels the main task, which waits here. 2. `asyncio.run` cancels all
    other tasks, also the shielded one.
    """

    async def locked() -> None:
        async with lock:
            await closing

    await asyncio.shield(Uncancelled(locked(), name="graphengine close store"))
