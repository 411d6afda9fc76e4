"""An extension of griffe for the API reference: put each doctest of a docstring into a code block.

Without it, Markdown takes `>>>` for three nested quotations.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import griffe


class Doctests(griffe.Extension):  # type: ignore[misc, unused-ignore]  # griffe is not in every environment
    """Fence the doctests of every docstring that is rendered."""

    def on_object(self, *, obj: griffe.Object, **_kwargs: Any) -> None:  # noqa: ANN401 - as griffe declares it
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(inspect.cleandoc(obj.docstring.value))


def fenced(text: str) -> str:
    """Return a docstring with a fence around each doctest."""
    parts = re.split(r"(\n\s*\n)", text)
    return "".join(_fenced(part) for part in parts)


def _fenced(part: str) -> str:
    lines = part.split("\n")
    starts = [number for number, line in enumerate(lines) if line.lstrip().startswith(">>> ")]
    if not starts:
        return part
    first = starts[0]
    indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
    return "\n".join([*lines[:first], f"{indent}```pycon", *lines[first:], f"{indent}```"])
