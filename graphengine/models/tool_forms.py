"""How the schemas of tools are sent to a server that refuses them: in a simpler form, or in words.

Servers compile the JSON Schema of a tool to a grammar, or to a schema of their own, and many know only a part of the
keywords: llama.cpp and LM Studio refuse `pattern`, Moonshot refuses `type` beside `anyOf`, Gemini refuses numbers in
`enum`. Such a refusal leads to the next form. The arguments of a call are validated by the declared schema in any case.

All models of one server and key share a limiter, and so what the server accepted: each further call begins with that
form.
"""

from __future__ import annotations

import json
import logging
import re
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from graphengine.models.errors import BadRequest
from graphengine.models.tool_schemas import simple_schema

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pydantic import JsonValue

    from graphengine.models.base import Request, Response, ToolSpec
    from graphengine.models.limiter import RateLimiter

log = logging.getLogger("graphengine.models")

_ABOUT_TOOLS: Final = re.compile(
    r"^(?!.*(response_format|text\.format|output_format|guided_json|json_schema is not|not match|validation failed))"
    r".*(grammar|\b(tools?|functions?|function_declarations)\b.{0,120}\b((input_)?schema|parameters|enum)\b"
    r"|\b((input_)?schema|parameters|enum)\b.{0,120}\b(tools?|functions?|function_declarations)\b)",
    re.IGNORECASE | re.DOTALL,
)
"""Matches a refusal of the schema of a tool, but not of the schema of the answer, or of a call that a model wrote."""
_ANY: Final[Sequence[dict[str, JsonValue]]] = (
    # Grammars of llama.cpp allow no argument that has no place in `properties`, unless the schema says so.
    {"type": "object", "properties": {}, "additionalProperties": True},
    {"type": "object", "properties": {}},
)
"""Schemas that allow any arguments."""
_LAST: Final = 1 + len(_ANY)
_ACCEPTED: Final[weakref.WeakKeyDictionary[RateLimiter, int]] = weakref.WeakKeyDictionary()
"""The number of the form that a server accepted, if it refused an earlier one."""


async def answer_with_tool_forms(
    name: str, limiter: RateLimiter, request: Request, ask: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Return the answer to a request, whose tools are sent in the first form that the server does not refuse.

    Args:
        name: The name of the model, for the log.
        limiter: Its limiter.
        request: The request.
        ask: Makes the call.

    Raises:
        ModelError: The call failed.
    """
    number = _ACCEPTED.get(limiter, 0)
    asked = _in_form(request, number)
    while True:
        try:
            response = await ask(asked)
        except BadRequest as error:
            further = ((n, _in_form(request, n)) for n in range(number + 1, _LAST + 1))
            number, other = next(((n, each) for n, each in further if each.tools != asked.tools), (number, None))
            if other is None or _ABOUT_TOOLS.search(error.message) is None:
                raise
            asked = other
        else:
            _remember(name, limiter, number)
            return response


def _remember(name: str, limiter: RateLimiter, number: int) -> None:
    """Keep the number of the form that a server accepted; a call in parallel may have found a later one."""
    if number > _ACCEPTED.get(limiter, 0):
        _ACCEPTED[limiter] = number
        how = "with simpler schemas" if number == 1 else "in their descriptions"
        log.warning("%s: the server refuses JSON Schemas of tools: all tools of this model are described %s", name, how)


def _in_form(request: Request, number: int) -> Request:
    """Return a request with its tools in a form: 0 as declared, 1 with simpler schemas, from 2 on in words."""
    if number == 0 or not request.tools:
        return request
    change = _simplify if number == 1 else lambda tool: _describe_in_words(tool, _ANY[number - 2])
    return replace(request, tools=[change(each) for each in request.tools])


def _simplify(tool: ToolSpec) -> ToolSpec:
    return replace(tool, schema=simple_schema(dict(tool.schema)), may_be_strict=False)


def _describe_in_words(tool: ToolSpec, schema: dict[str, JsonValue]) -> ToolSpec:
    """Return a tool whose arguments are described in its description alone; its schema allows any arguments."""
    written = json.dumps(tool.schema, ensure_ascii=False)
    told = f"Its arguments are one JSON object that fits this JSON Schema: {written}"
    description = "\n\n".join(each for each in (tool.description, told) if each)
    return replace(tool, description=description, schema=schema, may_be_strict=False)


__all__ = ["answer_with_tool_forms"]
