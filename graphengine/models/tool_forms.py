"""How the schemas of tools are sent to a server that refuses them: in a simpler form, or in words.

Servers compile the JSON Schema of a tool to a grammar or to a schema of their own, and many know only some of the
keywords: llama.cpp and LM Studio refuse `pattern`, Moonshot refuses `type` beside `anyOf`, and Gemini refuses numbers
in `enum`. After such a refusal the next form is sent, for one tool if the refusal names it, otherwise for all tools.
The arguments of a call are validated by the declared schema in any case.

Models with the same name, server and key share a limiter, and therefore share the knowledge of what the server
accepted. Each further call begins with these forms.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from graphengine.models.errors import BadRequest
from graphengine.models.tool_schemas import simple_schema

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from pydantic import JsonValue

    from graphengine.models.base import Request, Response, ToolSpec
    from graphengine.models.limiter import RateLimiter

log = logging.getLogger("graphengine.models")

_TOOL: Final = r"(?:\b(?:tools?|functions?)(?:\b|_)|tool_?spec|function_?declarations?)"
_OF_TOOLS: Final = re.compile(
    rf"input_?schema|{_TOOL}.{{0,120}}(?:schema|\b(?:parameters|enum|propert(?:y|ies)|regex|keyword|pattern|params)\b)"
    rf"|(?:schema|\bkeyword|\b(?:parameters|enum) (?:of|for|in)\b).{{0,120}}{_TOOL}",
    re.IGNORECASE | re.DOTALL,
)
"""Matches a refusal that names tools together with a word for their arguments."""
_OF_SCHEMA: Final = re.compile(
    r"grammar|schema|\bebnf\b|structural[ _]tag"
    r"|\$(?:ref|defs)\b|\b(?:(?:any|one|all)_?of|(?:additional|pattern)_?properties|property_?names"
    r"|prefix_?items|unique_?items|(?:min|max)_?(?:items|length|properties)|multiple_?of|exclusive_?m\w+imum)\b",
    re.IGNORECASE,
)
"""Matches a refusal of a schema or of a keyword of JSON Schema.

If the request contains no other schema, such a refusal concerns the tools, even if it does not name them.
"""
_OF_ANSWER: Final = re.compile(
    r"response_?format|response_?schema|text\.format|output_?(?:format|config)|guided_json|json_schema is not",
    re.IGNORECASE,
)
"""Matches a refusal of the schema of a typed answer."""
_OF_OTHERS: Final = re.compile(
    r"\bmessages?\W{1,3}\d|\b(?:reasoning_effort|tool_choice|parallel_tool_calls)\b|\bcalls? validation failed"
    r"|(?:\b(?:input|arguments|answer|output|json)|\bparameters for .{1,80}) (?:do|does|did) not match"
    r"|\blone surrogate\b|(?:max|min)_?length of |\bnames?\b.{0,40}\bpattern\b",
    re.IGNORECASE,
)
"""Matches a refusal of a message, of a setting, or of a call that the model wrote."""
_ANY: Final[Sequence[dict[str, JsonValue]]] = (
    # Unless the schema allows it explicitly, llama.cpp's grammars forbid arguments that are not in `properties`.
    {"type": "object", "properties": {}, "additionalProperties": True},
    {"type": "object", "properties": {}},
)
"""Schemas that allow any arguments."""
_LAST: Final = 1 + len(_ANY)
_EACH: Final = ""
_MOST_NAMED: Final = 6
"""The number of refusals of a call after which only one tool is changed.

Further refusals change all tools, so that a request with many tools needs few calls.
"""
_ACCEPTED: Final[weakref.WeakKeyDictionary[RateLimiter, dict[str, int]]] = weakref.WeakKeyDictionary()
"""The numbers of the forms that a server accepted after a refusal, by the digest of a tool's schema, or by `_EACH`."""


async def answer_with_tool_forms(
    name: str, limiter: RateLimiter, request: Request, ask: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Make a call, and describe its tools in a simpler way if the server refuses their JSON Schemas.

    Args:
        name: The name of the model, for the log.
        limiter: The limiter of the model.
        request: The request.
        ask: Makes the call.

    Raises:
        ModelError: The call failed.
    """
    forms, refusals = _ACCEPTED.get(limiter, {}), 0
    asked = _in_forms(request, forms)
    while True:
        try:
            response = await ask(asked)
        except BadRequest as error:
            if not _concerns_tools(error.message, request):
                raise
            refusals += 1
            named = _find_named(error.message, request.tools) if refusals <= _MOST_NAMED else None
            keys = [_EACH] if named is None else [_digest_of(named), _EACH]
            further = ({**forms, key: n} for key in keys for n in range(forms.get(key, 0) + 1, _LAST + 1))
            others = ((each, _in_forms(request, each)) for each in further)
            found = next((pair for pair in others if pair[1].tools != asked.tools), None)
            if found is None:
                raise
            forms, asked = found
        else:
            _remember(name, limiter, request.tools, forms)
            return response


def _concerns_tools(message: str, request: Request) -> bool:
    """Return whether a refusal can concern the schemas of the request's tools.

    Every server words such a refusal differently, so the rule looks for words about schemas and tools and not for known
    sentences. A wrong guess costs at most one call for each form, and a server does not charge for a refused call.
    """
    if _OF_OTHERS.search(message) or (request.schema is not None and _OF_ANSWER.search(message)):
        return False
    return bool(_OF_TOOLS.search(message) or _OF_SCHEMA.search(message))


def _find_named(message: str, tools: Sequence[ToolSpec]) -> ToolSpec | None:
    named = [each for each in tools if re.search(rf"(?<![\w-]){re.escape(each.name)}(?![\w-])", message)]
    return named[0] if len(named) == 1 else None


def _digest_of(tool: ToolSpec) -> str:
    return hashlib.blake2b(json.dumps(tool.schema, sort_keys=True).encode(), digest_size=18).hexdigest()


def _remember(name: str, limiter: RateLimiter, tools: Sequence[ToolSpec], forms: Mapping[str, int]) -> None:
    """Remember in which form this server accepts the schemas of the tools, so that later calls use that form at once.

    The forms are numbered, and higher numbers are simpler. If a concurrent call found that the server needs a simpler
    form, that form is kept.
    """
    before = _ACCEPTED.get(limiter, {})
    later = {key: number for key, number in forms.items() if number > before.get(key, 0)}
    if later:
        _ACCEPTED[limiter] = {**before, **later}
    for key, number in later.items():
        which = next((f"the tool {each.name} is" for each in tools if _digest_of(each) == key), "all tools are")
        how = "with simpler schemas" if number == 1 else "in descriptions"
        log.warning("%s: the server refuses a JSON Schema of a tool: %s now described %s", name, which, how)


def _in_forms(request: Request, forms: Mapping[str, int]) -> Request:
    """Return a copy of the request in which each tool is described in the form that the server accepts."""
    if not forms or not request.tools:
        return request
    least = forms.get(_EACH, 0)
    return replace(
        request, tools=[_in_form(each, max(least, forms.get(_digest_of(each), 0))) for each in request.tools]
    )


def _in_form(tool: ToolSpec, number: int) -> ToolSpec:
    """Return a tool in one of its forms: 0 is the declared schema, 1 a simpler schema, 2 and 3 describe it in words."""
    if number == 0:
        return tool
    if number == 1:
        return replace(tool, schema=simple_schema(dict(tool.schema)), may_be_strict=False)
    return _describe_in_words(tool, _ANY[number - 2])


def _describe_in_words(tool: ToolSpec, schema: dict[str, JsonValue]) -> ToolSpec:
    """Write the JSON Schema of a tool's arguments into the tool's description, for a server that refuses the schema.

    The schema that is sent as such then allows any arguments.
    """
    written = json.dumps(tool.schema, ensure_ascii=False)
    explanation = f"Its arguments are one JSON object that fits this JSON Schema: {written}"
    description = "\n\n".join(each for each in (tool.description, explanation) if each)
    return replace(tool, description=description, schema=schema, may_be_strict=False)


__all__ = ["answer_with_tool_forms"]
