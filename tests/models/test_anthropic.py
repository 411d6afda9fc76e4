import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from graphengine.models import sdk
from graphengine.models.anthropic import AnthropicModel
from graphengine.models.base import Message, Request, ToolCall
from graphengine.models.errors import (
    AnswerTorn,
    BadRequest,
    ModelOverloaded,
    ModelUnavailable,
    NoModelServer,
    QuotaExceeded,
)
from graphengine.models.prices import Price
from graphengine.models.router import Router
from graphengine.models.settings import Settings
from tests.conformance.model_scenes import Fails, Says
from tests.models.acts import Raw
from tests.models.edge_server import EdgeServer
from tests.models.wire import Event

MY_KEY = "sk-ant-0123456789abcdef"
ASKED = Message(role="user", text="hello")
ADD = ToolCall(id="toolu_1", name="add", arguments='{"a": 2}')


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


both_ways = pytest.mark.parametrize("streamed", [False, True])


class TestAnswers:
    async def test_a_potentially_long_answer_is_streamed_automatically(
        self, edge: EdgeServer, model: AnthropicModel
    ) -> None:
        """A connection without traffic for ten minutes would be cut."""
        edge.always(Says("yes"))
        for max_tokens in (21_333, 21_334):
            assert (await model.answer(asks(settings=Settings(max_tokens=max_tokens)))).content == "yes"
        assert [received.stream for received in edge.received()] == [False, True]

    async def test_a_schema_goes_along_in_the_form_the_api_knows(self, edge: EdgeServer, model: AnthropicModel) -> None:
        """Unsupported keywords move into the description; a schema without a native form goes into the instructions."""
        schema = {"type": "object", "properties": {"score": {"type": "integer", "minimum": 1}}, "required": ["score"]}
        edge.always(Says('{"score": 7}'))
        await model.answer(asks(schema=schema))
        await model.answer(asks(schema={"type": "object", "properties": {"any": {}}}))
        first, second = edge.received()
        assert first.schema == {
            "type": "object",
            "properties": {"score": {"type": "integer", "description": "{minimum: 1}"}},
            "additionalProperties": False,
            "required": ["score"],
        }
        assert second.schema is None
        assert '"any"' in second.system

    async def test_an_answer_that_pauses_twice_has_no_repeated_content(
        self, edge: EdgeServer, model: AnthropicModel
    ) -> None:
        """The content before the first pause is not repeated after the second."""
        for text in ("one ", "two "):
            content = [{"type": "text", "text": text}]
            edge.play(Raw(body={"type": "message", "content": content, "stop_reason": "pause_turn"}))
        edge.play(Says("three"))
        assert (await model.answer(asks())).content == "one two three"
        assert [turn.text for turn in edge.received()[2].turns[1:]] == ["one two "]

    async def test_an_answer_that_only_pauses_ends(self, edge: EdgeServer, model: AnthropicModel) -> None:
        """An answer that only pauses ends; it does not loop forever."""
        edge.always(Raw(body={"type": "message", "content": [], "stop_reason": "pause_turn"}))
        with pytest.raises(AnswerTorn, match="paused more than 8 times"):
            await model.answer(asks())
        assert len(edge.calls) == 9

    async def test_the_window_of_a_listed_model_is_known(self) -> None:
        """It is in the same tables; a router has that of its smallest model."""
        known, own = AnthropicModel("claude-haiku-4-5"), AnthropicModel("my-own", price=Price(1, 2))
        assert (await known.window_tokens(), await own.window_tokens()) == (200_000, None)
        assert await Router([own, known, "openai:gpt-4o", "rules"]).window_tokens() == 128_000


def start(**more: Any) -> Event:
    """Return the start of a stream."""
    message: dict[str, Any] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "c",
        "content": [],
        "stop_reason": None,
    }
    return Event({"type": "message_start", "message": message | more}, "message_start")


def piece(index: int, **delta: Any) -> Event:
    """Return a piece of a block."""
    return Event({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta")


def block(index: int, **block: Any) -> Event:
    """Return the start of a block."""
    return Event({"type": "content_block_start", "index": index, "content_block": block}, "content_block_start")


END = Event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, "message_delta")


class TestStreams:
    async def test_malformed_arguments_are_kept_as_the_model_wrote_them(
        self, edge: EdgeServer, model: AnthropicModel
    ) -> None:
        """The tool's own validation reports them; the turn is continued."""
        thought = block(0, type="thinking", thinking="", signature="s")
        call = block(1, type="tool_use", id="t", name="add", input={})
        edge.play(Raw(events=(start(), thought, call, piece(1, type="input_json_delta", partial_json='{"a": '), END)))
        answer = await model.answer(asks(streamed=True))
        assert answer.calls == (ToolCall(id="t", name="add", arguments='{"a": '),)
        assert answer.native is not None
        content = answer.native["content"]
        assert isinstance(content, list)
        assert content[1] == {"type": "tool_use", "id": "t", "name": "add", "input": {"unreadable": '{"a": '}}

    async def test_citations_and_unknown_events_are_accepted(self, edge: EdgeServer, model: AnthropicModel) -> None:
        """A quoted source is kept in native form; unknown events and pieces are ignored."""
        cited = {"type": "char_location", "cited_text": "x", "document_index": 0}
        edge.play(
            Raw(
                events=(
                    start(usage={"input_tokens": 5, "output_tokens": 1}),
                    Event({"type": "news"}, "news"),
                    block(0, type="text", text="well, "),
                    piece(0, type="text_delta", text="yes"),
                    piece(0, type="citations_delta", citation=cited),
                    piece(0, type="unheard_of", what="ever"),
                    Event({"type": "content_block_stop", "index": 0}, "content_block_stop"),
                    END,
                )
            )
        )
        answer = await model.answer(asks(streamed=True))
        assert (answer.content, answer.input_tokens) == ("well, yes", 5)
        assert answer.native is not None
        assert "char_location" in json.dumps(answer.native)

    @pytest.mark.parametrize(
        "events",
        [
            (Event({"type": "ping"}, "ping"),),
            (END,),
            (start(),),
            (start(), piece(3, type="text_delta", text="nowhere"), END),
            (start(), Event("{torn", "content_block_delta")),
            (start(), Event('"text"', "content_block_delta")),
            (start(), Event({"type": "content_block_delta", "index": 0}, "content_block_delta"), END),
            (Event({"type": "message_start"}, "message_start"), END),
        ],
    )
    async def test_events_that_make_no_message_are_a_torn_answer(
        self, edge: EdgeServer, model: AnthropicModel, events: tuple[Event, ...]
    ) -> None:
        """Whatever exception the SDK raises, it is a ModelError that can be retried."""
        edge.play(Raw(events=events))
        with pytest.raises(AnswerTorn):
            await model.answer(asks(streamed=True))

    async def test_a_server_may_answer_a_stream_request_without_streaming(
        self, edge: EdgeServer, model: AnthropicModel
    ) -> None:
        """A server may answer a stream request without streaming: both forms of the answer are equal."""
        edge.play(
            Raw(body={"type": "message", "content": [{"type": "text", "text": "yes"}], "stop_reason": "end_turn"})
        )
        assert (await model.answer(asks(streamed=True))).content == "yes"


class TestFailures:
    @both_ways
    @pytest.mark.parametrize("body", [b"[1]", b"null", b'{"choices": []}', b'"text"'])
    async def test_another_api_is_not_a_model_server(
        self, edge: EdgeServer, model: AnthropicModel, body: bytes, *, streamed: bool
    ) -> None:
        """The error has the address of a server that returns other JSON."""
        edge.play(Raw(body=body))
        with pytest.raises(NoModelServer, match=f"base_url=; the address is {edge.url}"):
            await model.answer(asks(streamed=streamed))

    async def test_an_unknown_path_is_not_an_unknown_model(self, edge: EdgeServer, model: AnthropicModel) -> None:
        """Only the provider's own 404 is about the model's name."""
        edge.play(Raw(404, {"detail": "Not Found"}))
        with pytest.raises(NoModelServer):
            await model.answer(asks())

    async def test_a_spend_limit_is_not_a_rate_limit(self, edge: EdgeServer, model: AnthropicModel) -> None:
        """It has the same status, but does not pass with time."""
        details = {"error_code": "enforced_spend_limit_reached"}
        body = {"type": "error", "error": {"type": "rate_limit_error", "message": "Stop.", "details": details}}
        edge.play(Raw(429, body))
        with pytest.raises(QuotaExceeded):
            await model.answer(asks())

    async def test_a_setting_that_the_model_does_not_have_is_named(
        self, edge: EdgeServer, model: AnthropicModel
    ) -> None:
        """A setting that the model does not have, such as a newer model's temperature, is named."""
        edge.play(Fails("bad_request", "temperature is not supported by this model"))
        with pytest.raises(BadRequest) as caught:
            await model.answer(asks(settings=Settings(temperature=0.5)))
        assert "leave temperature out" in caught.value.repair

    @pytest.mark.real_models
    async def test_a_missing_sdk_is_named_and_a_missing_key_before_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Users learn about a missing key before they install a package."""
        monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
        monkeypatch.setattr(sdk, "_loaded", {})
        monkeypatch.setitem(sys.modules, "anthropic", None)
        with pytest.raises(ModelUnavailable, match="ANTHROPIC_API_KEY is not set"):
            await AnthropicModel("m").answer(asks())
        with pytest.raises(ModelUnavailable, match=r"graphengine\[anthropic\]"):
            await AnthropicModel("m", api_key=MY_KEY).answer(asks())

    @both_ways
    async def test_an_error_object_with_status_200_is_an_error(
        self, edge: EdgeServer, model: AnthropicModel, *, streamed: bool
    ) -> None:
        """A proxy that makes 200 of every status does not hide it."""
        edge.play(Raw(body={"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}))
        with pytest.raises(ModelOverloaded, match="Overloaded"):
            await model.answer(asks(streamed=streamed))

    async def test_an_empty_question_is_refused_here(self, edge: EdgeServer, model: AnthropicModel) -> None:
        """The provider's own error would be less clear."""
        with pytest.raises(BadRequest, match=r"the question of agent writer to .* is empty"):
            await model.answer(Request("writer", "be brief", [Message(role="user", text=" ")]))
        assert edge.calls == []

    async def test_a_schema_that_utf8_cannot_carry_is_refused(self, edge: EdgeServer, model: AnthropicModel) -> None:
        """A schema that UTF-8 cannot carry is refused, since only its author can fix a name."""
        schema = {"type": "object", "properties": {"a\ud800": {"type": "string"}}}
        with pytest.raises(BadRequest, match="a lone surrogate"):
            await model.answer(asks(schema=schema))
        assert edge.calls == []


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
