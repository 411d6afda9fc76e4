"""Prompts: text whose `{paths}` are filled from what an agent reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from graphengine.paths import parse, walk

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOLE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


def holes(text: str) -> list[str]:
    """The paths in a prompt, each once, in order. `{{` and `}}` are braces."""
    found = [match.group(1).strip() for match in _HOLE.finditer(text) if match.group(1) is not None]
    return list(dict.fromkeys(found))


def fill(text: str, values: Mapping[str, object]) -> str:
    """The prompt with each path's value in its place; a path may be given whole or by the value of its root."""

    def put(match: re.Match[str]) -> str:
        if match.group(1) is None:
            return match.group()[0]
        hole = match.group(1).strip()
        if hole in values:
            return as_text(values[hole])
        path = parse(hole)
        return as_text(walk(values.get(path.root), path.parts))

    return _HOLE.sub(put, text)


def as_text(value: object) -> str:
    """A value as a model reads it: text as it is, nothing for None, anything else as indented JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return to_json(value, indent=2, fallback=str).decode()


def labelled(values: Mapping[str, object]) -> str:
    """Values as labelled blocks, for agents without a prompt of their own."""
    return "\n\n".join(f"<{name}>\n{as_text(value)}\n</{name}>" for name, value in values.items())
