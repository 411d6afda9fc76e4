"""The text of a value, which is the same in each process. Fingerprints and records are made from such texts.

`repr` shows a set in the order of its hashes, which depends on PYTHONHASHSEED, and shows an object with its address.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from pydantic import BaseModel

from graphengine.state.type_facts import enum_value

_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
_UNSTEADY: Final = re.compile(r"[{[]| at 0x")


def steady_text(value: Any) -> str:  # noqa: ANN401 - any value
    """Return a `repr` that is the same in every process: sets are sorted, and memory addresses are left out.

    Example:
        >>> steady_text([{"b", "a"}, frozenset({2, 1})])
        "[{'a', 'b'}, frozenset({1, 2})]"
    """
    text = repr(value)
    if isinstance(value, (str, bytes)) or not _UNSTEADY.search(text):  # The text contains no set and no address.
        return text
    kind = type(value)
    name = kind.__name__
    if isinstance(value, AbstractSet):
        inner = ", ".join(sorted(map(steady_text, value), key=lambda part: (len(part), part)))
        return f"{{{inner}}}" if kind is set and value else f"{name}({f'{{{inner}}}' if value else ''})"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{steady_text(key)}: {steady_text(part)}" for key, part in value.items())
        return f"{{{inner}}}" if kind is dict else f"{name}({{{inner}}})"
    if isinstance(value, tuple) and (names := getattr(kind, "_fields", ())):
        return _with_fields(name, dict(zip(names, value, strict=True)))
    if isinstance(value, (list, tuple)):
        inner = ", ".join(map(steady_text, value))
        listed = f"[{inner}]" if isinstance(value, list) else f"({inner},)" if len(value) == 1 else f"({inner})"
        return listed if kind in (list, tuple) else f"{name}({listed})"
    return _text_of_object(value, text)


def choice_text(value: object) -> str:
    """Return the name of a switch's case or a node's choice: the text of its value.

    An Enum member counts as its value.
    """
    held = enum_value(value)
    return steady_text(held) if isinstance(held, AbstractSet) else str(held)


def _text_of_object(value: Any, text: str) -> str:  # noqa: ANN401 - as above
    """Describe a model or dataclass by its fields, and any other object by its `repr` without the memory address."""
    shown: object = type(value).__repr__
    if isinstance(value, BaseModel) and shown is BaseModel.__repr__:
        return _with_fields(type(value).__name__, {name: part for name, part in value.__repr_args__() if name})
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and hasattr(shown, "__wrapped__"):
        names = [each.name for each in dataclasses.fields(value) if each.repr]
        return _with_fields(type(value).__qualname__, {name: getattr(value, name, None) for name in names})
    return _ADDRESS.sub("", text)


def _with_fields(name: str, fields: Mapping[str, object]) -> str:
    return f"{name}({', '.join(f'{key}={steady_text(part)}' for key, part in fields.items())})"
