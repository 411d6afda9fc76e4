from typing import Any, Final

import pytest
from pydantic import BaseModel, JsonValue

from graphengine.models.base import Message, Request, Response, ToolCall, ToolSpec
from graphengine.models.errors import AnswerTorn, BadRequest, ModelError, ModelOverloaded, NoModelServer, RateLimited
from graphengine.models.openai import OpenAIModel
from tests.conformance.model_scenes import Says
from tests.models.acts import Raw
from tests.models.edge_server import EdgeServer
from tests.models.wire import Event

ADD: Final = ToolCall(id="call_1", name="add", arguments='{"a": 2, "b": 3}')
ASK: Final = Message(role="user", text="hi")


class Review(BaseModel):
    score: int
    note: str | None = None


def asked(*messages: Message, **more: Any) -> Request:
    """Return a question, or a conversation."""
    return Request("writer", "be brief", messages or (ASK,), **more)


async def answers(edge: EdgeServer, *scenes: Says | Raw, request: Request | None = None) -> list[Response]:
    """Return a model's answers to these scenes."""
    edge.play(*scenes)
    model = OpenAIModel("gpt-5-mini", base_url=edge.openai_url, api_key="sk-0123456789")
    try:
        return [await model.answer(request or asked()) for _ in scenes]
    finally:
        await model.close()


def whole(output: JsonValue, **more: JsonValue) -> Raw:
    """Return a response with this output."""
    return Raw(body={"id": "r", "object": "response", "status": "completed", "model": "m", "output": output, **more})


def message(text: str, **more: JsonValue) -> JsonValue:
    """Return a message with this text."""
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}], **more}


def streamed(*events: dict[str, JsonValue], broken: bool = False) -> Raw:
    """Return a stream of these events."""
    return Raw(events=tuple(Event(dict(event), str(event["type"])) for event in events), broken=broken)


async def test_a_conversation_is_written_as_the_api_wants_it(edge: EdgeServer) -> None:
    """Questions, summaries, answers, calls and results each have their item; nothing is stored."""
    conversation = (
        Message(role="summary", text="before", covers=3),
        Message(role="user", text="add"),
        Message(role="assistant", text="well", calls=(ADD, ToolCall(id="x" * 99, name="add", arguments="{nope"))),
        Message(role="tool", text="5", call_id="call_1"),
        Message(role="tool", text="no JSON", call_id="x" * 99, is_error=True),
    )
    await answers(edge, Says("5"), request=asked(*conversation))
    body = edge.calls[0].body
    long_id = body["input"][4]["call_id"]
    assert len(long_id) <= 64
    assert body["store"] is False
    assert body["instructions"] == "be brief"
    assert body["input"] == [
        {"role": "user", "content": "before"},
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": "well"},
        {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": ADD.arguments},
        {"type": "function_call", "call_id": long_id, "name": "add", "arguments": '{"not_json": "{nope"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "5"},
        {"type": "function_call_output", "call_id": long_id, "output": "Error: no JSON"},
    ]


async def test_a_schema_is_strict_if_possible(edge: EdgeServer) -> None:
    """The answer's format is native, strict, and has a valid name; without a strict form it is not strict."""
    free: dict[str, JsonValue] = {"type": "object", "additionalProperties": {"type": "integer"}}
    await answers(edge, Says("{}"), request=asked(schema=Review.model_json_schema(), output="Page[int]"))
    await answers(edge, Says("{}"), request=asked(schema=free))
    strict, loose = (call.body["text"]["format"] for call in edge.calls)
    assert strict["type"] == "json_schema"
    assert strict["name"] == "Page_int_"
    assert strict["strict"] is True
    assert strict["schema"]["required"] == ["score", "note"]
    assert loose["strict"] is False
    assert loose["schema"] == free


async def test_tools_are_strict_if_every_argument_is_required(edge: EdgeServer) -> None:
    """A tool with optional arguments is not strict, and keeps its schema."""
    number: JsonValue = {"type": "integer"}
    needed: dict[str, JsonValue] = {"type": "object", "properties": {"a": number}, "required": ["a"]}
    spare: dict[str, JsonValue] = {"type": "object", "properties": {"a": number}}
    tools = [ToolSpec("add", "Adds.", needed), ToolSpec("sum", "Sums.", spare)]
    await answers(edge, Says("a"), request=asked(tools=tools))
    add, total = edge.calls[0].body["tools"]
    assert add == {
        "type": "function",
        "name": "add",
        "description": "Adds.",
        "parameters": {**needed, "additionalProperties": False},
        "strict": True,
    }
    assert total["strict"] is False
    assert total["parameters"] == spare


async def test_the_reason_for_the_end_of_an_answer_is_reported(edge: EdgeServer) -> None:
    """Complete, cut, refused by the model, refused by a filter; calls of a cut answer are not made."""
    call: JsonValue = {"type": "function_call", "call_id": "c", "name": "add", "arguments": '{"a": '}
    cut = whole([call], status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    filtered = whole([message("so")], status="incomplete", incomplete_details={"reason": "content_filter"})
    found = await answers(edge, Says("a"), cut, Says(stop="refused", why="I will not"), filtered)
    assert [(each.stop, each.why, each.calls) for each in found] == [
        ("end", "", ()),
        ("cut", "", ()),
        ("refused", "I will not", ()),
        ("refused", "the provider's content filter", ()),
    ]


def of_answer(found: Response, **more: Any) -> Message:
    """Return an answer as a message of the conversation."""
    message = Message(role="assistant", text=str(found.content), calls=found.calls, native=found.native)
    return message.model_copy(update=more)


SEALED: Final[JsonValue] = {"type": "reasoning", "id": "rs_1", "encrypted_content": "sealed"}
OPENED: Final[JsonValue] = {"type": "reasoning", "id": "rs_1"}


@pytest.mark.parametrize(
    "change",
    [
        {"native": {"provider": "anthropic", "content": [SEALED]}},
        {"native": {"provider": "openai", "content": [SEALED, message("well")]}, "calls": ()},
        {"text": "what a guard made of it"},
        {"calls": ()},
        {"native": {"provider": "HERE", "content": "?"}},
        {"native": {"provider": "HERE", "content": [OPENED, message("well")]}, "calls": ()},
    ],
    ids=["other provider", "other server", "other text", "other calls", "no list", "no seal"],
)
async def test_foreign_native_forms_are_not_sent(edge: EdgeServer, change: dict[str, Any]) -> None:
    """Another server's form, one that differs from the message, and reasoning that lost its seal are omitted."""
    [found] = await answers(edge, Says("well", (ADD,), thinking="sealed"))
    assert found.native is not None
    if change.get("native", {}).get("provider") == "HERE":
        change = {**change, "native": {**change["native"], "provider": found.native["provider"]}}
    message = of_answer(found, **change)
    results = [Message(role="tool", text="5", call_id=call.id) for call in message.calls]
    await answers(edge, Says("5"), request=asked(ASK, message, *results))
    received = edge.received()[1].turns[1]
    assert (received.text, received.calls, received.thinking) == (message.text, message.calls, ())


async def test_a_plain_answer_has_no_native_form(edge: EdgeServer) -> None:
    """A plain answer has no native form, so that a conversation's record is not twice as long."""
    [plain, thoughtful] = await answers(edge, Says("a", (ADD,)), Says("b", thinking="sealed"))
    assert plain.native is None
    assert thoughtful.native is not None


async def test_only_the_final_answer_counts(edge: EdgeServer) -> None:
    """If a message is marked as the final answer, earlier comments are not part of it."""
    output: JsonValue = [message("Let me see.", phase="commentary"), message('{"score": 1}', phase="final_answer")]
    [found] = await answers(edge, whole(output))
    assert found.content == '{"score": 1}'
    assert found.native is not None


async def test_a_stream_whose_end_omits_its_items_is_complete(edge: EdgeServer) -> None:
    """Some servers send each item, and then an end without them."""
    done: dict[str, JsonValue] = {"type": "response.output_item.done", "item": message("hello")}
    end: dict[str, JsonValue] = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    [found] = await answers(edge, streamed(done, end), request=asked(on_text=lambda _: None))
    assert found.content == "hello"


@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        (Raw(body={"message": "Welcome"}), NoModelServer),
        (Raw(body=[1, 2]), NoModelServer),
        (Raw(body=b"pong", headers={"content-type": "text/plain"}), NoModelServer),
        (Raw(body=b"", headers={"content-type": "text/plain"}), AnswerTorn),
        (Raw(body=b"null"), NoModelServer),
        (Raw(body=b"[" * 100_000), AnswerTorn),
        (Raw(body=b'{"output": [{"type": "reasoning", "a": ' + b"[" * 800 + b"]" * 800 + b"}]}"), AnswerTorn),
        (Raw(body=b'{"a": "\xff\xfe"}'), AnswerTorn),
        (Raw(body={"error": {"code": "rate_limit_exceeded", "message": "slow"}}), RateLimited),
        (whole([], status="failed", error={"code": "server_error", "message": "oops"}), ModelOverloaded),
        (whole([], status="failed"), ModelOverloaded),
        (whole([message("a")], status="in_progress"), AnswerTorn),
        (whole("text"), NoModelServer),
    ],
)
async def test_an_invalid_answer_has_its_own_error(edge: EdgeServer, scene: Raw, kind: type[ModelError]) -> None:
    """Any response with status 200 is either an answer or a ModelError."""
    with pytest.raises(ModelError) as caught:
        await answers(edge, scene)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        (streamed({"type": "response.created", "response": {}}), AnswerTorn),
        (streamed({"type": "response.output_text.delta", "delta": "a"}, broken=True), AnswerTorn),
        (streamed({"type": "error", "code": "server_error", "message": "m"}), ModelOverloaded),
        (streamed({"type": "error", "code": "rate_limit_exceeded", "message": "m"}), RateLimited),
        (streamed({"type": "error", "error": {"code": "invalid_value", "message": "m"}}), BadRequest),
        (streamed({"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded"}}}), RateLimited),
        (streamed({"type": "response.completed", "response": None}), AnswerTorn),
        (Raw(events=(Event("{not json"),)), AnswerTorn),
        (Raw(events=(Event("[1]"), Event("3"), Event("[DONE]"))), AnswerTorn),
        (Raw(body=b"<html>hi</html>", headers={"content-type": "text/html"}), NoModelServer),
        (Raw(body=b'{"half": ', headers={"content-type": "application/json"}), AnswerTorn),
    ],
)
async def test_an_invalid_stream_has_its_own_error(edge: EdgeServer, scene: Raw, kind: type[ModelError]) -> None:
    """A stream that ends early, breaks, fails or is not a stream is never accepted as an answer."""
    with pytest.raises(ModelError) as caught:
        await answers(edge, scene, request=asked(on_text=lambda _: None))
    assert type(caught.value) is kind
