"""A listening socket, and a server whose owner handles the signals."""

from __future__ import annotations

import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import uvicorn

from graphengine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST: Final = "127.0.0.1"


class Server(uvicorn.Server):
    """A server that leaves the signals to its owner; uvicorn's own dies of the signal after it ended."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def listen(port: int, host: str = HOST) -> socket.socket:
    """Listen on a port, by default on 127.0.0.1 only.

    Raises:
        InputError: It is taken, or not allowed, or the host is not one of this machine's.
    """
    listening: socket.socket | None = None
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        if sys.platform != "win32":  # there it would let another program take the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(64)
    except OSError as error:
        if listening is not None:
            listening.close()
        repair = "choose another with --port; --port 0 finds a free one"
        if isinstance(error, socket.gaierror):
            repair = "give an address of this machine, such as 127.0.0.1 or 0.0.0.0"
        raise InputError(
            f"port {port} cannot be used: {error.strerror}", where=f"{host}:{port}", repair=repair
        ) from error
    return listening


__all__ = ["HOST", "Server", "listen"]
