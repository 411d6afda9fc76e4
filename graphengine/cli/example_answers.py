"""Examples of answers, which hints show: a value that fits the JSON Schema of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from graphengine.kernel import branches_of, resolved, whats_wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.kernel import JsonObject, JsonValue

_DEPTH: Final = 3


_EXAMPLES: Final[Mapping[str, JsonValue]] = {
    "boolean": True,
    "string": "TEXT",
    "integer": 1,
    "number": 1,
    "array": [],
    "object": {},
    "date": "2030-01-31",
    "date-time": "2030-01-31T12:00:00Z",
}
"""Values that often fit, by type or format."""


def example(schema: JsonObject) -> str | None:
    """Return one value that fits, as a person types it: JSON, or plain text; None if none is found."""
    try:
        fitting = _example(schema, schema, _DEPTH)
    except (TypeError, AttributeError, KeyError, ValueError, RecursionError, StopIteration):
        return None
    return fitting if isinstance(fitting, str) else to_json(fitting).decode()


def _example(schema: JsonObject, root: JsonObject, depth: int) -> JsonValue:
    """Return an example for a valid schema: one of its own, of its parts, or one that often fits.

    Raises:
        StopIteration: None of them fits.
    """
    schema = {**resolved(schema, root), "$defs": root.get("$defs", {})}
    known = [schema[word] for word in ("const", "default", "minimum", "maximum") if word in schema]
    known += [value for word in ("examples", "enum") for value in schema.get(word, ())[:1]]
    properties = schema.get("properties", {})
    if properties and depth > 0:
        names = schema.get("required") or properties
        known.append({name: _example(properties.get(name, {}), root, depth - 1) for name in names})
    known += [_example(branch, root, depth - 1) for branch in branches_of(schema)[:1] if depth > 0]
    words = map(str, (schema.get("format"), schema.get("type")))
    known += [_EXAMPLES[word] for word in words if word in _EXAMPLES]
    return next(value for value in known if not whats_wrong(schema, value))
