from collections.abc import Iterator

import pytest

from tests.models.aimock_server import Aimock, missing
from tests.models.edge_server import EdgeServer


@pytest.fixture(scope="session")
def edge_process() -> Iterator[EdgeServer]:
    """The edge server, started once."""
    server = EdgeServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def edge(edge_process: EdgeServer) -> Iterator[EdgeServer]:
    """Our own model server, with nothing played and nothing heard. A call that it objects to fails the test."""
    edge_process.reset()
    yield edge_process
    assert edge_process.faults == []
    assert edge_process.objections == []
    assert edge_process.unscripted == []


@pytest.fixture(scope="session")
def aimock_process() -> Iterator[Aimock]:
    """The mock server from npm, started once; skipped where it is not installed."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    server = Aimock()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def aimock(aimock_process: Aimock) -> Aimock:
    """The mock server from npm, with the answers of `aimock/fixtures.json` and no calls yet."""
    aimock_process.reset()
    return aimock_process
