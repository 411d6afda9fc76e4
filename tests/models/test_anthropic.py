import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from graphengine.models import sdk
from graphengine.models.anthropic import AnthropicModel
from graphengine.models.anthropic_forms import conversation
from graphengine.models.base import Message, Request, ToolCall
from graphengine.models.errors import (
    ModelUnavailable,
)
from graphengine.models.prices import Price
from graphengine.models.router import Router
from tests.conformance.model_scenes import Says
from tests.models.edge_server import EdgeServer

MY_KEY = "sk-ant-0123456789abcdef"
ASKED = Message(role="user", text="hello")


def model_of(edge: EdgeServer, **more: Any) -> AnthropicModel:
    """Return a model of our server."""
    return AnthropicModel("claude-haiku-4-5", api_key=MY_KEY, base_url=edge.url, **more)


@pytest.fixture
async def model(edge: EdgeServer) -> AsyncIterator[AnthropicModel]:
    """Return the same, closed afterwards."""
    model = model_of(edge, timeout_seconds=20, price=Price(1, 5, cache_read_usd=0.1, cache_write_usd=1.25))
    yield model
    await model.close()


def asks(*, streamed: bool = False, **more: Any) -> Request:
    """Return a question; `streamed` if its text is wanted."""
    return Request("writer", "be brief", [ASKED], on_text=(lambda _: None) if streamed else None, **more)


class TestAnswers:
    async def test_the_window_of_a_listed_model_is_known(self) -> None:
        """It is in the same tables; a router has that of its smallest model."""
        known, own = AnthropicModel("claude-haiku-4-5"), AnthropicModel("my-own", price=Price(1, 2))
        assert (await known.window_tokens(), await own.window_tokens()) == (200_000, None)
        assert await Router([own, known, "openai:gpt-4o", "rules"]).window_tokens() == 128_000

    def test_arguments_that_are_too_deep_are_sent_unchanged(self) -> None:
        """The model sees its own text, next to the tool's error."""
        call = ToolCall(id="t", name="add", arguments="[" * 100_000)
        told = Message(role="tool", call_id="t", text="not JSON", is_error=True)
        made: Any = conversation([ASKED, Message(role="assistant", calls=(call,)), told])
        assert made[1]["content"][0]["input"] == {"unreadable": call.arguments}


class TestFailures:
    @pytest.mark.real_models
    async def test_a_missing_key_and_a_missing_sdk_are_named_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Users learn about a missing key before they install a package, and what else to install; then about that."""
        monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
        monkeypatch.setattr(sdk, "_loaded", {})
        monkeypatch.setitem(sys.modules, "anthropic", None)
        with pytest.raises(ModelUnavailable, match="ANTHROPIC_API_KEY is not set") as caught:
            await AnthropicModel("m").answer(asks())
        assert "api_key=…, and pip install" in caught.value.repair
        assert "Runner(models='rules')" in caught.value.repair
        with pytest.raises(ModelUnavailable, match=r"graphengine\[anthropic\]"):
            await AnthropicModel("m", api_key=MY_KEY).answer(asks())


class TestModel:
    async def test_the_environment_may_name_server_and_key(
        self, edge: EdgeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The environment may name server and key as for the SDK; an address that ends in /v1 is equivalent."""
        monkeypatch.setenv("ANTHROPIC_BASE_URL", edge.openai_url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "from-environment")
        model = AnthropicModel("m")
        edge.play(Says("yes"))
        assert (await model.answer(asks())).content == "yes"
        assert edge.received()[0].key == "from-environment"
        await model.close()

    async def test_many_calls_at_once_are_all_answered(self, edge: EdgeServer, model: AnthropicModel) -> None:
        """With more calls than connections the others wait, without timing out."""
        edge.always(Says("yes"))
        answers = await asyncio.gather(*(model.answer(asks()) for _ in range(250)))
        assert {answer.content for answer in answers} == {"yes"}
