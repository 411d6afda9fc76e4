from collections.abc import Iterator

import pytest

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
    """Our own model server, with nothing played and nothing heard; a call without a scene fails the test."""
    edge_process.reset()
    yield edge_process
    assert edge_process.faults == []
    assert edge_process.unscripted == []
