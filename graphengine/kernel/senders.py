"""Writes to a database for which an idle event loop waits. The clock of a test must not jump meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakKeyDictionary, WeakSet

if TYPE_CHECKING:
    import asyncio


class Sender(Protocol):
    """An object that sends writes to a database on behalf of an event loop, such as a connection to PostgreSQL.

    `FakeClock` asks these objects whether the event loop still waits for a database.
    """

    @property
    def is_busy(self) -> bool:
        """Whether the event loop waits for an answer from the database.

        A simulated clock must not jump then, although the loop looks idle.
        """
        ...


SENDERS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[Sender]]] = WeakKeyDictionary()
"""The senders of each event loop. The clock of a test does not jump while one of them awaits an answer."""
