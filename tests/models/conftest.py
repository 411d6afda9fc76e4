import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from graphengine.models import limiter, sdk
from tests.models.adapters import PATHS, Made, adapter
from tests.models.edge_server import EdgeServer


@pytest.fixture(scope="session")
def edge_process() -> Iterator[EdgeServer]:
    """Start the edge server once."""
    server = EdgeServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def edge(edge_process: EdgeServer) -> Iterator[EdgeServer]:
    """Return our own model server, without scenes and calls. A call to which it objects fails the test."""
    edge_process.reset()
    limiter._NAMED.clear()  # noqa: SLF001 - models of earlier tests have the same address, and their limiters may be closed
    yield edge_process
    assert edge_process.faults == []
    assert edge_process.objections == []
    assert edge_process.unscripted == []


@pytest.fixture(params=PATHS)
async def model(request: pytest.FixtureRequest, edge: EdgeServer) -> AsyncIterator[Made]:
    """Return each adapter in turn."""
    made = adapter(request.param, edge.url, native_schema=True)
    yield made
    await made.close()


OWN_HOSTS = "api.anthropic.com", "api.openai.com", "eu.api.openai.com"


@pytest.fixture
def own_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead the providers' own hosts to this machine, where models may be called in a test."""
    real = socket.getaddrinfo
    monkeypatch.setattr("graphengine.models.sdk._LOCAL", (*sdk._LOCAL, *OWN_HOSTS))  # noqa: SLF001 - they are local here

    def found(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return real("127.0.0.1" if name in OWN_HOSTS else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.fixture
def own_url(edge: EdgeServer, own_hosts: None) -> str:
    """Return an address of OpenAI's own host, which leads to the edge server."""
    return edge.openai_url.replace("127.0.0.1", "api.openai.com")
