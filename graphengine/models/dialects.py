"""Dialects: the ways in which servers with a Chat Completions API differ from OpenAI's, found by their refusals.

If a server's refusal matches a known dialect, the request is sent once more in this dialect. If the server accepts it,
the model uses the dialect from then on.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graphengine.models.received import inside, list_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import JsonValue

    from graphengine.models.received import JsonObject

_LONGEST_ID: Final = 9
_NOT_KNOWN: Final = r"(unsupported|not supported|not permitted|unknown|unrecogni[sz]ed|unexpected|extra inputs)"
_UNKNOWN_LIMIT: Final = rf"{_NOT_KNOWN}.{{0,120}}max_completion_tokens|max_completion_tokens.{{0,80}}{_NOT_KNOWN}"
_UNSIGNED: Final[JsonObject] = {"google": {"thought_signature": "skip_thought_signature_validator"}}
"""The signature that Gemini accepts for a call that another model made.

Source: Google's documentation of thought signatures.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """One known way in which a server's Chat Completions API differs from OpenAI's.

    Attributes:
        refusal: Matches the message with which such a server refuses a request.
        said: Changes the body of a request to what such a server accepts. It returns an equal body if nothing has to
            change.
    """

    refusal: re.Pattern[str]
    said: Callable[[JsonObject], JsonObject]


def _compile_refusal(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


def _build_key_renaming(old: str, new: str) -> Callable[[JsonObject], JsonObject]:
    return lambda body: {new if key == old else key: value for key, value in body.items()}


def _build_removal(removed: str) -> Callable[[JsonObject], JsonObject]:
    return lambda body: {key: value for key, value in body.items() if key != removed}


def _build_tool_change(change: Callable[[JsonObject], JsonObject]) -> Callable[[JsonObject], JsonObject]:
    """Return a function that changes the description of each of the agent's own tools in the body of a request.

    Descriptions of hosted tools, which the provider runs itself, are left unchanged.
    """

    def change_tool(tool: JsonObject) -> JsonObject:
        function = inside(tool, "function")
        return {**tool, "function": change(function)} if function else tool

    def change_tools(body: JsonObject) -> JsonObject:
        tools = [change_tool(each) for each in list_at(body, "tools")]
        return {**body, "tools": [*tools]} if tools else body

    return change_tools


def _build_message_change(
    change: Callable[[list[JsonObject]], Sequence[JsonObject]],
) -> Callable[[JsonObject], JsonObject]:
    return lambda body: {**body, "messages": [*change(list_at(body, "messages"))]}


def _in_question(messages: list[JsonObject]) -> list[JsonObject]:
    """Move the instructions into the first user message, for models without a role for instructions."""
    if not messages or messages[0].get("role") != "system":
        return messages
    return _join_questions([{"role": "user", "content": messages[0]["content"]}, *messages[1:]])


def _join_questions(messages: list[JsonObject]) -> list[JsonObject]:
    """Join consecutive user messages into one message, for servers that refuse two user messages in a row."""
    joined: list[JsonObject] = []
    for message in messages:
        if joined and message["role"] == joined[-1]["role"] == "user":
            joined[-1] = {"role": "user", "content": _join_setting(joined[-1]["content"], message["content"])}
        else:
            joined.append(message)
    return joined


def _join_setting(*contents: Any) -> Any:  # noqa: ANN401 - texts, or lists of parts
    if all(isinstance(content, str) for content in contents):
        return "\n\n".join(contents)
    return [part for each in contents for part in ([{"type": "text", "text": each}] if isinstance(each, str) else each)]


def _with_content(messages: list[JsonObject]) -> list[JsonObject]:
    return [message | {"content": ""} if message.get("content") is None else message for message in messages]


def _short_ids(messages: list[JsonObject]) -> list[JsonObject]:
    renamed: list[JsonObject] = []
    for message in messages:
        named: JsonObject = {**message}
        if "tool_call_id" in message:
            named["tool_call_id"] = _shorten_call_id(str(message["tool_call_id"]))
        if "tool_calls" in message:
            named["tool_calls"] = [
                {**call, "id": _shorten_call_id(str(call["id"]))} for call in list_at(message, "tool_calls")
            ]
        renamed.append(named)
    return renamed


def _shorten_call_id(given: str) -> str:
    """Turn a call's id into nine letters and digits, which Mistral demands. Equal ids stay equal."""
    if len(given) == _LONGEST_ID and given.isascii() and given.isalnum():
        return given
    return hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:_LONGEST_ID]


def _sign_messages(messages: list[JsonObject]) -> list[JsonObject]:
    signed_messages: list[JsonObject] = []
    for message in messages:
        first, *others = list_at(message, "tool_calls") or [{}]
        signed: list[JsonValue] = [{"extra_content": _UNSIGNED, **first}, *others]
        signed_messages.append({**message, "tool_calls": signed} if first else message)
    return signed_messages


THOUGHTS_BACK: Final = Dialect(_compile_refusal("reasoning_content"), lambda body: body)
"""All thinking in the model's own messages is sent back. DeepSeek and Moonshot require this."""

DIALECTS: Final = (
    THOUGHTS_BACK,
    Dialect(_compile_refusal(_UNKNOWN_LIMIT), _build_key_renaming("max_tokens", "max_completion_tokens")),
    Dialect(_compile_refusal(_UNKNOWN_LIMIT), _build_key_renaming("max_completion_tokens", "max_tokens")),
    Dialect(_compile_refusal(r"stream_options|include_usage"), _build_removal("stream_options")),
    Dialect(
        _compile_refusal(r"\bstrict\b"), _build_tool_change(_build_removal("strict"))
    ),  # Cerebras refuses a list of tools of which only some are strict
    Dialect(_compile_refusal(r"length of 9"), _build_message_change(_short_ids)),  # Mistral, also on other servers
    Dialect(_compile_refusal(r"thought_signature"), _build_message_change(_sign_messages)),  # Gemini
    Dialect(
        _compile_refusal(r"system role|(role|support)\W{1,5}system|developer instruction"),
        _build_message_change(_in_question),
    ),
    Dialect(
        _compile_refusal(r"roles? must alternate"), _build_message_change(_join_questions)
    ),  # required by the templates of open models
    Dialect(
        _compile_refusal(r"content.{0,60}(null|none\b|string|required|missing)|nonetype"),
        _build_message_change(_with_content),
    ),
)
"""The known dialects, in the order in which they are tried."""


def speak(body: JsonObject, dialects: Sequence[Dialect]) -> JsonObject:
    for each in dialects:
        body = each.said(body)
    return body


__all__ = ["DIALECTS", "THOUGHTS_BACK", "Dialect", "speak"]
