"""A model that answers with placeholders: a dry run of a graph, without a language model.

Each text is `[placeholder: writer, call 2]`; other values are the smallest that fit the schema of the answer, and lists
have one item. So a run shows its path, its rounds and its picture, and nobody can take what it returns for a result.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, cast

from pydantic_core import to_json

from graphengine.models.base import Response, RulesModel

if TYPE_CHECKING:
    from graphengine.models.base import Request
    from graphengine.state.json_values import JsonObject, JsonValue

PLACEHOLDER: Final = "placeholder"
"""The model's name."""

_OF_FORMATS: Final = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "uri": "https://placeholder.example",
    "email": "placeholder@placeholder.example",
}


_DEPTH: Final = 3
"""Of objects in objects, below which lists are empty: a schema can contain itself."""


class PlaceholderModel(RulesModel):
    """Answers every agent at once and at no cost; it calls no tools, and the agent's `check` is not applied.

    A check tests what a language model wrote, which a placeholder never satisfies by itself. Calls are counted for each
    agent and each object of this class, so equal runs have equal answers.

    Example:
        >>> import asyncio
        >>> from graphengine.models.base import Request
        >>> asyncio.run(PlaceholderModel().answer(Request("writer", "", []))).content
        '[placeholder: writer, call 1]'
    """

    name = PLACEHOLDER

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()

    async def answer(self, request: Request) -> Response:
        """Return a text, or the JSON of a small value that fits the schema."""
        self._calls[request.agent] += 1
        text = f"[placeholder: {request.agent}, call {self._calls[request.agent]}]"
        if request.schema is not None:
            text = to_json(_value(request.schema, request.schema, text)).decode()
        return Response(text, model=PLACEHOLDER, cost_usd=0.0, offline=True)


def _value(schema: JsonObject, root: JsonObject, text: str, depth: int = 0) -> JsonValue:  # noqa: PLR0911 - by type
    """Return a small value that fits a schema: one item in a list, and below the top only what is required."""
    if name := schema.get("$ref", "").rpartition("/")[2]:
        return _value(root["$defs"][name], root, text, depth)
    if listed := schema.get("enum", [schema[word] for word in ("const",) if word in schema]):
        return cast("JsonValue", listed[0])
    if branches := [branch for word in ("anyOf", "oneOf", "allOf") for branch in schema.get(word, ())]:
        return None if {"type": "null"} in branches else _value(branches[0], root, text, depth)
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            names = schema.get("required", ()) if depth else properties
            return {name: _value(properties.get(name, {}), root, text, depth + 1) for name in names}
        case "array":
            items = [*schema.get("prefixItems", ())]
            least = max(schema.get("minItems", 0), min(1, schema.get("maxItems", 1)) if depth < _DEPTH else 0)
            items += [schema.get("items", {})] * (least - len(items))
            return [_value(item, root, text, depth) for item in items]
        case "integer" | "number":
            above = schema.get("exclusiveMinimum", -1) + 1
            return cast("JsonValue", schema.get("minimum", min(above, schema.get("maximum", above))))
        case "boolean":
            return False
        case "null":
            return None
    found: str = _OF_FORMATS.get(schema.get("format", ""), text)
    return found[: schema.get("maxLength")].ljust(schema.get("minLength", 0), ".")


__all__ = ["PLACEHOLDER", "PlaceholderModel"]
