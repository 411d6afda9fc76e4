"""Tasks that cancellation does not interrupt.

A store that is opened or closed only half would keep its threads running, and they would keep the process from exiting.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Coroutine


T = TypeVar("T")


class Uncancelled(asyncio.Task[T]):
    """An asyncio task that cannot be cancelled: its `cancel` does nothing.

    At its end, `asyncio.run` cancels all tasks and waits until they have ended. So it waits until the work of this task
    is done.
    """

    @override
    def cancel(self, msg: Any | None = None) -> bool:
        """Ignore the request."""
        return False


async def finish(lock: asyncio.Lock, closing: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that closes a store, and let it finish even if the caller is cancelled meanwhile.

    The coroutine runs under a lock, so that a store is not closed twice at the same time. The coroutine must end by
    itself. `asyncio.shield` alone would not be enough:

    1. Ctrl-C cancels the main task, which waits here.
    2. `asyncio.run` then cancels all other tasks, including the shielded one.
    """

    async def locked() -> None:
        async with lock:
            await closing

    await asyncio.shield(Uncancelled(locked(), name="graphengine close store"))
