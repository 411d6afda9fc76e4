"""JSON values as Python source: short values on one line, long ones with one part per line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphengine.state.json_values import JsonValue

_WIDTH: Final = 100
_STEP: Final = "    "


class Code(str):
    """Source that is written unchanged."""

    __slots__ = ()


def literal(value: JsonValue | Code, indent: int = 0) -> str:
    """Return the source of a value.

    Args:
        value: The value; a `Code` in it is written unchanged.
        indent: The indentation of the line on which it begins, in steps of four blanks.

    Example:
        >>> print(literal({"score": 5, "issues": ["too long"]}))
        {"score": 5, "issues": ["too long"]}
    """
    short = _on_a_line(value)
    if len(short) + len(_STEP) * indent <= _WIDTH and not (isinstance(value, str) and "\n" in value[:-1]):
        return short
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        return _block("(", (quoted(part) for part in _pieces(value)), ")", indent, comma="")
    if isinstance(value, dict):
        parts = (f"{quoted(key)}: {literal(item, indent + 1)}" for key, item in value.items())
        return _block("{", parts, "}", indent)
    if isinstance(value, (list, tuple)):
        return _block("[", (literal(item, indent + 1) for item in value), "]", indent)
    return short


def call_of(name: str, arguments: Sequence[str], indent: int = 0) -> str:
    """Return the source of a call; one argument per line if it does not fit on one line."""
    short = f"{name}({', '.join(arguments)})"
    if len(short) + len(_STEP) * indent <= _WIDTH and "\n" not in short:
        return short
    return _block(f"{name}(", arguments, ")", indent)


def quoted(text: str) -> str:
    """Quote a text with double quotes, or with `repr` if it contains double quotes or unprintable characters."""
    printable = all(character.isprintable() or character in "\n\r\t" for character in text)
    return json.dumps(text, ensure_ascii=False) if printable and '"' not in text else repr(text)


def _block(opening: str, parts: Iterator[str] | Sequence[str], closing: str, indent: int, comma: str = ",") -> str:
    inner = _STEP * (indent + 1)
    return "\n".join([opening, *(f"{inner}{part}{comma}" for part in parts), f"{_STEP * indent}{closing}"])


def _on_a_line(value: JsonValue | Code) -> str:
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)}: {_on_a_line(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_on_a_line, value)) + "]"
    return quoted(value) if isinstance(value, str) else repr(value)


def _pieces(text: str) -> Iterator[str]:
    """Yield a text line by line; cut long lines at blanks."""
    for line in text.splitlines(keepends=True):
        left = line
        while len(left) > _WIDTH:
            at = left.rfind(" ", 1, _WIDTH) + 1 or _WIDTH
            yield left[:at]
            left = left[at:]
        yield left


__all__ = ["Code", "call_of", "literal", "quoted"]
