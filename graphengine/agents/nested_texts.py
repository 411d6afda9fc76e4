r"""Lists and objects that a model wrote as texts of JSON, where a schema allows no text.

Some models write `{"tags": "[\"a\", \"b\"]"}` for a list of tags. Where the schema allows a text too, it is a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from graphengine.agents.json_text import Unreadable, strict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    Schema = Mapping[str, JsonValue]

_MOST_LEVELS: Final = 32
_CHOICES: Final = ("anyOf", "oneOf", "allOf")
_MORE: Final = "additionalProperties"
_ROOT: Final = "#/"


def texts_read(value: JsonValue, schema: Schema, root: Schema | None = None) -> JsonValue:
    """Return a value with the texts read that its schema wants as lists or objects; None if there are none.

    Args:
        value: The value.
        schema: Its JSON Schema.
        root: The schema that `$ref` is relative to; None for the same.

    Example:
        >>> texts_read({"n": ["1"], "s": "[2]"}, {"properties": {"n": {"type": "array"}, "s": {"type": "string"}}})
        >>> texts_read({"n": '["1"]', "s": "[2]"}, {"properties": {"n": {"type": "array"}, "s": {"type": "string"}}})
        {'n': ['1'], 's': '[2]'}
    """
    found = _read(value, dict(schema), schema if root is None else root, _MOST_LEVELS)
    return None if found == value else found


def _read(value: JsonValue, schema: JsonValue, root: Schema, levels: int) -> JsonValue:
    if levels == 0 or not isinstance(value, (str, list, dict)):
        return value
    variants = list(_variants(schema, root, levels))
    if isinstance(value, str):
        value = _inner(value, variants)
    if isinstance(value, list):
        [items] = _only(variants, "array", "items") or [None]
        return [_read(each, items, root, levels - 1) for each in value]
    if isinstance(value, dict):
        [known], [more] = _only(variants, "object", "properties") or [None], _only(variants, "object", _MORE) or [None]
        fields: Schema = known if isinstance(known, dict) else {}
        return {name: _read(each, fields.get(name, more), root, levels - 1) for name, each in value.items()}
    return value


def _variants(schema: JsonValue, root: Schema, levels: int) -> list[Schema]:
    """Return the schemas that a value may fit, without references and unions."""
    if not isinstance(schema, dict) or levels == 0:
        return [{}]
    reference = schema.get("$ref")
    if isinstance(reference, str):
        named: Any = root
        for key in reference.removeprefix(_ROOT).split("/") if reference.startswith(_ROOT) else [""]:
            named = named.get(key) if isinstance(named, dict) else None
        return _variants(named, root, levels - 1)
    several = next((schema[key] for key in _CHOICES if isinstance(schema.get(key), list)), None)
    if several is None:
        return [schema]
    return [found for each in cast("Sequence[JsonValue]", several) for found in _variants(each, root, levels - 1)]


def _types(schema: Schema) -> set[str]:
    """Return the types that a schema allows, `any` among them if it does not say."""
    kinds = schema.get("type", "object" if "properties" in schema else "any")
    return set(map(str, kinds)) if isinstance(kinds, list) else {str(kinds)}


def _inner(text: str, variants: Sequence[Schema]) -> JsonValue:
    """Return the list or object that a text holds, if the variants allow it and no text; else the text."""
    allowed = set[str]().union(*map(_types, variants))
    if allowed & {"string", "any"} or not text.lstrip().startswith(("[", "{")):
        return text
    try:
        found = strict(text)
    except Unreadable:
        return text
    kind = "array" if isinstance(found, list) else "object" if isinstance(found, dict) else ""
    return cast("JsonValue", found) if kind in allowed else text


def _only(variants: Sequence[Schema], kind: str, key: str) -> list[JsonValue]:
    """Return what the only variant of a type has at a key; nothing if there are several, which may differ."""
    found = [variant.get(key) for variant in variants if kind in _types(variant)]
    return found if len(found) == 1 else []


__all__ = ["texts_read"]
