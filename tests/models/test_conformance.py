"""Every adapter against the conformance suite: with our own server, and with aimock if it is installed."""

import atexit
import socket

import pytest

from graphengine.models.base import Model
from tests.conformance.model_scenes import Service
from tests.conformance.models import ModelConformance
from tests.models.adapters import adapter
from tests.models.aimock_server import Aimock, AimockService
from tests.models.edge_server import EdgeServer, WireService

HAPPY = (
    "test_an_answer_comes_back_unchanged",
    "test_a_question_arrives_unchanged",
    "test_a_conversation_arrives_in_order",
    "test_a_summary_is_sent_as_a_users_message",
    "test_settings_that_a_model_lacks_are_ignored",
    "test_an_answer_that_was_cut_is_marked",
    "test_a_schema_and_tools_can_be_combined",
    "test_tools_arrive_and_are_called",
    "test_one_answer_can_have_several_calls",
    "test_results_are_sent_with_the_ids_of_their_calls",
    "test_a_tools_error_is_sent_as_an_error",
    "test_another_providers_form_is_ignored",
    "test_pieces_join_to_the_text",
    "test_calls_run_concurrently",
    "test_a_closed_model_can_be_used_again",
    "test_a_model_serves_one_event_loop_after_another",
    "test_plain_usage_is_reported",
    "test_a_known_price_gives_a_cost",
)
"""The scenes that aimock can play and report in its journal."""


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
    server: EdgeServer | Aimock
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


@pytest.mark.parametrize("truth", HAPPY)
@pytest.mark.parametrize("suite", [TestAnthropic, TestOpenAI, TestOpenAIChat])
def test_on_aimock(suite: type[Ours], truth: str, aimock: Aimock) -> None:
    """The suite passes with a third-party server, too."""
    ours = suite()
    ours.server, ours.played = aimock, AimockService(aimock)
    getattr(ours, truth)()
