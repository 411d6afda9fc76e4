"""A listening socket, and a server with limited connections whose owner handles the signals.

uvicorn's own options do not limit connections well: `limit_concurrency` answers 503 to everybody once a request is
complete, and `timeout_keep_alive` only begins after the first answer.
"""

from __future__ import annotations

import socket
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from graphengine.errors import InputError
from graphengine.serve.connections import Connections, most_connections

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

HOST: Final = "127.0.0.1"
_BURST: Final = 32
"""How many connections the event loop accepts in one iteration, before it can refuse any of these."""
_NEAR: Final = 20
"""How many ports are tried before any free port is used."""
_QUEUE: Final = 1024
"""How many connections the operating system holds until they are accepted."""


class _LimitedState(ServerState):
    def __init__(self) -> None:
        super().__init__()
        self.limited = Connections(most_connections())


class _Protocol(H11Protocol):
    """A connection of a server to an HTTP client, which reports to `Connections` whose turn it is: server or client.

    `Connections` closes connections that have waited too long for their client.
    """

    server_state: _LimitedState
    cycle: RequestResponseCycle | None  # type: ignore[assignment]  # None before the first request

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.server_state.limited.open(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.server_state.limited.close(self.transport)

    def handle_events(self) -> None:
        super().handle_events()
        self._note()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._note()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._note()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._note()

    def _note(self) -> None:
        request, limited = self.cycle, self.server_state.limited
        if request is None or request.more_body or request.response_complete or self.flow.write_paused:
            limited.wait(self.transport)
        else:
            limited.work(self.transport)


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals such as Ctrl-C to the program that starts the server.

    uvicorn's own server handles signals, and raises them again after it has ended.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        config.http, config.backlog = _Protocol, _BURST
        super().__init__(config)
        self.server_state = _LimitedState()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or []:
            each.listen(_QUEUE)  # asyncio uses one number for the burst and the queue

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle no signals."""
        yield


def listen(port: int, host: str = HOST) -> socket.socket:
    """Listen on a port, by default on 127.0.0.1 only.

    Raises:
        InputError: The port is taken or not allowed, or the host is not an address of this machine.
    """
    listening: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Asyncio turns Nagle's algorithm off only if the protocol is given.
        listening = socket.socket(family, kind, protocol)
        if sys.platform != "win32":  # on Windows, this option would let another program take the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(64)
    except OSError as error:
        if listening is not None:
            listening.close()
        repair = "choose another port with --port, or any free port with --port 0"
        if isinstance(error, socket.gaierror):
            repair = "give an address of this machine, such as 127.0.0.1 or 0.0.0.0"
        raise InputError(
            f"port {port} cannot be used: {error.strerror}", where=f"{host}:{port}", repair=repair
        ) from error
    return listening


def listen_near(port: int, host: str = HOST) -> socket.socket:
    """Listen on `port`, or on a free port near it if `port` is taken.

    If the next ports are taken as well, any free port is used.

    Raises:
        InputError: No port can be used, or the host is not an address of this machine.
    """
    for each in range(port, port + _NEAR):
        with suppress(InputError):
            return listen(each, host)
    return listen(0, host)


def url_of(listening: socket.socket) -> str:
    address, port = listening.getsockname()[:2]
    return f"http://{f'[{address}]' if ':' in address else address}:{port}"


__all__ = ["HOST", "Server", "listen", "listen_near", "url_of"]
