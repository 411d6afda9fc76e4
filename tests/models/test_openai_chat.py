from typing import Any, Final

import pytest
from pydantic import BaseModel, JsonValue

from graphengine.models.base import Message, Request, Response, Stop, ToolCall, ToolSpec
from graphengine.models.errors import (
    AnswerTorn,
    BadRequest,
    ContextFull,
    ModelError,
    ModelOverloaded,
    NoModelServer,
    RateLimited,
)
from graphengine.models.openai_chat import OpenAIChatModel
from tests.conformance.model_scenes import Says
from tests.models.acts import Raw
from tests.models.edge_server import EdgeServer
from tests.models.wire import Event

ADD: Final = ToolCall(id="call_1", name="add", arguments='{"a": 2, "b": 3}')
ASK: Final = Message(role="user", text="hi")
TOOL: Final = ToolSpec("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})


class Review(BaseModel):
    score: int
    note: str | None = None


def asked(*messages: Message, **more: Any) -> Request:
    """Return a question, or a conversation."""
    return Request("writer", "be brief", messages or (ASK,), **more)


async def answer(edge: EdgeServer, scene: Says | Raw, request: Request | None = None, **more: Any) -> Response:
    """Return a model's answer to a scene."""
    edge.play(scene)
    model = OpenAIChatModel("qwen3:8b", base_url=edge.openai_url, **more)
    try:
        return await model.answer(request or asked())
    finally:
        await model.close()


def watched(**more: Any) -> Request:
    """Return a question whose answer is streamed."""
    return asked(on_text=lambda _: None, **more)


def whole(message: JsonValue, finish: str | None = "stop", **more: JsonValue) -> Raw:
    """Return a completion with this message."""
    return Raw(body={"choices": [{"index": 0, "message": message, "finish_reason": finish}], **more})


def call(name: str, arguments: JsonValue, **more: JsonValue) -> JsonValue:
    """Return a tool call, or a piece of one."""
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


def events(*bodies: Any) -> Raw:
    """Return a stream of these events."""
    return Raw(events=tuple(map(Event, bodies)))


def chunks(*deltas: Any, finish: str | None = "stop") -> Raw:
    """Return a stream of these deltas."""
    bodies: list[Any] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    return events(*bodies, end, "[DONE]")


async def test_a_conversation_is_written_as_the_api_wants_it(edge: EdgeServer) -> None:
    """Instructions, questions, summaries, answers, calls and results; no other provider's native form."""
    conversation = (
        Message(role="summary", text="before", covers=3),
        Message(role="assistant", text="so", native={"provider": "anthropic", "content": []}),
        Message(role="user", text="add"),
        Message(role="assistant", calls=(ADD, ToolCall(id="", name="add", arguments="{nope"))),
        Message(role="tool", text="5", call_id="call_1"),
        Message(role="tool", text="no JSON", call_id="", is_error=True),
    )
    await answer(edge, Says("5"), asked(*conversation))
    body = edge.calls[0].body
    made_id = body["messages"][4]["tool_calls"][1]["id"]
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "before"},
        {"role": "assistant", "content": "so"},
        {"role": "user", "content": "add"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [call("add", ADD.arguments, id="call_1"), call("add", '{"not_json": "{nope"}', id=made_id)],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "5"},
        {"role": "tool", "tool_call_id": made_id, "content": "Error: no JSON"},
    ]
    assert body.keys() == {"model", "messages"}


async def test_a_schema_is_native(edge: EdgeServer) -> None:
    """The server enforces the schema, strictly."""
    await answer(edge, Says("{}"), asked(schema=Review.model_json_schema(), output="Review"))
    form = edge.calls[0].body["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["name"] == "Review"
    assert form["json_schema"]["strict"] is True
    assert form["json_schema"]["schema"]["required"] == ["score", "note"]


async def test_a_schema_can_be_put_into_the_instructions(edge: EdgeServer) -> None:
    """For a server without support for schemas it is put into the instructions, unchanged."""
    await answer(edge, Says("{}"), asked(schema=Review.model_json_schema()), native_schema=False)
    body = edge.calls[0].body
    assert "response_format" not in body
    assert body["messages"][0]["content"].startswith("be brief\n\n")
    assert '"required": ["score"]' in body["messages"][0]["content"]


async def test_only_a_strict_tool_is_marked(edge: EdgeServer) -> None:
    """`strict` is omitted if it is false: not every server knows it."""
    needed: dict[str, JsonValue] = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    await answer(edge, Says("a"), asked(tools=[TOOL, ToolSpec("sum", "Sums.", needed)]))
    spare, strict = (tool["function"] for tool in edge.calls[0].body["tools"])
    assert spare == {"name": "add", "description": "Adds.", "parameters": TOOL.schema}
    assert strict["strict"] is True
    assert strict["parameters"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("finish", "message", "stop"),
    [
        ("stop", {"content": "a"}, "end"),
        (None, {"content": "a"}, "end"),
        ("eos", {"content": "a"}, "end"),
        ("stop", {"content": "", "tool_calls": [call("add", "{}", id="c")]}, "tools"),
        ("length", {"content": "a", "tool_calls": [call("add", '{"a"', id="c")]}, "cut"),
        ("content_filter", {"content": None}, "refused"),
        ("stop", {"content": None, "refusal": "I will not"}, "refused"),
        ("model_context_window_exceeded", {"content": "a"}, "full"),
    ],
)
async def test_the_reason_for_the_end_of_an_answer_is_reported(
    edge: EdgeServer, finish: str | None, message: JsonValue, stop: Stop
) -> None:
    """Servers' reasons are mapped to ours; calls are made only if the answer is complete."""
    found = await answer(edge, whole(message, finish))
    assert found.stop == stop
    assert bool(found.calls) is (stop == "tools")
    assert bool(found.why) is (stop == "refused")


async def test_ids_that_a_server_leaves_out_are_made(edge: EdgeServer) -> None:
    """Each call has a unique id, even if the server sends none, or the same for all."""
    message: JsonValue = {"content": None, "tool_calls": [call("a", "{}", id=each) for each in ("", "x", "x")]}
    found = await answer(edge, whole(message, "tool_calls"))
    assert len({each.id for each in found.calls}) == 3
    assert all(each.id for each in found.calls)


@pytest.mark.parametrize(
    ("given", "read"),
    [('{"a": 1}', '{"a": 1}'), ({"a": 1}, '{"a": 1}'), ("", "{}"), (None, "{}"), ('{"a": ', '{"a": '), ([1], "[1]")],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_arguments_are_kept_unchanged(
    edge: EdgeServer,
    given: JsonValue,
    read: str,
    stream: bool,  # noqa: FBT001
) -> None:
    """Malformed JSON is not repaired here, an object becomes its text, and missing arguments become {}."""
    piece = call("add", given, id="c", index=0)
    scene = chunks({"tool_calls": [piece]}) if stream else whole({"tool_calls": [piece]})
    found = await answer(edge, scene, watched() if stream else None)
    assert [each.arguments for each in found.calls] == [read]


@pytest.mark.parametrize(
    "deltas",
    [
        [
            call("a", "{1", id="x", index=0),
            call("b", "{2", id="y", index=1),
            call("", "}", index=0),
            call("", "}", index=1),
        ],
        [
            call("a", "{1", id="x", index=0),
            call("", "}", index=0),
            call("b", "{2", id="y", index=0),
            call("", "}", index=0),
        ],
        [call("a", "{1", id="x"), call("", "}"), call("b", "{2", id="y"), call("", "}")],
        [call("a", "{1}", id="x", index=0), call("b", "{2}", id="y", index=0)],
        [call("a", "{1", id="x", index=0), call("a", "}", id="x", index=0), call("b", "{2}", id="y", index=1)],
    ],
    ids=["as it should be", "index always 0", "no index", "whole calls", "id repeated"],
)
async def test_calls_are_put_together_from_pieces(edge: EdgeServer, deltas: list[JsonValue]) -> None:
    """Pieces of several calls arrive together, in each of the ways in which servers number them."""
    found = await answer(edge, chunks(*({"tool_calls": [each]} for each in deltas), finish="tool_calls"), watched())
    assert found.calls == (ToolCall(id="x", name="a", arguments="{1}"), ToolCall(id="y", name="b", arguments="{2}"))


async def test_content_in_parts_is_joined(edge: EdgeServer) -> None:
    """Some servers send the content in parts, including thinking."""
    parts: JsonValue = [
        {"type": "thinking", "text": "hm"},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    assert (await answer(edge, whole({"content": parts}))).content == "ab"


async def test_usage_is_asked_for_in_streams(edge: EdgeServer) -> None:
    """A stream reports its usage only on request; one without usage is an answer too."""
    found = await answer(edge, Says("a", counted=None), watched())
    assert edge.calls[0].body["stream_options"] == {"include_usage": True}
    assert (found.input_tokens, found.output_tokens, found.cost_usd) == (0, 0, None)


async def test_the_error_of_a_server_without_schemas_has_a_repair(edge: EdgeServer) -> None:
    """The error of a refused request suggests native_schema=False, and no tools, only if the request had them."""
    refused = Raw(400, {"error": {"message": "unknown field", "type": "invalid_request_error"}})
    with pytest.raises(BadRequest) as schema:
        await answer(edge, refused, asked(schema=Review.model_json_schema()))
    with pytest.raises(BadRequest) as tools:
        await answer(edge, refused, asked(tools=[TOOL], schema=Review.model_json_schema()), native_schema=False)
    assert "native_schema=False" in schema.value.repair
    assert "tools" not in schema.value.repair
    assert "native_schema" not in tools.value.repair
    assert "tools=" in tools.value.repair


@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        (Raw(body={"message": "Welcome"}), NoModelServer),
        (Raw(body={"error": "model is loading"}), ModelOverloaded),
        (Raw(body={"error": {"code": 429, "message": "slow"}}), RateLimited),
        (Raw(body={"choices": []}), AnswerTorn),
        (Raw(body={"choices": None}), AnswerTorn),
        (Raw(body={"choices": [{"error": {"code": 502, "message": "upstream"}}]}), ModelOverloaded),
        (whole({"content": ""}, "error"), ModelOverloaded),
        (whole({"content": ""}, "network_error"), AnswerTorn),
        (Raw(404, b"404 page not found", headers={"content-type": "text/plain"}), NoModelServer),
    ],
)
async def test_an_invalid_answer_has_its_own_error(edge: EdgeServer, scene: Raw, kind: type[ModelError]) -> None:
    """A server's error instead of an answer has the matching class."""
    with pytest.raises(ModelError) as caught:
        await answer(edge, scene)
    assert type(caught.value) is kind
    assert kind is not NoModelServer or "/v1" in caught.value.repair


@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        (chunks({"content": "a"}, finish=None), AnswerTorn),
        (Raw(events=(Event({"choices": [{"delta": {"content": "a"}}]}),), broken=True), AnswerTorn),
        (events("[DONE]"), AnswerTorn),
        (events({"error": {"message": "too long", "code": "context_length_exceeded"}}), ContextFull),
        (events({"error": "boo"}), ModelOverloaded),
        (events({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}), RateLimited),
        (events({"object": "error", "message": "slow", "code": 429}), RateLimited),
        (events({"choices": [{"error": {"message": "upstream", "code": 502}}]}), ModelOverloaded),
        (events({"choices": None}, {"choices": [None]}, 3), AnswerTorn),
    ],
)
async def test_an_invalid_stream_has_its_own_error(edge: EdgeServer, scene: Raw, kind: type[ModelError]) -> None:
    """A stream that ends early, breaks or fails is never accepted as an answer."""
    with pytest.raises(ModelError) as caught:
        await answer(edge, scene, watched())
    assert type(caught.value) is kind
