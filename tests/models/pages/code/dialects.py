from graphengine import Media, Message, Settings
from graphengine.models import ToolCall, ToolSpec
from tests.models.acts import Raw

INT = {"type": "integer"}
TOOL = ToolSpec("add", "Adds.", {"type": "object", "properties": {"a": INT}})
STRICT = ToolSpec("sum", "Sums.", {"type": "object", "properties": {"a": INT}, "required": ["a"]})
LONG = [
    Message(role="user", text="add"),
    Message(role="assistant", calls=(ToolCall(id="call_1", name="add", arguments='{"a": 2}'),)),
    Message(role="tool", text="5", call_id="call_1"),
]
USER = Message(role="user", text="and now?")


def refuses(words):
    return Raw(400, {"error": {"message": words, "type": "invalid_request_error"}})


def whole(message, finish):
    return Raw(body={"choices": [{"index": 0, "message": message, "finish_reason": finish}]})
