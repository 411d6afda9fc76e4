"""Blocking functions in the Runner's threads.

The outcome of a function is passed back as data and raised on the event loop: a future cannot carry a StopIteration,
and an exception that is never retrieved would be reported at an unrelated moment. A thread cannot be ended, so a
cancelled call still waits for it: otherwise a retry could run at the same time. Calls of agents that the thread waits
for, which run on the event loop, are cancelled with it. Time limits are suspended while a call waits for a free thread.
"""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from graphengine.calls.time_limit import queued
from graphengine.runner.scope import FROM_THREAD, Calls, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor


class Threads:
    """The thread pool of one Runner, created when first needed.

    Args:
        count: The maximum number of threads; Python's default if not given.
    """

    __slots__ = ("_count", "pool")

    def __init__(self, count: int | None = None) -> None:
        self._count = count
        self.pool: ThreadPoolExecutor | None = None

    def __call__(self) -> ThreadPoolExecutor:
        """Return the pool."""
        if self.pool is None:
            self.pool = ThreadPoolExecutor(self._count, thread_name_prefix="graphengine-node")
        return self.pool

    def shutdown(self) -> None:
        """Let its threads end, without waiting for them."""
        if self.pool is not None:
            self.pool.shutdown(wait=False)


async def in_thread(pool: Executor, function: Callable[[], object]) -> object:
    """Call a function in a thread of the pool, with this task's context variables.

    Raises:
        RuntimeError: The function raised StopIteration. Also raises whatever else the function raises.
    """
    context, calls = contextvars.copy_context(), Calls()
    context.run(FROM_THREAD.set, calls)
    with queued(function) as wanted:
        call = pool.submit(lambda: context.run(_outcome_of, wanted))
        thread = asyncio.wrap_future(call)
        try:
            outcome = await asyncio.shield(thread)
        except asyncio.CancelledError:
            calls.cancel()
            if not call.cancel():  # it is running already
                await _ended(thread)
            raise
        finally:
            calls.close()
    if isinstance(outcome.error, StopIteration):
        message = "the function raised StopIteration outside of an iterator"
        raise RuntimeError(message) from outcome.error
    return outcome.result()


async def _ended(thread: asyncio.Future[Outcome[object]]) -> None:
    """Return when the thread is done, even if this wait is cancelled meanwhile."""
    while not thread.done():
        try:
            await asyncio.wait((thread,))
        except asyncio.CancelledError:
            continue


def _outcome_of(function: Callable[[], object]) -> Outcome[object]:
    try:
        return Outcome(function())
    except BaseException as error:  # noqa: BLE001 - it is raised again on the event loop
        return Outcome(error=error)
