"""The parts of requests and answers that are the same in OpenAI's two APIs.

Answers are JSON from many different servers, so nothing is assumed about them. `inside`, `list_at` and `text` return a
value of the right type; if it is missing or has another type, they return an empty value.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.kernel.extension import utf8_text
from graphengine.models.prices import Spent
from graphengine.models.received import NoCount, count, inside, is_count, text
from graphengine.models.sdk import LONGEST_NAME, kept_by_schema, plain_arguments, schema_in_words
from graphengine.schemas.walking import resolve_reference

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pydantic import JsonValue

    from graphengine.media import Media
    from graphengine.models.base import Request, ToolSpec
    from graphengine.models.hosted import HostedTool
    from graphengine.models.received import JsonObject

_UNREADABLE: Final = "unreadable_call"
LONGEST_ID: Final = 64
"""The longest id of a tool call. Other providers write longer ids."""


def unknown(item: JsonObject, known: Collection[str]) -> JsonObject:
    """Return the fields of a JSON object that have a value and whose name is not among the `known` names."""
    return {key: value for key, value in item.items() if key not in known and value not in (None, "", [], {})}


def used(usage: JsonObject, question: str, answer: str) -> Spent:
    """Read the token counts that a server reports with an answer.

    Some servers, such as xAI, Gemini's compatible endpoint and some proxies, include thinking only in the total. The
    number of the answer's tokens is therefore at least the total without the question. A total that is not a number of
    tokens is ignored. If the result has 0 tokens for the question, the server reported no valid usage.

    Args:
        usage: The object in which the server reports the usage.
        question: The API's name for the question's tokens, such as `input_tokens`.
        answer: The API's name for the answer's tokens, such as `output_tokens`.
    """
    of_question, of_answer = inside(usage, f"{question}_details"), inside(usage, f"{answer}_details")
    total = usage.get("total_tokens")
    try:
        asked, answered = count(usage, question), count(usage, answer)
        if type(total) is int and is_count(total):
            answered = max(answered, total - asked)
        return Spent(
            input_tokens=asked,
            cache_read_tokens=count(of_question, "cached_tokens"),
            cache_write_tokens=count(of_question, "cache_write_tokens"),
            output_tokens=answered,
            reasoning_tokens=count(of_answer, "reasoning_tokens"),
            input_audio_tokens=count(of_question, "audio_tokens"),
            output_audio_tokens=count(of_answer, "audio_tokens"),
        )
    except NoCount:
        return Spent()


def arguments(written: JsonValue) -> str:
    """Return the arguments of a tool call as text. Some servers send a JSON object instead of the text."""
    if isinstance(written, str):
        return utf8_text(written) or "{}"
    return "{}" if written is None else utf8_text(json.dumps(written, ensure_ascii=False))


def sendable(written: str) -> str:
    """Return the arguments of an earlier tool call as a text that a server accepts when the conversation is sent again.

    Many servers parse the arguments and refuse anything but a JSON object. Malformed arguments are therefore sent as a
    JSON object that contains them: `{"not_json": "…"}`.
    """
    written = plain_arguments(written)
    try:
        read = json.loads(written)
    except (ValueError, RecursionError):
        read = None
    return written if isinstance(read, dict) else json.dumps({"not_json": written}, ensure_ascii=False)


def call_in(written: str, tools: Sequence[str]) -> tuple[str, str]:
    """Find out which tool the model wanted to call, from the text of a call that the server could not parse.

    If the call is not complete JSON, the whole text is returned as its arguments, so that the model sees what it wrote.

    Args:
        written: The text that the model wrote.
        tools: The names of the tools that the model may call.

    Example:
        >>> call_in('{"name": "add", "parameters": {"a": "1"}}', ["add"]), call_in("<function=add{a: 1", ["add", "sum"])
        (('add', '{"a": "1"}'), ('add', '<function=add{a: 1'))
    """
    try:
        found = json.loads(written)
    except (ValueError, RecursionError):
        found = None
    call = found[0] if isinstance(found, list) and found else found
    call = inside(call, "function") or call
    if isinstance(call, dict) and (name := text(call, "name")):
        return name, arguments(call.get("arguments", call.get("parameters")))
    words = re.findall(r"[A-Za-z0-9_-]+", written)
    named = [name for name in tools if name in words]
    return (named or (tools if len(tools) == 1 else [_UNREADABLE]))[0], written


def call_id(given: str, longest: int = LONGEST_ID) -> str:
    """Shorten a call's id to what these APIs accept. Equal ids stay equal, so the call and its result still match."""
    if 0 < len(given) <= longest:
        return given
    return f"call_{hashlib.sha256(given.encode('utf-8', 'replace')).hexdigest()[:32]}"


def tool_result(content: str, *, is_error: bool) -> str:
    """Return a tool's result as text. An error is marked with `Error:`, because these APIs have no field for it."""
    return f"Error: {content}" if is_error else content


def data_url(one: Media) -> str:
    """Write the bytes of an image or document as a `data:` URL."""
    return f"data:{one.type};base64,{one.data}"


def file_name(one: Media) -> str:
    """Return the file name of a document. The APIs require one, so there is a default."""
    return one.name or "document.pdf"


@dataclass(frozen=True, slots=True)
class Form:
    """A JSON Schema in the form in which it is sent to OpenAI's API: with a name, and with strict mode on or off.

    In strict mode the API forces the model to follow the schema.

    Attributes:
        name: The name of the schema.
        schema: The schema.
        strict: Whether strict mode applies.
    """

    name: str
    schema: JsonObject
    strict: bool


def form_of_answer(request: Request) -> Form | None:
    if request.schema is None:
        return None
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", request.output)[:LONGEST_NAME] or "answer"
    strict = strict_schema(request.schema, optional=True)
    return Form(name, dict(request.schema) if strict is None else strict, strict is not None)


def form_of_tool(tool: ToolSpec) -> Form:
    """Return the JSON Schema of a tool's arguments in the form in which it is sent to OpenAI.

    Strict mode is used if the schema can be expressed in it and all arguments are required.
    """
    strict = strict_schema(tool.schema, optional=False) if tool.may_be_strict else None
    return Form(tool.name, dict(tool.schema) if strict is None else strict, strict is not None)


def instructions(request: Request, *, native_schema: bool) -> str:
    """Return the agent's instructions to the model.

    If the API has no field for the schema of the answer, a description of the schema is added at the end.
    """
    if request.schema is None or native_schema:
        return request.system
    form = schema_in_words(request)
    return f"{request.system}\n\n{form}" if request.system else form


def location(tool: HostedTool) -> JsonObject:
    """Return the approximate location for a web search; {} if the user gave none."""
    found = tool.options.get("location")
    return {**found} if isinstance(found, dict) else {}


CHOICES: Final = ("auto", "none", "required")
"""General choices of tools. Any other choice is the name of a tool."""


SAMPLING: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
"""Settings that OpenAI's models support only if they do not think."""


def common_settings(request: Request) -> JsonObject:
    """Return the fields of a request's body for the settings that have the same name in both of OpenAI's APIs."""
    options = request.settings.given()
    found: JsonObject = {name: options[name] for name in (*SAMPLING, "service_tier") if name in options}
    if request.tools and "parallel_tool_calls" in options:
        found["parallel_tool_calls"] = options["parallel_tool_calls"]
    return found


def cache_key(system: str, tools: Sequence[ToolSpec]) -> str:
    """Return the key by which OpenAI finds a cached prompt.

    Calls with equal instructions and tools get the same key.
    """
    whole = json.dumps([system, [[tool.name, tool.description, dict(tool.schema)] for tool in tools]])
    return f"graphengine-{hashlib.sha256(whole.encode()).hexdigest()[:32]}"


_THINKS = re.compile(r"(ft:)?(o\d|gpt-([5-9]|\d\d))(?!.*chat)")


def thinks(model: str) -> bool:
    """Return whether an OpenAI model thinks before it answers, judged by its name.

    Example:
        >>> thinks("gpt-5-mini"), thinks("o3"), thinks("gpt-4o"), thinks("gpt-5-chat-latest")
        (True, True, False, False)
    """
    return _THINKS.match(model) is not None


DEEPEST: Final = 10
"""How deeply objects and lists may be nested in strict mode."""

_KEPT: Final = frozenset(
    {"$ref", "anyOf", "const", "description", "enum", "items", "properties", "title", "type"}
    | {"exclusiveMaximum", "exclusiveMinimum", "maxItems", "maximum", "minItems", "minimum", "multipleOf"}
)
_FORMATS: Final = frozenset({"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"})
_DESCRIBED: Final = frozenset(
    {"contains", "contentEncoding", "contentMediaType", "default", "examples", "format", "maxLength", "minLength"}
    | {"pattern", "uniqueItems"}
)
"""Keywords that strict mode refuses, some only for some values. The description states them instead."""

_DROPPED: Final = frozenset(
    {"$comment", "$id", "$schema", "additionalProperties", "deprecated", "discriminator", "readOnly", "required"}
    | {"writeOnly"}
)
"""Keywords that are rewritten in another place, or that do not constrain a value."""


class _NoStrictFormError(Exception):
    """The schema cannot be expressed in OpenAI's strict mode."""


@kept_by_schema
def strict_schema(schema: Mapping[str, JsonValue], *, optional: bool) -> JsonObject | None:
    """Convert a schema to OpenAI's strict mode, in which the API forces the model to follow the schema.

    The result is None if the schema cannot be converted, for example because it contains a dict with arbitrary keys, a
    tuple, literals of several types, or a field of any type. Such a schema is sent unchanged and not strict.

    Strict mode supports a subset of JSON Schema. Every object lists all its properties as required and allows no
    others, `$ref` has no siblings, and many keywords are refused. Every value that fits the result also fits the
    schema, as far as keywords can express it. Refused keywords (`minLength`, `default`) are moved into the description,
    where the model reads them; the caller validates the answer anyway.

    Args:
        schema: The JSON Schema of an object.
        optional: Whether an optional property may become a required one. That is harmless in an answer. In a tool's
            arguments it is not: the model would make up a value for an argument that it meant to omit.
    """
    try:
        return _Strict(schema, optional=optional).whole()
    except _NoStrictFormError:
        return None


class _Strict:
    def __init__(self, schema: Mapping[str, JsonValue], *, optional: bool) -> None:
        self._schema = schema
        self._optional = optional

    def whole(self) -> JsonObject:
        """Convert the whole schema with its definitions to strict mode.

        A `$ref` at the top is replaced by the schema to which it refers, which must be that of an object.
        """
        root = {key: value for key, value in self._schema.items() if key != "$defs"}
        defs = self._schema.get("$defs", {})
        if not isinstance(defs, dict):
            raise _NoStrictFormError
        root = dict(resolve_reference(root, self._schema))
        if root.get("type") != "object" or "anyOf" in root:
            raise _NoStrictFormError
        converted = self._of(root, 0)
        if defs:
            converted["$defs"] = {name: self._of(each, 0) for name, each in defs.items()}
        return converted

    def _of(self, schema: JsonValue, depth: int) -> JsonObject:
        if not isinstance(schema, dict) or depth > DEEPEST:
            raise _NoStrictFormError
        # Without this keyword, two variants could fit, which `oneOf` forbids.
        if "discriminator" in schema and "anyOf" not in schema:
            schema = {"anyOf" if key == "oneOf" else key: value for key, value in schema.items()}
        if schema.keys() - _KEPT - _DESCRIBED - _DROPPED or not schema.keys() & {"type", "anyOf", "$ref"}:
            raise _NoStrictFormError
        converted: JsonObject = {key: value for key, value in schema.items() if key in _KEPT}
        moved = {key: value for key, value in schema.items() if key in _DESCRIBED}
        if moved.get("format") in _FORMATS:
            converted["format"] = moved.pop("format")
        if "(?" not in str(moved.get("pattern", "(?")):  # strict mode does not support look-around
            converted["pattern"] = moved.pop("pattern")
        if moved.get("default", 0) is None:
            del moved["default"]  # the type already allows null
        if moved:
            words = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in moved.items())
            converted["description"] = (
                f"{converted['description']} ({words})" if converted.get("description") else words
            )
        self._add_children(schema, converted, depth)
        reference = converted.pop("$ref", None)
        if reference is None:
            return converted
        if reference != "#" and not str(reference).startswith("#/$defs/"):
            raise _NoStrictFormError
        # A `$ref` may have no siblings.
        return {**converted, "anyOf": [{"$ref": reference}]} if converted else {"$ref": reference}

    def _add_children(self, schema: JsonObject, made: JsonObject, depth: int) -> None:
        kinds = schema.get("type")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if "object" in kinds:
            made.update(self._object(schema, depth))
        if "array" in kinds:
            made["items"] = self._of(schema.get("items"), depth + 1)
        if "anyOf" in schema:
            variants = schema["anyOf"]
            if not isinstance(variants, list) or not variants:
                raise _NoStrictFormError
            made["anyOf"] = [self._of(each, depth) for each in variants]

    def _object(self, schema: JsonObject, depth: int) -> JsonObject:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise _NoStrictFormError
        free = schema.get("additionalProperties", "properties" not in schema)
        if free is not False and (free is not True or not properties):  # the values of the property have free keys
            raise _NoStrictFormError
        if not self._optional and properties.keys() - set(map(str, required)):
            raise _NoStrictFormError
        inside: JsonObject = {name: self._of(each, depth + 1) for name, each in properties.items()}
        return {"properties": inside, "required": list(inside), "additionalProperties": False}


__all__ = [
    "CHOICES",
    "DEEPEST",
    "LONGEST_ID",
    "SAMPLING",
    "Form",
    "arguments",
    "cache_key",
    "call_id",
    "call_in",
    "common_settings",
    "data_url",
    "file_name",
    "form_of_answer",
    "form_of_tool",
    "instructions",
    "location",
    "sendable",
    "strict_schema",
    "thinks",
    "tool_result",
    "unknown",
    "used",
]
