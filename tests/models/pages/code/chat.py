from graphengine import Message
from graphengine.models import ToolCall, ToolSpec
from tests.models.acts import Raw
from tests.models.wire import Event

ADD = ToolCall(id="call_1", name="add", arguments='{"a": 2, "b": 3}')
INT = {"type": "integer"}
TOOL = ToolSpec("add", "Adds.", {"type": "object", "properties": {"a": INT}})
STRICT = ToolSpec("sum", "Sums.", {"type": "object", "properties": {"a": INT}, "required": ["a"]})
REVIEW = {
    "type": "object",
    "properties": {"score": INT, "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}},
    "required": ["score"],
}
REFUSED = Raw(400, {"error": {"message": "unknown field", "type": "invalid_request_error"}})
NO_FORM = Raw(400, {"error": {"message": "This response_format type is unavailable now"}})
NO_TOOLS = Raw(400, {"error": "registry.ollama.ai/library/m does not support tools"})
WANTS_THINKING = Raw(400, {"error": {"message": "The `reasoning_content` in the thinking mode must be passed back"}})
ODD = ToolCall(id="call_1", name="add it", arguments="null")
DONE = Message(role="tool", text="5", call_id="call_1")
SIGNED = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "add", "arguments": '{"first": 2, "second": 3}'},
    "extra_content": {"google": {"thought_signature": "c2lnbmVk"}},
}
THOUGHT = {
    "role": "assistant",
    "content": None,
    "reasoning_content": "I add them up.",
    "refusal": None,
    "annotations": [],
    "tool_calls": [SIGNED],
}


def whole(message, finish="stop", **more):
    return Raw(body={"choices": [{"index": 0, "message": message, "finish_reason": finish}], **more})


def call(name, arguments, **more):
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


def events(*bodies):
    return Raw(events=tuple(map(Event, bodies)))


def chunks(*deltas, finish="stop"):
    bodies = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return events(*bodies, {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}, "[DONE]")


def pieces(*calls):
    return chunks(*({"tool_calls": [each]} for each in calls), finish="tool_calls")


def thinking(thought):
    message = {"content": None, "reasoning_content": thought, "tool_calls": [call("add", "{}", id="call_1")]}
    return whole(message, "tool_calls")
