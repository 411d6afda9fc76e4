"""Writes that an event loop, idle meanwhile, waits for: the clock of a test must not jump then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakKeyDictionary, WeakSet

if TYPE_CHECKING:
    import asyncio


class Sender(Protocol):
    """Sends writes from an event loop, which is idle until the answer comes."""

    @property
    def is_busy(self) -> bool:
        """Whether an answer is awaited."""
        ...


SENDERS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[Sender]]] = WeakKeyDictionary()
"""The senders of each event loop. The clock of a test does not jump while one of them awaits an answer."""
