"""The server's side of OpenAI's Chat Completions API."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from graphengine.models.base import ToolCall
from tests.conformance.model_scenes import Counted, Fails, Noise, Received, Says, Scene, Turn
from tests.models.read_back import of_chat
from tests.models.wire import Event, Json, first_of, key_of, pieces, text_of, unanswered
from tests.models.wire_schemas import NAME, not_arguments, not_strict

_STOPS: Final = {"end": "stop", "tools": "tool_calls", "cut": "length", "refused": "stop"}
_ERRORS: Final = {  # status, type, code
    "bad_request": (400, "invalid_request_error", "invalid_value"),
    "wrong_key": (401, "invalid_request_error", "invalid_api_key"),
    "no_credit": (402, "billing_error", "payment_required"),
    "no_quota": (429, "insufficient_quota", "insufficient_quota"),
    "forbidden": (403, "invalid_request_error", "unsupported_country_region_territory"),
    "unknown_model": (404, "invalid_request_error", "model_not_found"),
    "timeout": (408, "timeout", None),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "context_full": (400, "invalid_request_error", "context_length_exceeded"),
    "rate_limit": (429, "tokens", "rate_limit_exceeded"),
    "server_error": (500, "server_error", None),
    "unavailable": (503, "server_error", None),
    "overloaded": (529, "overloaded_error", None),
}

MOST_TOOLS: Final = 128


def openai_error(fails: Fails) -> tuple[int, Json]:
    """Return the status and the content of an error, equal in both of OpenAI's APIs."""
    status, kind, code = _ERRORS[fails.trouble]
    return status, {"message": fails.message, "type": kind, "param": None, "code": code}


def _unreadable(message: Json) -> str:
    """Return what is wrong with a message: it has no content, or calls whose arguments are no JSON object."""
    calls = message.get("tool_calls") or ()
    if message.get("content") is None and not calls:
        return f"Invalid value for 'content': expected a string, got null: {message}"
    for call in calls:
        name, written = call["function"]["name"], call["function"]["arguments"]
        try:
            readable = isinstance(json.loads(written), dict)
        except ValueError:
            readable = False
        if not readable or not NAME.fullmatch(name):
            return f"Invalid call of {name!r}: its arguments must be a JSON object: {written}"
    return ""


class ChatWire:
    """POST /v1/chat/completions."""

    path = "/v1/chat/completions"

    def lacks(self, scene: Scene) -> str:
        """Refuse encrypted reasoning and a full context window, which the API does not have."""
        if isinstance(scene, Says) and scene.thinking:
            return "Chat Completions has no thoughts that are to be sent back"
        if isinstance(scene, Says) and scene.stop == "full":
            return "Chat Completions has no word for a context window that is full amid an answer"
        return ""

    def objection(self, body: Json) -> str:
        """Require results right after their calls, arguments that are objects, few tools, and schemas."""
        waiting: list[str] = []
        answered: list[str] = []
        for message in [*body["messages"], {"role": "user"}]:
            if message["role"] == "tool":
                answered.append(message["tool_call_id"])
                continue
            wrong = unanswered(waiting, answered)
            if wrong:
                return wrong
            waiting, answered = [call["id"] for call in message.get("tool_calls") or ()], []
        form = (body.get("response_format") or {}).get("json_schema") or {}
        tools = [tool["function"] for tool in body.get("tools") or ()]
        if len(tools) > MOST_TOOLS:
            return f"Invalid 'tools': array too long. Expected an array with maximum length {MOST_TOOLS}"
        return first_of(
            map(_unreadable, body["messages"]),
            of_chat(body),
            not_strict(form["schema"]) if form.get("strict") else "",
            (not_arguments(tool["name"], tool["parameters"], api="chat") for tool in tools),
            (not_strict(tool["parameters"]) for tool in tools if tool.get("strict")),
        )

    def whole(self, says: Says) -> Json:
        """Return a completion with one choice."""
        message = {
            "role": "assistant",
            "content": None if says.stop == "refused" else says.text or None,
            "refusal": says.why if says.stop == "refused" else None,
            **({"tool_calls": [_call(call) for call in says.calls]} if says.calls else {}),
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(says)}
        used = {} if says.counted is None else {"usage": _usage(says.counted)}
        return _frame("chat.completion", [choice]) | used

    def events(self, says: Says) -> list[Event]:
        """Return chunks; the last has the usage and no choice; then [DONE]."""
        found = [_chunk({"role": "assistant", "content": ""})]
        if says.stop == "refused":
            found += [_chunk({"refusal": each}, piece=each) for each in pieces(says.why)]
        else:
            found += [_chunk({"content": each}, piece=each) for each in pieces(says.text)]
        for index, call in enumerate(says.calls):
            found += _call_chunks(index, call)
        found.append(_chunk({}, finish=_finish(says)))
        if says.counted is not None:
            found.append(Event(_frame("chat.completion.chunk", []) | {"usage": _usage(says.counted)}))
        return [*found, Event("[DONE]")]

    def error(self, fails: Fails) -> tuple[int, Json]:
        """Return `{"error": …}`."""
        status, inside = openai_error(fails)
        return status, {"error": inside}

    def error_event(self, fails: Fails) -> Event:
        """Return the same as an event."""
        return Event(self.error(fails)[1])

    def hollow(self, noise: Noise) -> Json:
        """Return a completion with no choice, or one whose content is null."""
        return self.whole(Says()) | ({"choices": []} if noise == "no_answer" else {})

    def read(self, headers: Mapping[str, str], body: Json) -> Received:
        """Read a call of create."""
        form = body.get("response_format") or {}
        standing = ("system", "developer")
        return Received(
            key=key_of(headers),
            system="\n".join(text_of(each["content"]) for each in body["messages"] if each["role"] in standing),
            turns=tuple(_turn(each) for each in body["messages"] if each["role"] not in standing),
            tools={tool["function"]["name"]: tool["function"]["parameters"] for tool in body.get("tools") or ()},
            schema=(form.get("json_schema") or {}).get("schema"),
            stream=bool(body.get("stream")),
            max_tokens=body.get("max_completion_tokens", body.get("max_tokens")),
            body=body,
        )


def _frame(kind: str, choices: list[Json]) -> Json:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "gpt-5-mini", "choices": choices}


def _chunk(delta: Json, piece: str = "", finish: str | None = None) -> Event:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return Event(_frame("chat.completion.chunk", [choice]) | {"usage": None}, piece=piece)


def _call(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _call_chunks(index: int, call: ToolCall) -> Iterator[Event]:
    begun = _call(call) | {"index": index, "function": {"name": call.name, "arguments": ""}}
    yield _chunk({"tool_calls": [begun]})
    half = len(call.arguments) // 2
    for each in (call.arguments[:half], call.arguments[half:]):
        yield _chunk({"tool_calls": [{"index": index, "function": {"arguments": each}}]}, piece=each)


def _finish(says: Says) -> str:
    return _STOPS["tools" if says.calls and says.stop == "end" else says.stop]


def _usage(counted: Counted) -> Json:
    return {
        "prompt_tokens": counted.input_tokens,
        "completion_tokens": counted.output_tokens,
        "total_tokens": counted.input_tokens + counted.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": counted.cache_read_tokens,
            "cache_write_tokens": counted.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": counted.reasoning_tokens},
    }


def _turn(message: dict[str, Any]) -> Turn:
    calls = tuple(
        ToolCall(id=call["id"], name=call["function"]["name"], arguments=call["function"]["arguments"])
        for call in message.get("tool_calls") or ()
    )
    return Turn(message["role"], text_of(message.get("content")), calls, message.get("tool_call_id", ""))
