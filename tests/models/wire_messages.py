"""The server's side of Anthropic's Messages API."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from graphengine.models.base import ToolCall
from tests.conformance.model_scenes import Counted, Fails, Noise, Received, Says, Scene, Turn
from tests.models.read_back import of_messages
from tests.models.wire import Event, Json, first_of, key_of, pieces, text_of, unanswered
from tests.models.wire_schemas import not_arguments, not_compiled

_STOPS: Final = {
    "end": "end_turn",
    "tools": "tool_use",
    "cut": "max_tokens",
    "refused": "refusal",
    "full": "model_context_window_exceeded",
}
_ERRORS: Final = {
    "bad_request": (400, "invalid_request_error"),
    "wrong_key": (401, "authentication_error"),
    "no_credit": (402, "billing_error"),
    "no_quota": (400, "invalid_request_error"),
    "forbidden": (403, "permission_error"),
    "unknown_model": (404, "not_found_error"),
    "timeout": (408, "timeout_error"),
    "too_large": (413, "request_too_large"),
    "context_full": (400, "invalid_request_error"),
    "rate_limit": (429, "rate_limit_error"),
    "server_error": (500, "api_error"),
    "unavailable": (503, "api_error"),
    "overloaded": (529, "overloaded_error"),
}
LEAST_BUDGET: Final = 1024
_PLAIN_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_OWN_WORDS: Final = {
    "no_quota": "Your credit balance is too low to access the Anthropic API. ",
    "context_full": "prompt is too long: 210000 tokens > 200000 maximum. ",
    "unknown_model": "model: ",
}


class MessagesWire:
    """POST /v1/messages."""

    path = "/v1/messages"

    def lacks(self, scene: Scene) -> str:
        """Return "": it can express all scenes."""
        del scene
        return ""

    def objection(self, body: Json) -> str:
        """Require text in each text, content in each message, plain ids, results right after their calls, schemas."""
        called: list[str] = []
        for message in body["messages"]:
            content = message["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            missing = not blocks and message is not body["messages"][-1]  # an answer that paused may be empty
            if missing or any(block["type"] == "text" and not block["text"].strip() for block in blocks):
                return f"text content blocks must be non-empty: {message}"
            results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
            wrong = unanswered(called, results)
            called = [block["id"] for block in blocks if block["type"] == "tool_use"]
            odd = [each for each in called if not _PLAIN_ID.fullmatch(each)]
            if wrong or odd:
                return wrong or f"ids must match {_PLAIN_ID.pattern}: {odd}"
        form = (body.get("output_config") or {}).get("format") or {}
        tools = [tool for tool in body.get("tools") or () if "input_schema" in tool]
        return first_of(
            "" if body["messages"][0]["role"] == "user" else "the first message must be a user's",
            _misplaced(body),
            of_messages(body),
            not_compiled(form["schema"]) if form else "",
            (not_arguments(tool["name"], tool["input_schema"], api="messages") for tool in tools),
            _unthinkable(body),
        )

    def whole(self, says: Says) -> Json:
        """Return a message."""
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5",
            "content": list(_blocks(says)),
            **_ending(says),
            **({} if says.counted is None else {"usage": _usage(says.counted)}),
        }

    def events(self, says: Says) -> list[Event]:
        """Return message_start, the blocks, message_delta, message_stop; with a ping in between."""
        begun = self.whole(says) | {"content": [], "stop_reason": None, "stop_details": None}
        if says.counted is not None:
            begun["usage"] = _usage(says.counted) | {"output_tokens": 1, "output_tokens_details": None}
        found = [_event("message_start", message=begun), _event("ping")]
        for index, block in enumerate(_blocks(says)):
            found += _block_events(index, block)
        used = {} if says.counted is None else {"usage": _usage(says.counted)}
        found.append(Event({"type": "message_delta", "delta": _ending(says)} | used, "message_delta"))
        return [*found, _event("message_stop")]

    def error(self, fails: Fails) -> tuple[int, Json]:
        """Return `{"type": "error", …}`."""
        status, kind = _ERRORS[fails.trouble]
        message = _OWN_WORDS.get(fails.trouble, "") + fails.message
        return status, {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}

    def error_event(self, fails: Fails) -> Event:
        """Return the same as an event."""
        return Event(self.error(fails)[1], "error")

    def hollow(self, noise: Noise) -> Json:
        """Return a message without content."""
        return self.whole(Says()) | {"content": [] if noise == "no_answer" else None}

    def read(self, headers: Mapping[str, str], body: Json) -> Received:
        """Read a call of create or stream."""
        form = (body.get("output_config") or {}).get("format") or {}
        return Received(
            key=key_of(headers),
            system=text_of(body.get("system")),
            turns=tuple(turn for message in body["messages"] for turn in _turns(message)),
            tools={tool["name"]: tool.get("input_schema", {}) for tool in body.get("tools") or ()},
            schema=form.get("schema"),
            stream=bool(body.get("stream")),
            max_tokens=body.get("max_tokens"),
            body=body,
        )


def _misplaced(body: Json) -> str:
    """Return what is wrong with the blocks of all messages: ids, their order, and their marks for the cache."""
    turns = [[*message["content"]] if isinstance(message["content"], list) else [] for message in body["messages"]]
    blocks = [block for turn in turns for block in turn]
    ids = [block["id"] for block in blocks if block["type"] == "tool_use"]
    if len(set(ids)) < len(ids):
        return f"`tool_use` ids must be unique: {ids}"
    for turn in turns:
        kinds = [block["type"] == "tool_result" for block in turn]
        if kinds != sorted(kinds, reverse=True):
            return f"tool_result blocks must come first: {turn}"
    if any(block["type"] == "thinking" and "signature" not in block for block in blocks):
        return "thinking.signature: Field required"
    standing = [block for block in body.get("system") or () if isinstance(block, dict)]
    marked = sum("cache_control" in each for each in (*blocks, *standing, *(body.get("tools") or ())))
    return f"A maximum of 4 blocks with cache_control may be provided. Found {marked}." if marked > 4 else ""


def _unthinkable(body: Json) -> str:
    """Return what is wrong with the settings of a call that thinks."""
    thinking = body.get("thinking") or {}
    if thinking.get("type", "disabled") == "disabled":
        return ""
    budget = thinking.get("budget_tokens", LEAST_BUDGET)
    if not LEAST_BUDGET <= budget < body["max_tokens"]:
        return f"thinking.budget_tokens must be at least {LEAST_BUDGET} and less than max_tokens"
    if body.get("temperature", 1) != 1:
        return "`temperature` may only be set to 1 when thinking is enabled."
    forced = (body.get("tool_choice") or {}).get("type") in {"any", "tool"}
    return "Thinking may not be enabled when tool_choice forces tool use." if forced else ""


def _event(kind: str, piece: str = "", **data: Any) -> Event:
    return Event({"type": kind, **data}, kind, piece)


def _blocks(says: Says) -> Iterator[Json]:
    if says.thinking:
        yield {"type": "thinking", "thinking": "hm", "signature": says.thinking}
    if says.text:
        yield {"type": "text", "text": says.text, "citations": None}
    for call in says.calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)}


def _block_events(index: int, block: Json) -> Iterator[Event]:
    start: Json
    deltas: list[tuple[Json, str]]
    if block["type"] == "text":
        start, deltas = {"text": ""}, [({"type": "text_delta", "text": each}, each) for each in pieces(block["text"])]
    elif block["type"] == "thinking":
        start = {"thinking": "", "signature": ""}
        sealed = {"type": "signature_delta", "signature": block["signature"]}
        deltas = [({"type": "thinking_delta", "thinking": block["thinking"]}, ""), (sealed, "")]
    else:
        start = {"input": {}}
        written = json.dumps(block["input"])
        halves = ["", written[: len(written) // 2], written[len(written) // 2 :]]
        deltas = [({"type": "input_json_delta", "partial_json": each}, each) for each in halves]
    yield _event("content_block_start", index=index, content_block=block | start)
    for delta, piece in deltas:
        yield _event("content_block_delta", piece, index=index, delta=delta)
    yield _event("content_block_stop", index=index)


def _ending(says: Says) -> Json:
    stop = "tools" if says.calls and says.stop == "end" else says.stop
    refusal = {"type": "refusal", "category": "cyber", "explanation": says.why} if stop == "refused" else None
    return {"stop_reason": _STOPS[stop], "stop_sequence": None, "stop_details": refusal}


def _usage(counted: Counted) -> Json:
    cached = counted.cache_read_tokens + counted.cache_write_tokens
    return {
        "input_tokens": counted.input_tokens - cached,
        "cache_creation_input_tokens": counted.cache_write_tokens,
        "cache_read_input_tokens": counted.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counted.cache_write_tokens,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": counted.output_tokens,
        "output_tokens_details": {"thinking_tokens": counted.reasoning_tokens},
        "service_tier": "standard",
    }


def _turns(message: Json) -> Iterator[Turn]:
    """Return a turn for an assistant's message, one for each tool result, and one for all text of a user's."""
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if message["role"] == "assistant":
        calls = [part for part in parts if part["type"] == "tool_use"]
        yield Turn(
            "assistant",
            text_of(parts),
            tuple(ToolCall(id=c["id"], name=c["name"], arguments=json.dumps(c["input"])) for c in calls),
            thinking=tuple(part["signature"] for part in parts if part["type"] == "thinking"),
        )
        return
    for part in parts:
        if part["type"] == "tool_result":
            failed = bool(part.get("is_error"))
            yield Turn("tool", text_of(part.get("content")), call_id=part["tool_use_id"], is_error=failed)
        else:
            yield Turn("user", part.get("text", ""))
