from graphengine import Message
from graphengine.models import ToolCall, ToolSpec
from tests.conformance.model_scenes import Fails
from tests.models.acts import Raw
from tests.models.wire import Event

ADD = ToolCall(id="toolu_1", name="add", arguments='{"a": 2}')
PAUSE = {"type": "message", "stop_reason": "pause_turn"}
SCORE = {"type": "object", "properties": {"score": {"type": "integer", "minimum": 1}}, "required": ["score"]}
TOOLS = [ToolSpec("one", "first", {"properties": {}}), ToolSpec("two", "second", {"properties": {}})]
END = Event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, "message_delta")
USAGE = {
    "input_tokens": 3,
    "cache_read_input_tokens": 10,
    "cache_creation_input_tokens": 30,
    "output_tokens": 7,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    "output_tokens_details": {"thinking_tokens": 5},
}
CITED = {"type": "char_location", "cited_text": "x", "document_index": 0}


def text(content):
    return {"type": "text", "text": content}


def whole(*content, **more):
    return Raw(body={"type": "message", "content": [*content], "stop_reason": "end_turn", **more})


def calling(written):
    return Message(role="assistant", calls=(ToolCall(id="t", name="add", arguments=written),))


def start(**more):
    head = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [], "stop_reason": None}
    return Event({"type": "message_start", "message": head | more}, "message_start")


def block(index, **block):
    return Event({"type": "content_block_start", "index": index, "content_block": block}, "content_block_start")


def piece(index, **delta):
    return Event({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta")


def events(*given):
    return Raw(events=given)


USER, DONE = Message(role="user", text="hello"), Message(role="tool", text="5", call_id="t")
CUT = {"type": "tool_use", "id": "t", "name": "add", "input": {"a": 1}}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}
QUOTED = {"type": "text", "text": "yes", "citations": [{"type": "page_location"}]}

TOO_LARGE = "output_config.format.schema: The compiled grammar is too large. Simplify your tool schemas."
GRAMMAR = Fails("bad_request", TOO_LARGE)
NO_FORM = Fails("bad_request", "output_config: Extra inputs are not permitted")


def fields(count, *kinds, required=False):
    made = {"type": kinds[0]} if len(kinds) == 1 else {"anyOf": [{"type": kind} for kind in kinds]}
    names = [f"f{number}" for number in range(count)]
    return {"type": "object", "properties": dict.fromkeys(names, made), "required": names if required else []}


SIGNED = {"provider": "anthropic", "content": [THOUGHT, {"type": "tool_use", "id": "t", "name": "add", "input": {}}]}
THINKING = Message(role="assistant", calls=(ToolCall(id="t", name="add", arguments="{}"),), native=SIGNED)
