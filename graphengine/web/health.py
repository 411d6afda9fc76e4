"""The health endpoint of a worker: whether it works, over HTTP, for a supervisor such as Kubernetes or systemd."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from graphengine.errors import DefinitionError
from graphengine.web.connections import Connections

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from graphengine.worker.worker import Worker

_REQUEST_SECONDS: Final = 5.0
_MOST_CONNECTIONS: Final = 16
_LATE_SECONDS: Final = 30.0
"""A worker with room that has not looked for runs for so long, and its poll time, is not healthy."""


@asynccontextmanager
async def serving_health(worker: Worker, host: str, port: int) -> AsyncIterator[int]:
    """Answer GET requests with how the worker is, until the end of the block; yield the port.

    The status is 200 if it works, and 503 if it is stopping or cannot reach the store; the body is JSON.

    Raises:
        DefinitionError: The address cannot be used.
    """
    connections = Connections(_MOST_CONNECTIONS, _REQUEST_SECONDS)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.open(writer.transport)
        with suppress(ConnectionError, asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            writer.write(_response(worker, is_get=request.startswith((b"GET ", b"HEAD "))))
            await writer.drain()
        connections.close(writer.transport)
        writer.close()

    try:
        server = await asyncio.start_server(answer, host, port, limit=1 << 14, backlog=_MOST_CONNECTIONS)
    except OSError as error:
        message = f"the health endpoint cannot listen on {host}:{port}: {error.strerror or error}"
        raise DefinitionError(message, repair="choose another port; 0 chooses a free one") from error
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def health_of(worker: Worker) -> tuple[bool, dict[str, object]]:
    """Return whether a worker works, and the facts about it."""
    standing = worker.standing
    late = standing.idle_seconds is not None and standing.idle_seconds > _LATE_SECONDS
    trouble = standing.trouble
    status = "stopping" if standing.is_stopping else "failing" if trouble is not None or late else "working"
    return status == "working", {
        "status": status,
        "driven": list(standing.driven),
        "concurrency": standing.concurrency,
        "polled_at": standing.polled_at,
        "error": None if trouble is None else {"code": trouble.code, "message": trouble.message},
    }


def _response(worker: Worker, *, is_get: bool) -> bytes:
    works, facts = health_of(worker)
    line = ("200 OK" if works else "503 Service Unavailable") if is_get else "405 Method Not Allowed"
    body = json.dumps(facts).encode()
    head = (
        f"HTTP/1.1 {line}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


__all__ = ["health_of", "serving_health"]
