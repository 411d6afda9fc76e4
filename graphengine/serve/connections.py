"""The open connections of a server: no more than it can carry, and none whose client keeps it waiting for long.

Whoever can reach a port can open connections and send nothing, or half a request. Each takes a file descriptor from the
whole process, which then cannot open a file, call a model or answer a health check. A token does not help: it comes
with the request. From then on a connection is the caller's: `Shares` is how many requests each can have in progress,
such as streams of events, which last for days.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from graphengine.serve.callers import NOBODY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Message, Receive

    from graphengine.serve.callers import Caller

REQUEST_SECONDS: Final = 40.0
"""How long a client can take to send a whole request, or to read what was sent to it."""
RETRY_SECONDS: Final = "5"
"""When a client that has too many requests in progress can try again."""
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


class Shares:
    """The requests in progress, by caller. A new one beyond the share of its caller is refused; none is interrupted.

    Of the connections, a user can have a quarter and a tenant half. All users together have three quarters, beyond
    which only those are served who have fewer than the others on average. Operators, who may do everything, have seven
    eighths with them. The rest is for health checks and for requests that are not let in.

    Args:
        most: How many connections there can be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._users: Counter[Caller] = Counter()
        self._tenants: Counter[str | None] = Counter()

    def _check(self, who: Caller) -> None:
        most, total, own = self._most, self._users.total(), self._users[who]
        is_over = total >= most * 7 // 8
        if not (who.sees_all and who.may("operate")):
            is_over = is_over or own >= most // 4 or (not who.sees_all and self._tenants[who.tenant] >= most // 2)
            is_over = is_over or (total >= most * 3 // 4 and own * len(self._users) >= total)
        if is_over:
            repair = f"end some, such as streams of events, or try again in {RETRY_SECONDS} seconds"
            text = f"{who.name or 'this caller'} has {own} requests in progress, and all have {total}"
            from graphengine.serve.messages import RequestInvalid  # noqa: PLC0415 - an extra; health needs none

            raise RequestInvalid(text, status=HTTPStatus.TOO_MANY_REQUESTS, repair=repair)

    @contextmanager
    def held(self, who: Caller) -> Iterator[None]:
        """Count a request as one in progress during a block.

        Raises:
            RequestInvalid: The caller cannot have one more, with the status 429.
        """
        if who is NOBODY:
            yield
            return
        self._check(who)
        self._users[who] += 1
        self._tenants[who.tenant] += 1
        try:
            yield
        finally:
            self._users[who] -= 1
            self._tenants[who.tenant] -= 1
            self._users, self._tenants = +self._users, +self._tenants  # without those that have none


_GONE: Final[ContextVar[asyncio.Event | None]] = ContextVar("graphengine.gone", default=None)


async def until_gone() -> None:
    """Return once the client whose request is served has gone; never without a request."""
    await (_GONE.get() or asyncio.Event()).wait()


@contextmanager
def watched(body: bytes, receive: Receive) -> Iterator[Receive]:
    """Watch for the end of a client during a block, and provide a `receive` that returns the body, and then that end.

    What a handler waits for takes a place of the caller, so it does not wait for a client that has gone.
    """
    gone = asyncio.Event()

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async def after() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    watching, token = asyncio.create_task(watch()), _GONE.set(gone)
    try:
        from graphengine.serve.messages import replayed  # noqa: PLC0415 - an extra, as above

        yield replayed(body, after)
    finally:
        _GONE.reset(token)
        watching.cancel()


def most_connections() -> int:
    """Return how many connections a server can have: a quarter of the descriptors that the process can have."""
    if sys.platform == "win32":
        return _WITHOUT_LIMIT // _SHARE
    import resource  # noqa: PLC0415 - not on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (_MOST_DESCRIPTORS if soft < 0 else min(soft, _MOST_DESCRIPTORS)) // _SHARE


__all__ = ["REQUEST_SECONDS", "RETRY_SECONDS", "Connections", "Shares", "most_connections", "until_gone", "watched"]
