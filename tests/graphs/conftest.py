"""Fixtures for the tests of the bundled workflows: a local server replaces both providers."""

import pytest

from tests.models.conftest import edge, edge_process, own_hosts
from tests.models.edge_server import EdgeServer

__all__ = ["edge", "edge_process", "own_hosts"]


@pytest.fixture
def provider(edge: EdgeServer, own_hosts: None, monkeypatch: pytest.MonkeyPatch) -> EdgeServer:
    """Return the server that `anthropic:`, `openai:` and `openai-chat:` models call, through the real SDKs.

    Anthropic's has its own host, as the listed prices are for that.
    """
    pytest.importorskip("anthropic")
    pytest.importorskip("openai")
    for name, value in {
        "ANTHROPIC_API_KEY": "sk-test-graphs",
        "ANTHROPIC_BASE_URL": edge.url.replace("127.0.0.1", "api.anthropic.com"),
        "OPENAI_API_KEY": "sk-test-graphs",
        "OPENAI_BASE_URL": edge.openai_url,
    }.items():
        monkeypatch.setenv(name, value)
    return edge
