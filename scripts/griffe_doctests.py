"""An extension of griffe for the API reference, which puts each doctest of a docstring into a code block.

Without it, Markdown takes `>>>` for three nested quotations. It also gives the methods of SyncRunner and SyncRun, which
are made while the package is imported, the docstrings that they have then.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import griffe

from graphengine.api import sync


class Doctests(griffe.Extension):  # type: ignore[misc, unused-ignore]  # griffe is not in every environment
    """Puts the doctests in every rendered docstring into code blocks."""

    def on_object(self, *, obj: griffe.Object, **_kwargs: Any) -> None:  # noqa: ANN401 - as griffe declares it
        """Change the docstring of one object before it is rendered.

        Methods of SyncRunner get the docstrings of Runner.
        """
        if obj.docstring is None and obj.parent is not None and obj.parent.name in {"SyncRunner", "SyncRun"}:
            made = getattr(getattr(sync, obj.parent.name), obj.name, None)
            obj.docstring = griffe.Docstring(inspect.getdoc(made) or "", parent=obj) if callable(made) else None
        if obj.docstring is not None:
            obj.docstring.value = fenced(inspect.cleandoc(obj.docstring.value))


def fenced(text: str) -> str:
    """Put each doctest of a docstring into a code block."""
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
