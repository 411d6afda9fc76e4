"""Fixtures for the tests of the bundled workflows: a local server replaces both providers."""

import pytest

from tests.models.conftest import edge, edge_process
from tests.models.edge_server import EdgeServer

__all__ = ["edge", "edge_process"]


@pytest.fixture
def provider(edge: EdgeServer, monkeypatch: pytest.MonkeyPatch) -> EdgeServer:
    """Return the server that `anthropic:`, `openai:` and `openai-chat:` models call, through the real SDKs."""
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
