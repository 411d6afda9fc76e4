"""Report over HTTP whether a worker or a service works, for a supervisor such as Kubernetes or systemd."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct
from msgspec.json import encode

from graphengine.errors import DefinitionError
from graphengine.serve.connections import Connections

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from graphengine.worker.worker import Worker

_REQUEST_SECONDS: Final = 5.0
_MOST_CONNECTIONS: Final = 16
_LATE_SECONDS: Final = 30.0
"""A worker with free capacity is unhealthy if it has not looked for runs for this time plus its poll time."""


class Health(Struct):
    """The health of a worker or a service. Anybody can read it without a token, so it contains no names of runs.

    Attributes:
        status: Whether the worker or service works, stops after its current work, or fails.
        error: The code of the error that prevents it from working; null if there is no error.
    """

    status: Literal["working", "stopping", "failing"]
    error: str | None

    @property
    def http_status(self) -> int:
        """The HTTP status of the health endpoint: 200 if the worker or service works, otherwise 503."""
        return 200 if self.status == "working" else 503


def health_of(worker: Worker) -> Health:
    """Return the health of a worker for its health endpoint.

    A worker fails if it has an error, or if it has free capacity but has not looked for runs for a long time.
    """
    standing = worker.state
    trouble = None if standing.trouble is None else standing.trouble.code
    is_late = standing.idle_seconds is not None and standing.idle_seconds > _LATE_SECONDS
    return Health("stopping" if standing.is_stopping else "failing" if trouble or is_late else "working", trouble)


@asynccontextmanager
async def serving_health(worker: Worker, host: str, port: int) -> AsyncIterator[int]:
    """Serve a worker's health over HTTP until the end of the block, and yield the port.

    Monitors send GET requests to this port.

    Raises:
        DefinitionError: The address cannot be used.
    """
    connections = Connections(_MOST_CONNECTIONS, _REQUEST_SECONDS)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.open(writer.transport)
        with suppress(ConnectionError, asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            health = health_of(worker)
            status, body = health.http_status if request.startswith((b"GET ", b"HEAD ")) else 405, encode(health)
            head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(f"HTTP/1.1 {status} \r\n{head}".encode() + body)
            await writer.drain()
        connections.close(writer.transport)
        writer.close()

    try:
        server = await asyncio.start_server(answer, host, port, limit=1 << 14, backlog=_MOST_CONNECTIONS)
    except OSError as error:
        message = f"the health endpoint cannot listen on {host}:{port}: {error.strerror or error}"
        raise DefinitionError(message, repair="choose another port, or 0 for any free port") from error
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


__all__ = ["Health", "health_of", "serving_health"]
