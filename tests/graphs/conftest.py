"""What the tests of the bundled workflows share: both providers stand in for by a server on this machine."""

import pytest

from tests.models.conftest import edge, edge_process
from tests.models.edge_server import EdgeServer

__all__ = ["edge", "edge_process"]


@pytest.fixture
def provider(edge: EdgeServer, monkeypatch: pytest.MonkeyPatch) -> EdgeServer:
    """The server that `anthropic:`, `openai:` and `openai-chat:` models ask, through the real SDKs."""
    pytest.importorskip("anthropic")
    pytest.importorskip("openai")
    for name, value in {
        "ANTHROPIC_API_KEY": "sk-test-graphs",
        "ANTHROPIC_BASE_URL": edge.url,
        "OPENAI_API_KEY": "sk-test-graphs",
        "OPENAI_BASE_URL": edge.openai_url,
    }.items():
        monkeypatch.setenv(name, value)
    return edge
