from typing import Any

from graphengine import Message
from graphengine.models import ToolCall
from tests.models.acts import Raw
from tests.models.wire import Event

ADD = ToolCall(id="call_1", name="add", arguments='{"a": 2, "b": 3}')
ODD = ToolCall(id="x" * 99, name="add", arguments="{nope")
INT = {"type": "integer"}
REVIEW = {
    "type": "object",
    "properties": {"score": INT, "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}},
    "required": ["score"],
}
FREE = {"type": "object", "additionalProperties": INT}
NEEDED = {"type": "object", "properties": {"a": INT}, "required": ["a"]}
SPARE = {"type": "object", "properties": {"a": INT}}
CUT = {"type": "function_call", "call_id": "c", "name": "add", "arguments": '{"a": '}
ITEM = {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{}", "signature": "s"}
DONE = Message(role="tool", text="5", call_id="call_1")


def whole(output, **more):
    return Raw(body={"id": "r", "object": "response", "status": "completed", "model": "m", "output": output, **more})


def message(text, **more):
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}], **more}


def events(*given, broken=False):
    return Raw(events=tuple(Event(dict(event), str(event["type"])) for event in given), broken=broken)


REASONING: Any = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
CALL: Any = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "add", "arguments": "{}"}
SEALED = Message(
    role="assistant",
    calls=(ToolCall(id="call_1", name="add"), ToolCall(id="call_1", name="add")),
    native={"provider": "openai", "content": [REASONING, CALL, CALL]},
)
TWICE = (SEALED, DONE, Message(role="tool", text="6", call_id="call_1"))
