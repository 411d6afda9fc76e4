"""Blocking functions in the runner's threads.

What a function comes to travels back as data and is raised on the event loop: a future cannot carry a StopIteration,
and an exception that nobody waits for any more would be reported at some odd time. A thread cannot be ended, so a
cancelled call still waits for it: nothing that would run beside it starts before. What the thread itself waits for,
calls of agents that are made in the event loop, is cancelled with it. Time limits stand still while a call waits for a
thread.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING

from graphengine.agents.run_scope import FROM_THREAD, Calls, Outcome
from graphengine.calls.time_limit import queued

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor


async def in_thread(pool: Executor, function: Callable[[], object]) -> object:
    """Call a function in a thread of the pool, with this task's context variables.

    Raises:
        RuntimeError: The function raised StopIteration; besides whatever else it raises.
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
            if not call.cancel():  # it runs already
                await _ended(thread)
            raise
        finally:
            calls.close()
    if isinstance(outcome.error, StopIteration):
        message = "the function raised StopIteration, which ends no loop here"
        raise RuntimeError(message) from outcome.error
    return outcome.result()


async def _ended(thread: asyncio.Future[Outcome[object]]) -> None:
    """Return when the thread is done, however often this wait is cancelled."""
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
