r"""Decode lists and objects that a model wrote as JSON texts, where a schema does not allow a text.

Some models write `{"tags": "[\"a\", \"b\"]"}` for a list of tags. If the schema also allows a text at that place, the
text is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from graphengine.agents.json_text import UnreadableJson, strict
from graphengine.schemas.walking import kinds, variants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

    from graphengine.schemas.walking import Schema

_MOST_LEVELS: Final = 32
_MORE: Final = "additionalProperties"


def texts_read(value: JsonValue, schema: Schema, root: Schema | None = None) -> JsonValue:
    """Decode the texts inside a value that contain JSON, where the schema of the value wants a list or an object.

    Models sometimes write a list as a text, such as `"[1]"`. The result is the corrected value; None if the value
    contains no such text.

    Args:
        value: The value.
        schema: The JSON Schema of the value.
        root: The schema to which `$ref` is relative; None if it is `schema`.

    Example:
        >>> texts_read({"n": ["1"], "s": "[2]"}, {"properties": {"n": {"type": "array"}, "s": {"type": "string"}}})
        >>> texts_read({"n": '["1"]', "s": "[2]"}, {"properties": {"n": {"type": "array"}, "s": {"type": "string"}}})
        {'n': ['1'], 's': '[2]'}
    """
    found = _read_nested(value, dict(schema), schema if root is None else root, _MOST_LEVELS)
    return None if found == value else found


def _read_nested(value: JsonValue, schema: JsonValue, root: Schema, levels: int) -> JsonValue:
    if levels == 0 or not isinstance(value, (str, list, dict)):
        return value
    found = variants(schema, root)
    if isinstance(value, str):
        value = _inner(value, found)
    if isinstance(value, list):
        [items] = _only(found, "array", "items") or [None]
        return [_read_nested(each, items, root, levels - 1) for each in value]
    if isinstance(value, dict):
        [known], [more] = _only(found, "object", "properties") or [None], _only(found, "object", _MORE) or [None]
        fields: Schema = known if isinstance(known, dict) else {}
        return {name: _read_nested(each, fields.get(name, more), root, levels - 1) for name, each in value.items()}
    return value


def _inner(text: str, allowed: Sequence[Schema]) -> JsonValue:
    """Decode a text as a JSON list or object, if the schema allows a list or object there and does not allow a text.

    Otherwise the text itself is returned. `allowed` contains the variants of the schema.
    """
    types = set[str]().union(*map(kinds, allowed))
    if "string" in types or not all(map(kinds, allowed)) or not text.lstrip().startswith(("[", "{")):
        return text
    try:
        found = strict(text)
    except UnreadableJson:
        return text
    kind = "array" if isinstance(found, list) else "object" if isinstance(found, dict) else ""
    return cast("JsonValue", found) if kind in types else text


def _only(allowed: Sequence[Schema], kind: str, key: str) -> list[JsonValue]:
    """Return the value under `key` in the only variant of a JSON Schema that describes the JSON type `kind`.

    For example, with the kind `"array"` and the key `"items"`, the schema of a list's items is returned. The value is
    returned as a list with one item. The list is empty if no variant or several variants have this type.
    """
    found = [variant.get(key) for variant in allowed if kind in kinds(variant)]
    return found if len(found) == 1 else []


__all__ = ["texts_read"]
