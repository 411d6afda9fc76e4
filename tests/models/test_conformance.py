"""Every adapter against the conformance suite, with our own server."""

import atexit
import socket

import pytest

from graphengine.models.base import Model
from tests.conformance.model_scenes import Service
from tests.conformance.models import ModelConformance
from tests.models.adapters import adapter
from tests.models.edge_server import EdgeServer, WireService


def free_address() -> str:
    """Return an address without a server: its port stays taken, so that nothing else can begin to listen there."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    atexit.register(taken.close)
    return f"http://127.0.0.1:{taken.getsockname()[1]}"


class Ours(ModelConformance):
    """An adapter, against our own server."""

    path: str
    """The wire."""
    server: EdgeServer
    played: Service

    @pytest.fixture(autouse=True)
    def _on_edge(self, edge: EdgeServer) -> None:
        self.server = edge
        self.played = WireService(edge, self.path)

    def make_service(self) -> Service:
        """Return the server of this test."""
        return self.played

    def make_model(self, service: Service, *, key: str, timeout_seconds: float) -> Model:
        """Return a model of the server."""
        return adapter(self.path, self.server.url, api_key=key, timeout_seconds=timeout_seconds)

    def make_lost_model(self, *, key: str) -> Model:
        """Return a model without a server."""
        return adapter(self.path, free_address(), api_key=key)


class TestAnthropic(Ours):
    """Anthropic's Messages API."""

    path = "/v1/messages"


class TestOpenAI(Ours):
    """OpenAI's Responses API."""

    path = "/v1/responses"


class TestOpenAIChat(Ours):
    """OpenAI's Chat Completions API, which most other servers implement."""

    path = "/v1/chat/completions"
