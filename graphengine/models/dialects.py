"""What servers with a Chat Completions API want in another way than OpenAI, found out by what they refuse.

A refusal that names one of these is answered once more in that way, and the model keeps to it if that is accepted.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graphengine.models.received import inside, list_at, text
from graphengine.models.tool_schemas import simple_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import JsonValue

    from graphengine.models.received import JsonObject

_LONGEST_ID: Final = 9
_NOT_KNOWN: Final = r"(unsupported|not supported|not permitted|unknown|unrecogni[sz]ed|unexpected|extra inputs)"
_UNKNOWN_LIMIT: Final = rf"{_NOT_KNOWN}.{{0,120}}max_completion_tokens|max_completion_tokens.{{0,80}}{_NOT_KNOWN}"
_ABOUT_TOOLS: Final = (
    r"^(?!.*(response_format|text\.format|output_format)).*"
    r"(grammar|json.?schema|schema|(tools?|functions?)\W.{0,80}parameters|parameters.{0,80}(tools?|functions?)\b|\benum\b)"
)
"""What a refusal says that is about the schemas of tools, and not about that of the answer."""
_ANY_ARGUMENTS: Final[JsonObject] = {"type": "object", "properties": {}}
_UNSIGNED: Final[JsonObject] = {"google": {"thought_signature": "skip_thought_signature_validator"}}
"""What Gemini takes for a call that another model made. Source: Google's documentation of thought signatures."""


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """One way in which a server differs.

    Attributes:
        refusal: What its refusal says.
        said: Returns a body in this way; a body that has nothing to change comes back equal.
    """

    refusal: re.Pattern[str]
    said: Callable[[JsonObject], JsonObject]


def _compile_refusal(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


def _build_key_renaming(old: str, new: str) -> Callable[[JsonObject], JsonObject]:
    return lambda body: {new if key == old else key: value for key, value in body.items()}


def _without_usage(body: JsonObject) -> JsonObject:
    return {key: value for key, value in body.items() if key != "stream_options"}


def _not_strict(body: JsonObject) -> JsonObject:
    if "tools" not in body:
        return body
    return {**body, "tools": [_plain_tool(tool) for tool in list_at(body, "tools")]}


def _plain_tool(tool: JsonObject) -> JsonObject:
    function: JsonObject = {key: value for key, value in inside(tool, "function").items() if key != "strict"}
    return {**tool, "function": function} if function else tool


def _build_tool_change(change: Callable[[JsonObject], JsonObject]) -> Callable[[JsonObject], JsonObject]:
    def change_tools(body: JsonObject) -> JsonObject:
        tools = [{**each, "function": change(inside(each, "function"))} for each in list_at(body, "tools")]
        return {**body, "tools": [*tools]} if tools else body

    return change_tools


def _with_simple_schema(function: JsonObject) -> JsonObject:
    kept: JsonObject = {key: value for key, value in function.items() if key != "strict"}
    kept["parameters"] = simple_schema(inside(function, "parameters"))
    return kept


def _with_schema_in_words(function: JsonObject) -> JsonObject:
    """Describe the arguments of a tool in its description alone."""
    parameters = inside(function, "parameters")
    if parameters == _ANY_ARGUMENTS:
        return function
    told = f"Its arguments are one JSON object that fits this JSON Schema: {json.dumps(parameters, ensure_ascii=False)}"
    description = "\n\n".join(each for each in (text(function, "description"), told) if each)
    kept = {key: value for key, value in function.items() if key != "strict"}
    return {**kept, "description": description, "parameters": dict(_ANY_ARGUMENTS)}


def _build_message_change(
    change: Callable[[list[JsonObject]], Sequence[JsonObject]],
) -> Callable[[JsonObject], JsonObject]:
    return lambda body: {**body, "messages": [*change(list_at(body, "messages"))]}


def _in_question(messages: list[JsonObject]) -> list[JsonObject]:
    """Put the instructions before the first question."""
    if not messages or messages[0].get("role") != "system":
        return messages
    return _join_questions([{"role": "user", "content": messages[0]["content"]}, *messages[1:]])


def _join_questions(messages: list[JsonObject]) -> list[JsonObject]:
    """Join questions that follow each other."""
    made: list[JsonObject] = []
    for message in messages:
        if made and message["role"] == made[-1]["role"] == "user":
            made[-1] = {"role": "user", "content": _join_setting(made[-1]["content"], message["content"])}
        else:
            made.append(message)
    return made


def _join_setting(*contents: Any) -> Any:  # noqa: ANN401 - texts, or lists of parts
    if all(isinstance(content, str) for content in contents):
        return "\n\n".join(contents)
    return [part for each in contents for part in ([{"type": "text", "text": each}] if isinstance(each, str) else each)]


def _with_content(messages: list[JsonObject]) -> list[JsonObject]:
    return [message | {"content": ""} if message.get("content") is None else message for message in messages]


def _short_ids(messages: list[JsonObject]) -> list[JsonObject]:
    made: list[JsonObject] = []
    for message in messages:
        named: JsonObject = {**message}
        if "tool_call_id" in message:
            named["tool_call_id"] = _shorten_call_id(str(message["tool_call_id"]))
        if "tool_calls" in message:
            named["tool_calls"] = [
                {**call, "id": _shorten_call_id(str(call["id"]))} for call in list_at(message, "tool_calls")
            ]
        made.append(named)
    return made


def _shorten_call_id(given: str) -> str:
    """Return an id of exactly nine letters and digits."""
    if len(given) == _LONGEST_ID and given.isascii() and given.isalnum():
        return given
    return hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:_LONGEST_ID]


def _sign_messages(messages: list[JsonObject]) -> list[JsonObject]:
    made: list[JsonObject] = []
    for message in messages:
        first, *others = list_at(message, "tool_calls") or [{}]
        signed: list[JsonValue] = [{"extra_content": _UNSIGNED, **first}, *others]
        made.append({**message, "tool_calls": signed} if first else message)
    return made


THOUGHTS_BACK: Final = Dialect(_compile_refusal("reasoning_content"), lambda body: body)
"""All thinking goes back, which the model's own messages have: DeepSeek, Moonshot."""

DIALECTS: Final = (
    THOUGHTS_BACK,
    Dialect(_compile_refusal(_UNKNOWN_LIMIT), _build_key_renaming("max_tokens", "max_completion_tokens")),
    Dialect(_compile_refusal(_UNKNOWN_LIMIT), _build_key_renaming("max_completion_tokens", "max_tokens")),
    Dialect(_compile_refusal(r"stream_options|include_usage"), _without_usage),
    Dialect(_compile_refusal(r"\bstrict\b"), _not_strict),  # Cerebras refuses tools of which only some are strict
    Dialect(_compile_refusal(r"length of 9"), _build_message_change(_short_ids)),  # Mistral, also on other servers
    Dialect(_compile_refusal(r"thought_signature"), _build_message_change(_sign_messages)),  # Gemini
    Dialect(
        _compile_refusal(r"system role|(role|support)\W{1,5}system|developer instruction"),
        _build_message_change(_in_question),
    ),
    Dialect(
        _compile_refusal(r"roles? must alternate"), _build_message_change(_join_questions)
    ),  # templates of open models
    Dialect(
        _compile_refusal(r"content.{0,60}(null|none\b|string|required|missing)|nonetype"),
        _build_message_change(_with_content),
    ),
    Dialect(_compile_refusal(_ABOUT_TOOLS), _build_tool_change(_with_simple_schema)),  # llama.cpp, LM Studio, Moonshot
    Dialect(_compile_refusal(_ABOUT_TOOLS), _build_tool_change(_with_schema_in_words)),
)
"""Those that are known, in the order in which they are looked for."""


__all__ = ["DIALECTS", "THOUGHTS_BACK", "Dialect"]
