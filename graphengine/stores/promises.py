"""The promise of a write's result, which is kept once its transaction is durable, and who awaits answers for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import asyncio
    from weakref import WeakSet

T = TypeVar("T")


class Sender(Protocol):
    """Sends writes from an event loop, which is idle until the answer comes."""

    @property
    def is_busy(self) -> bool:
        """Whether an answer is awaited."""
        ...


SENDERS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[Sender]]] = WeakKeyDictionary()
"""The senders of each event loop. The clock of a test does not jump while one of them awaits an answer."""


class Promise(Generic[T]):
    """A result, and the future that gets it; both are set on the thread that writes.

    Args:
        future: The future.
    """

    __slots__ = ("error", "future", "result")

    def __init__(self, future: asyncio.Future[T]) -> None:
        self.future = future
        self.result: T | None = None
        self.error: Exception | None = None

    def settle(self) -> None:
        """Resolve the future unless it was cancelled; called on the loop after the commit."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # a T once there is no error
