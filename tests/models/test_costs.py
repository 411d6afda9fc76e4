"""A cost is shown as known only if the price tables, or the user's price, cover all of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graphengine.media import Media
from graphengine.models import AnthropicModel, BedrockModel, OpenAIChatModel, OpenAIModel, Price
from graphengine.models.base import Message, Request
from tests.models.acts import Raw
from tests.models.wire import Event

if TYPE_CHECKING:
    from graphengine.models.base import Response
    from tests.models.edge_server import EdgeServer

MANY = 1_000_000
PRICE = Price(1, 2)


def asks(*, streamed: bool = False) -> Request:
    """Return a question."""
    question = Message(role="user", text="hello")
    return Request("writer", "", [question], on_text=(lambda _: None) if streamed else None)


async def messages(edge: EdgeServer, usage: dict[str, Any], **more: Any) -> Response:
    """Return an answer of Anthropic's own host with this usage."""
    own = edge.url.replace("127.0.0.1", "api.anthropic.com")
    model = AnthropicModel("claude-haiku-4-5", api_key="k", base_url=own, **more)
    usage = {"input_tokens": MANY, "output_tokens": 0} | usage
    content = [{"type": "text", "text": "yes"}]
    edge.play(Raw(body={"type": "message", "content": content, "stop_reason": "end_turn", "usage": usage}))
    answer = await model.answer(asks())
    await model.close()
    return answer


@pytest.mark.usefixtures("own_hosts")
class TestAnthropic:
    @pytest.mark.parametrize(
        "usage",
        [
            {},
            {"service_tier": "standard", "inference_geo": "global", "speed": "standard"},
            {"service_tier": None, "inference_geo": "not_available"},
            {"iterations": [{"type": "message", "input_tokens": MANY, "output_tokens": 0}]},
            {"server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 3}},
        ],
    )
    async def test_the_standard_price_is_known(self, edge: EdgeServer, usage: dict[str, Any]) -> None:
        """What a standard call reports does not change its price."""
        assert (await messages(edge, usage)).cost_usd == pytest.approx(1.0)

    @pytest.mark.parametrize(
        "usage",
        [
            {"service_tier": "priority"},
            {"service_tier": "one of tomorrow"},
            {"inference_geo": "us"},
            {"speed": "fast"},
            {"fallback_credit": {"status": {"type": "redeemed"}}},
            {"iterations": [{"type": "advisor_message", "model": "other", "input_tokens": 5, "output_tokens": 5}]},
        ],
    )
    async def test_what_the_tables_do_not_cover_is_unknown(self, edge: EdgeServer, usage: dict[str, Any]) -> None:
        """Another class of service, region or speed, a credit or another model has another price."""
        assert (await messages(edge, usage)).cost_usd is None
        assert (await messages(edge, usage, price=PRICE)).cost_usd == pytest.approx(1.0)

    async def test_one_part_of_an_answer_that_paused_is_enough(self, edge: EdgeServer) -> None:
        """The class of service of each part counts, also if a later part has the standard one."""
        own = edge.url.replace("127.0.0.1", "api.anthropic.com")
        model = AnthropicModel("claude-haiku-4-5", api_key="k", base_url=own)
        for tiers, known in ((("priority", "standard"), False), (("standard", "standard"), True)):
            for tier, reason in zip(tiers, ("pause_turn", "end_turn"), strict=True):
                usage = {"input_tokens": 9, "output_tokens": 1, "service_tier": tier}
                content = [{"type": "text", "text": "yes"}]
                edge.play(Raw(body={"type": "message", "content": content, "stop_reason": reason, "usage": usage}))
            assert ((await model.answer(asks())).cost_usd is not None) is known
        await model.close()


class TestAddresses:
    async def test_only_a_providers_own_address_has_its_prices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy, a region or a cloud may bill something else; a given price always applies."""
        monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
        assert await AnthropicModel("claude-haiku-4-5").knows_price()
        assert await AnthropicModel("claude-haiku-4-5", base_url="https://api.anthropic.com/v1").knows_price()
        bedrock = "anthropic.claude-haiku-4-5-20251001-v1:0"
        assert await BedrockModel(bedrock, region="us-east-1").knows_price()
        for elsewhere in (
            AnthropicModel("claude-haiku-4-5", base_url="https://models.example"),
            BedrockModel(bedrock, region="us-east-1", base_url="https://models.example"),
            OpenAIModel("gpt-5-mini", base_url="https://eu.api.openai.com/v1"),
        ):
            assert not await elsewhere.knows_price()
        assert await AnthropicModel("m", base_url="https://models.example", price=PRICE).knows_price()

    async def test_the_environments_address_counts_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The address is where the call goes, however it was set."""
        monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://models.example")
        assert not await AnthropicModel("claude-haiku-4-5").knows_price()


def chat(usage: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an answer of Chat Completions."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}
    return {"choices": [choice], "usage": {"prompt_tokens": MANY, "completion_tokens": 0} | usage, **more}


async def completed(edge: EdgeServer, url: str, model: str, body: dict[str, Any], price: Price | None = None) -> Any:
    """Return the cost of an answer of Chat Completions."""
    made = OpenAIChatModel(model, api_key="k", base_url=url, price=price)
    edge.play(Raw(body=body))
    answer = await made.answer(asks())
    await made.close()
    return answer.cost_usd


class TestOpenAI:
    async def test_sound_has_its_own_price(self, edge: EdgeServer, own_url: str) -> None:
        """Tokens of sound cost what the tables have for sound, else an unknown amount, never as much as text."""
        heard = {"prompt_tokens_details": {"audio_tokens": MANY}}
        spoken = {"completion_tokens": MANY, "completion_tokens_details": {"audio_tokens": MANY}}
        assert await completed(edge, own_url, "gpt-audio", chat({})) == pytest.approx(2.5)
        assert await completed(edge, own_url, "gpt-audio", chat(heard)) == pytest.approx(32)
        assert await completed(edge, own_url, "gpt-audio", chat(heard | spoken)) == pytest.approx(32 + 64)
        assert await completed(edge, own_url, "gpt-4o-audio-preview", chat(heard)) is None
        assert await completed(edge, own_url, "gpt-audio", chat(spoken)) == pytest.approx(2.5 + 64)
        assert await completed(edge, own_url, "gpt-audio", chat(heard), PRICE) == pytest.approx(1)

    async def test_sound_that_is_not_counted_apart_is_unknown(self, edge: EdgeServer, own_url: str) -> None:
        """A server may report only the sum of text and sound."""
        model = OpenAIChatModel("gpt-audio", api_key="k", base_url=own_url)
        media = (Media(type="audio/wav", data="AAAA"),)
        edge.play(Raw(body=chat({})))
        answer = await model.answer(Request("writer", "", [Message(role="user", text="[media 1]", media=media)]))
        await model.close()
        assert answer.cost_usd is None

    @pytest.mark.parametrize(("tier", "known"), [("default", True), ("priority", False), ("one of tomorrow", False)])
    async def test_the_class_of_service_of_a_stream_counts(
        self, edge: EdgeServer, own_url: str, tier: str, *, known: bool
    ) -> None:
        """Chat Completions names it in the pieces of a stream."""
        piece = {"choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}]}
        usage = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}
        edge.play(Raw(events=(Event(piece | {"service_tier": tier}), Event(usage), Event("[DONE]"))))
        model = OpenAIChatModel("gpt-5-mini", api_key="k", base_url=own_url)
        answer = await model.answer(asks(streamed=True))
        await model.close()
        assert (answer.cost_usd is not None) is known

    async def test_the_fee_of_a_searching_model_is_unknown(self, edge: EdgeServer, own_url: str) -> None:
        """Chat Completions does not say how often such a model searched, and each search has a fee."""
        assert await completed(edge, own_url, "gpt-4o-search-preview", chat({})) is None

    @pytest.mark.parametrize("kind", ["code_interpreter_call", "file_search_call", "image_generation_call"])
    async def test_the_fees_of_other_tools_are_unknown(self, edge: EdgeServer, own_url: str, kind: str) -> None:
        """The provider bills them besides the tokens."""
        usage = {"input_tokens": 9, "output_tokens": 1}
        edge.play(Raw(body={"status": "completed", "usage": usage, "output": [{"type": kind, "id": "x"}]}))
        model = OpenAIModel("gpt-5-mini", api_key="k", base_url=own_url)
        assert (await model.answer(asks())).cost_usd is None
        await model.close()

    async def test_a_failed_call_has_the_same_price(self, edge: EdgeServer, own_url: str) -> None:
        """The class of service of a call that failed counts as well."""
        usage = {"input_tokens": 9, "output_tokens": 1}
        body = {"status": "queued", "usage": usage, "output": [], "service_tier": "priority"}
        edge.play(Raw(body=body))
        model = OpenAIModel("gpt-5-mini", api_key="k", base_url=own_url)
        with pytest.raises(Exception, match="incomplete answer") as caught:
            await model.answer(asks())
        await model.close()
        assert getattr(caught.value, "usage", {})["cost_usd"] is None
