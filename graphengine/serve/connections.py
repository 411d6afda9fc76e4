"""Limit the open connections of a server, and close connections that wait too long for their clients.

Everybody who can reach a port can open connections and send nothing, or half a request. Each connection takes a file
descriptor from the whole process. Without descriptors, the process cannot open a file, call a model or answer a health
check. A token does not help, because it is part of the request. After the request, the connection belongs to a caller:
`Shares` limits the number of requests that each caller can have in progress. Some requests, such as event streams, last
for days.
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
"""How long a client may take to send a whole request, or to read an answer."""
RETRY_SECONDS: Final = "5"
"""How many seconds a client that has too many requests in progress should wait before it tries again."""
_SHARE: Final = 4
_MOST_DESCRIPTORS: Final = 1 << 16
_WITHOUT_LIMIT: Final = 2048


class Connections:
    """The open connections of one server. Use this object in the thread of the event loop.

    When the limit is reached, the connection that has waited longest for its client is closed, so that new clients are
    still served. If every other connection has a request in progress, the new connection is closed.

    Args:
        most: The maximum number of connections.
        seconds: How long a connection may wait for its client.
    """

    def __init__(self, most: int, seconds: float = REQUEST_SECONDS) -> None:
        self._most = most
        self._seconds = seconds
        self._waiting: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}  # in the order in which they began to wait
        self._busy: set[asyncio.BaseTransport] = set()

    def open(self, transport: asyncio.WriteTransport) -> None:
        """Register a new connection. If there are too many, close the one that has waited longest for its client."""
        self.wait(transport)
        if len(self._waiting) + len(self._busy) > self._most:
            self._abort(next(iter(self._waiting)))

    def wait(self, transport: asyncio.WriteTransport) -> None:
        """Register that a connection waits for its client: for the next request, or until the client reads an answer.

        The connection is closed when it has waited too long. Calling this method again does not restart the time.
        """
        if transport not in self._waiting:
            self._busy.discard(transport)
            loop = asyncio.get_running_loop()
            self._waiting[transport] = loop.call_later(self._seconds, self._abort, transport)

    def work(self, transport: asyncio.BaseTransport) -> None:
        """Register that the server works on a request of a connection, so that the connection is not closed as idle."""
        handle = self._waiting.pop(transport, None)
        if handle is not None:
            handle.cancel()
            self._busy.add(transport)

    def close(self, transport: asyncio.BaseTransport) -> None:
        """Remove a connection that was closed."""
        self.work(transport)
        self._busy.discard(transport)

    def _abort(self, transport: asyncio.BaseTransport) -> None:
        self.close(transport)
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


class Shares:
    """Limits how many requests of each caller a server works on at a time, so that one caller cannot block the others.

    A request beyond the share of its caller is refused. Requests in progress are never interrupted. The shares are
    parts of the maximum number of connections:

    - A user can have a quarter, and a tenant half.
    - All users together can have three quarters. Beyond this, a request is only served if its user has fewer requests
      than the average user.
    - Operators, who may do everything, can use seven eighths together with the users.
    - The rest is reserved for health checks and for requests without a valid caller.

    Args:
        most: The maximum number of connections.
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
            repair = f"end requests, such as streams of events, or try again in {RETRY_SECONDS} seconds"
            text = (
                f"{who.name or 'this caller'} has {own} of the {total} requests that are in progress, which is too many"
            )
            from graphengine.serve.messages import RequestInvalid  # noqa: PLC0415 - an extra; health needs none

            raise RequestInvalid(text, status=HTTPStatus.TOO_MANY_REQUESTS, repair=repair)

    @contextmanager
    def held(self, who: Caller) -> Iterator[None]:
        """Count a request as one of its caller's requests in progress until the end of the block.

        Raises:
            RequestInvalid: The caller has too many requests in progress. The answer has the status 429.
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
            self._users, self._tenants = +self._users, +self._tenants  # without callers that have no request


_GONE: Final[ContextVar[asyncio.Event | None]] = ContextVar("graphengine.gone", default=None)


async def until_gone() -> None:
    """Return when the client of the current request has gone; wait forever if there is no request."""
    await (_GONE.get() or asyncio.Event()).wait()


@contextmanager
def watched(body: bytes, receive: Receive) -> Iterator[Receive]:
    """Watch during the block whether the client disconnects, so that a handler waiting in `until_gone` stops waiting.

    This matters because a waiting handler counts as one of its caller's requests in progress, whose number is limited.

    Yields:
        The function `receive` to pass to the application. It returns the body, and later the disconnection.
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
        from graphengine.serve.messages import replayed  # noqa: PLC0415 - an optional package, as above

        yield replayed(body, after)
    finally:
        _GONE.reset(token)
        watching.cancel()


def most_connections() -> int:
    """Return the maximum number of connections of a server: a quarter of the process's limit on file descriptors."""
    if sys.platform == "win32":
        return _WITHOUT_LIMIT // _SHARE
    import resource  # noqa: PLC0415 - not on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (_MOST_DESCRIPTORS if soft < 0 else min(soft, _MOST_DESCRIPTORS)) // _SHARE


__all__ = ["REQUEST_SECONDS", "RETRY_SECONDS", "Connections", "Shares", "most_connections", "until_gone", "watched"]
