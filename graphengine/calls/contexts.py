"""Awaiting a coroutine in a context of its own, without an asyncio task for it."""

from __future__ import annotations

from types import coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from contextvars import Context

T = TypeVar("T")


@coroutine
def in_context(context: Context, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await a coroutine so that the context variables that it sets are set in this context only.

    It runs in the caller's asyncio task: a cancellation of that task reaches it.
    """
    step: Callable[[Any], Any] = work.send
    given: object = None
    while True:
        try:
            awaited = context.run(step, given)
        except StopIteration as end:
            value: T = end.value
            return value
        try:
            step, given = work.send, (yield awaited)
        except BaseException as error:  # noqa: BLE001 - it is thrown into the coroutine, which may handle it
            step, given = work.throw, error
