"""Facts about types and enums: whether they are numbers, which values they allow.

Compile uses all of them; a run uses only `enum_value`.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Sequence

_WRITERS: Final = ("format", "function-plain", "to-string")
"""Serialisers of pydantic that write something else than the value itself."""


def is_number(kind: object) -> bool:
    """Return whether values of a type are numbers, or can be."""
    if get_origin(kind) is Literal:
        return any(is_number(type(choice)) for choice in get_args(kind))
    kind = getattr(kind, "__supertype__", get_origin(kind) or kind)
    if not isinstance(kind, type) or kind in (Any, object):
        return True  # unknown types can be numbers
    if issubclass(kind, enum.Enum):
        return any(is_number(type(member.value)) for member in kind)
    return kind is not bool and (issubclass(kind, (int, float)) or hasattr(kind, "__float__"))


def closed_values(types: Sequence[object]) -> list[object] | None:
    """Return all values that Literal, Enum and bool types allow; None if the types allow others."""
    values: list[object] = []
    for kind in types:
        if get_origin(kind) is Literal or kind is bool:
            values.extend(get_args(kind) or (True, False))
        elif isinstance(kind, type) and issubclass(kind, enum.Enum):
            values.extend(kind)
        elif kind not in (type(None), None):
            return None
    return values or None


def enum_value(value: object) -> object:
    """Return the value of an Enum member; any other value unchanged.

    Records hold the value and never the member, so cases, labels and keys use the value.
    """
    return value.value if isinstance(value, enum.Enum) else value


def has_plain_bytes(schema: object, encoding: str = "utf8") -> bool:
    """Return whether a core schema holds bytes that would be written as text."""
    if isinstance(schema, dict):
        config = schema.get("config")
        if isinstance(config, dict):
            encoding = config.get("ser_json_bytes", "utf8")
        if (schema.get("serialization") or {}).get("type") in _WRITERS:
            return False  # its own serialiser writes them, as that of Base64Bytes, or str() does, as of a ULID
        if schema.get("type") == "bytes" and encoding == "utf8":
            return True
        return any(has_plain_bytes(v, encoding) for k, v in schema.items() if k not in ("config", "metadata", "cls"))
    if isinstance(schema, (list, tuple)):
        return any(has_plain_bytes(item, encoding) for item in schema)
    return False
