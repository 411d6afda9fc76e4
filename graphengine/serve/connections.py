"""The open connections of a server: no more than it can carry, and none whose client keeps it waiting for long.

Whoever can reach a port can open connections and send nothing, or half a request. Each takes a file descriptor from the
whole process, which then cannot open a file, call a model or answer a health check. A token does not help: it comes
with the request.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

REQUEST_SECONDS: Final = 40.0
"""How long a client can take to send a whole request, or to read what was sent to it."""
_SHARE: Final = 4
_MOST_DESCRIPTORS: Final = 1 << 16
_WITHOUT_LIMIT: Final = 2048


class Connections:
    """The open connections of one server. Use it on the event loop's thread.

    At the limit the connection that has waited longest for its client is closed, so that new clients are still served.
    If each of them has a request in progress, the new one is closed.

    Args:
        most: How many there can be.
        seconds: How long one can wait for its client.
    """

    def __init__(self, most: int, seconds: float = REQUEST_SECONDS) -> None:
        self._most = most
        self._seconds = seconds
        self._waiting: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}  # the one that began first comes first
        self._busy: set[asyncio.BaseTransport] = set()

    def open(self, transport: asyncio.WriteTransport) -> None:
        """Note a new connection, and close one if there are too many."""
        self.wait(transport)
        if len(self._waiting) + len(self._busy) > self._most:
            self._abort(next(iter(self._waiting)))

    def wait(self, transport: asyncio.WriteTransport) -> None:
        """Note that nothing can be done before the client sends or reads; if that is so already, since then."""
        if transport not in self._waiting:
            self._busy.discard(transport)
            loop = asyncio.get_running_loop()
            self._waiting[transport] = loop.call_later(self._seconds, self._abort, transport)

    def work(self, transport: asyncio.BaseTransport) -> None:
        """Note that a request is in progress."""
        handle = self._waiting.pop(transport, None)
        if handle is not None:
            handle.cancel()
            self._busy.add(transport)

    def close(self, transport: asyncio.BaseTransport) -> None:
        """Forget a connection that was closed."""
        self.work(transport)
        self._busy.discard(transport)

    def _abort(self, transport: asyncio.BaseTransport) -> None:
        self.close(transport)
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


def most_connections() -> int:
    """Return how many connections a server can have: a quarter of the descriptors that the process can have."""
    if sys.platform == "win32":
        return _WITHOUT_LIMIT // _SHARE
    import resource  # noqa: PLC0415 - not on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (_MOST_DESCRIPTORS if soft < 0 else min(soft, _MOST_DESCRIPTORS)) // _SHARE


__all__ = ["REQUEST_SECONDS", "Connections", "most_connections"]
