"""What requests and answers of OpenAI's two APIs are made of, where both are alike.

Answers come as JSON from servers of many makers, so nothing in them is taken for granted: `inside`, `listed`, `text`
and `count` give what is there if it is of the right kind, and else nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.models.openai_schema import strict_schema
from graphengine.models.prices import Spent
from graphengine.models.sdk import schema_in_words, sound

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pydantic import JsonValue

    from graphengine.models.base import Request, ToolSpec
    from graphengine.models.openai_schema import JsonObject

LONGEST_ID: Final = 64
"""How long the id of a tool's call may be; other providers write longer ones."""

LONGEST_NAME: Final = 64
"""How long the name of an answer's form may be."""


def inside(value: JsonValue, key: str) -> JsonObject:
    """The object at this key; {} if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def listed(value: JsonValue, key: str) -> list[JsonObject]:
    """The objects in the list at this key; [] if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text(value: JsonValue, key: str) -> str:
    """The text at this key; "" if there is none. A number is one too: some servers' codes are numbers."""
    found = value.get(key) if isinstance(value, dict) else None
    return str(found) if isinstance(found, (str, int)) and not isinstance(found, bool) else ""


def count(value: JsonValue, key: str) -> int:
    """The number of tokens at this key; 0 if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return max(found, 0) if isinstance(found, int) and not isinstance(found, bool) else 0


def unknown(item: JsonObject, known: Collection[str]) -> JsonObject:
    """What an object has besides these keys; what is empty is left out."""
    return {key: value for key, value in item.items() if key not in known and value not in (None, "", [], {})}


@dataclass(frozen=True, slots=True)
class Used:
    """The tokens of a call.

    Attributes:
        spent: What a price depends on.
        reasoning_tokens: Of the answer's, thinking.
        told: Whether the server told at all, as local ones often do not; no question has no tokens.
    """

    spent: Spent
    reasoning_tokens: int
    told: bool


def used(usage: JsonObject, question: str, answer: str) -> Used:
    """What an answer's `usage` says.

    Args:
        usage: It.
        question: What this API calls the question's tokens in it, as `input_tokens`.
        answer: And the answer's, as `output_tokens`.
    """
    of_question, of_answer = inside(usage, f"{question}_details"), inside(usage, f"{answer}_details")
    spent = Spent(
        input_tokens=count(usage, question),
        cache_read_tokens=count(of_question, "cached_tokens"),
        cache_write_tokens=count(of_question, "cache_write_tokens"),
        output_tokens=count(usage, answer),
    )
    return Used(spent, count(of_answer, "reasoning_tokens"), told=spent.input_tokens > 0)


def reported(usage: JsonObject, question: str, answer: str) -> Spent | None:
    """The tokens that a failed call's `usage` says; None where it does not say. The names are as for `used`."""
    found = used(usage, question, answer)
    return found.spent if found.told else None


def arguments(written: JsonValue) -> str:
    """A call's arguments as the model wrote them; some servers read them and give an object."""
    if isinstance(written, str):
        return sound(written) or "{}"
    return "{}" if written is None else sound(json.dumps(written, ensure_ascii=False))


def sendable(written: str) -> str:
    """A call's arguments as a server takes them back: many read them again, and fail at what is no JSON object."""
    try:
        read = json.loads(written)
    except (ValueError, RecursionError):
        read = None
    return written if isinstance(read, dict) else json.dumps({"not_json": written}, ensure_ascii=False)


def call_id(given: str) -> str:
    """The id of a call as these APIs take it; the same for the call and its result."""
    if 0 < len(given) <= LONGEST_ID:
        return given
    return f"call_{hashlib.sha256(given.encode('utf-8', 'replace')).hexdigest()[:32]}"


def tool_result(said: str, *, is_error: bool) -> str:
    """What a tool gave. These APIs have no mark for an error."""
    return f"Error: {said}" if is_error else said


@dataclass(frozen=True, slots=True)
class Form:
    """A schema as it is sent: its name, itself, and whether the model is to be held to it strictly."""

    name: str
    schema: JsonObject
    strict: bool


def form_of_answer(request: Request) -> Form | None:
    """The form that the answer must have; None where text is wanted."""
    if request.schema is None:
        return None
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", request.output)[:LONGEST_NAME] or "answer"
    strict = strict_schema(request.schema, optional=True)
    return Form(name, dict(request.schema) if strict is None else strict, strict is not None)


def form_of_tool(tool: ToolSpec) -> Form:
    """The form of a tool's arguments: strict where each must be given, and the schema has a strict form."""
    strict = strict_schema(tool.schema, optional=False)
    return Form(tool.name, dict(tool.schema) if strict is None else strict, strict is not None)


def instructions(request: Request, *, native_schema: bool = True) -> str:
    """The standing instructions; with the schema, for a server that cannot be told of it otherwise."""
    if request.schema is None or native_schema:
        return request.system
    form = schema_in_words(request)
    return f"{request.system}\n\n{form}" if request.system else form


def cache_key(system: str, tools: Sequence[ToolSpec]) -> str:
    """The same for all calls that share instructions and tools, so that they reach the server that has these cached."""
    whole = json.dumps([system, [[tool.name, tool.description, dict(tool.schema)] for tool in tools]])
    return f"graphengine-{hashlib.sha256(whole.encode()).hexdigest()[:32]}"


_THINKS = re.compile(r"(ft:)?(o\d|gpt-([5-9]|\d\d))(?!.*chat)")


def thinks(model: str) -> bool:
    """Whether OpenAI's model of this name thinks before it answers, as far as its name tells.

    Example:
        >>> thinks("gpt-5-mini"), thinks("o3"), thinks("gpt-4o"), thinks("gpt-5-chat-latest")
        (True, True, False, False)
    """
    return _THINKS.match(model) is not None


__all__ = [
    "LONGEST_ID",
    "LONGEST_NAME",
    "Form",
    "Used",
    "arguments",
    "cache_key",
    "call_id",
    "count",
    "form_of_answer",
    "form_of_tool",
    "inside",
    "instructions",
    "listed",
    "reported",
    "sendable",
    "text",
    "thinks",
    "tool_result",
    "unknown",
    "used",
]
