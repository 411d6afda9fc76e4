"""JSON Schemas for OpenAI's strict mode, in which the model cannot write anything that does not fit.

Strict mode supports a subset of JSON Schema. Every object lists all its properties as required and allows no others,
`$ref` has no siblings, and many keywords are refused. `strict_schema` rewrites a schema so that every value that fits
the new one fits the old one too, as far as keywords can express it. Refused keywords (`minLength`, `default`) move into
the description, where the model reads them; the caller validates the answer anyway. A schema that cannot be rewritten
(a dict with free keys, a tuple, literals of several types, any value) has no strict form, and is sent unchanged, not
strict.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias

from graphengine.models.sdk import kept_by_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

JsonObject: TypeAlias = "dict[str, JsonValue]"

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
"""Keywords that are refused, some only for some values, and that the description can state instead."""

_DROPPED: Final = frozenset(
    {"$comment", "$id", "$schema", "additionalProperties", "deprecated", "discriminator", "readOnly", "required"}
    | {"writeOnly"}
)
"""Keywords that are rewritten elsewhere, or that do not constrain a value."""


class _NoStrictFormError(Exception):
    """The schema has no strict form."""


@kept_by_schema
def strict_schema(schema: Mapping[str, JsonValue], *, optional: bool) -> JsonObject | None:
    """Return the schema's strict form, or None if it has none.

    Args:
        schema: JSON Schema of an object.
        optional: Whether an optional property may become a required one. That is harmless in an answer, but not in a
            tool's arguments, where the model would make up a value for an argument that it meant to omit.
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
        """Return the strict schema and its definitions; a `$ref` at its root is resolved, as that must be an object."""
        root = {key: value for key, value in self._schema.items() if key != "$defs"}
        defs = self._schema.get("$defs", {})
        found = defs.get(str(root.pop("$ref", "")).removeprefix("#/$defs/"), {}) if isinstance(defs, dict) else None
        if not isinstance(defs, dict) or not isinstance(found, dict):
            raise _NoStrictFormError
        root = {**found, **root}
        if root.get("type") != "object" or "anyOf" in root:
            raise _NoStrictFormError
        made = self._of(root, 0)
        if defs:
            made["$defs"] = {name: self._of(each, 0) for name, each in defs.items()}
        return made

    def _of(self, schema: JsonValue, depth: int) -> JsonObject:
        if not isinstance(schema, dict) or depth > DEEPEST:
            raise _NoStrictFormError
        if "discriminator" in schema and "anyOf" not in schema:  # else two variants could fit, which `oneOf` forbids
            schema = {"anyOf" if key == "oneOf" else key: value for key, value in schema.items()}
        if schema.keys() - _KEPT - _DESCRIBED - _DROPPED or not schema.keys() & {"type", "anyOf", "$ref"}:
            raise _NoStrictFormError
        made: JsonObject = {key: value for key, value in schema.items() if key in _KEPT}
        moved = {key: value for key, value in schema.items() if key in _DESCRIBED}
        if moved.get("format") in _FORMATS:
            made["format"] = moved.pop("format")
        if "(?" not in str(moved.get("pattern", "(?")):  # strict mode has no look-around
            made["pattern"] = moved.pop("pattern")
        if moved.get("default", 0) is None:
            del moved["default"]  # the type already allows null
        if moved:
            made["description"] = _described(made.get("description"), moved)
        self._add_children(schema, made, depth)
        reference = made.pop("$ref", None)
        if reference is None:
            return made
        if reference != "#" and not str(reference).startswith("#/$defs/"):
            raise _NoStrictFormError
        return {**made, "anyOf": [{"$ref": reference}]} if made else {"$ref": reference}  # it may have no siblings

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
        if free is not False and (free is not True or not properties):  # its values have free keys
            raise _NoStrictFormError
        if not self._optional and properties.keys() - set(map(str, required)):
            raise _NoStrictFormError
        inside: JsonObject = {name: self._of(each, depth + 1) for name, each in properties.items()}
        return {"properties": inside, "required": list(inside), "additionalProperties": False}


def _described(description: JsonValue, moved: JsonObject) -> str:
    words = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in moved.items())
    return f"{description} ({words})" if description else words


__all__ = ["DEEPEST", "JsonObject", "strict_schema"]
