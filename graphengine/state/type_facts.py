"""Facts about types and enums: whether they are numbers, and which values they allow.

Compiling a graph uses all of them. A run uses only `enum_value`.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Sequence


def is_number(kind: object) -> bool:
    if get_origin(kind) is Literal:
        return any(is_number(type(choice)) for choice in get_args(kind))
    kind = getattr(kind, "__supertype__", get_origin(kind) or kind)
    if not isinstance(kind, type) or kind in (Any, object):
        return True  # values of unknown types can be numbers
    if issubclass(kind, enum.Enum):
        return any(is_number(type(member.value)) for member in kind)
    return kind is not bool and (issubclass(kind, (int, float)) or hasattr(kind, "__float__"))


def closed_values(types: Sequence[object]) -> list[object] | None:
    """Return all values of a type that has only finitely many (Literal, Enum, bool); None for other types."""
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
    """Return the value of an Enum member, and any other value unchanged.

    Records contain the value and never the member, so cases, labels and keys are compared by value.
    """
    return value.value if isinstance(value, enum.Enum) else value
