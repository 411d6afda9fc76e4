"""Which node holds the event loop: each step of a node's coroutine is timed.

While a node blocks the loop, nothing else in its process moves: no other run, no timer, no stop. Nothing is lost, since
the lease is renewed from a thread, but the user should know.
"""

from __future__ import annotations

import logging
from time import monotonic
from types import coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from graphengine.engine.steps import path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from contextvars import Context

    from graphengine.engine.snapshot import Task

log = logging.getLogger("graphengine.runner")

T = TypeVar("T")

BLOCKED_SECONDS: Final = 2.0
"""A step that takes longer blocks the loop: well above the pauses of a busy but healthy one."""


@coroutine
def in_context(context: Context, work: Coroutine[Any, Any, T], task: Task, run_id: str) -> Generator[Any, Any, T]:
    """Await the coroutine of a task, log each step of it that blocks the loop, and keep its context variables apart.

    It runs in the caller's asyncio task, so a cancellation of that task reaches it. The context variables that it sets
    are set in `context` only.
    """
    step: Callable[[Any], Any] = work.send
    given: object = None
    while True:
        began = monotonic()
        try:
            awaited = context.run(step, given)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            held = monotonic() - began
            if held > BLOCKED_SECONDS:
                log.warning(
                    "node %s (run %s) held the event loop for %.1f s, so that nothing else ran\n  repair: make it a "
                    "plain function (def, without thread=False), which runs in a thread, or await what blocks",
                    path_of(task.frame, task.node),
                    run_id,
                    held,
                )
        try:
            step, given = work.send, (yield awaited)
        except BaseException as error:  # noqa: BLE001 - it is thrown into the coroutine, which may handle it
            step, given = work.throw, error


__all__ = ["BLOCKED_SECONDS", "in_context"]
