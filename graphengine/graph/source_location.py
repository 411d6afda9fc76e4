"""The place in the user's code where something was declared, so that problems are reported by file and line.

A declaration stores the line of the call that made it: the nearest one outside graphengine. For a pattern, that is the
user's call of the pattern. This takes about half a microsecond and reads no files.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ast
    from types import FrameType

_OWN = "graphengine."


class Origin(NamedTuple):
    """A line of a file."""

    file: str
    line: int


def origin_of_call() -> Origin | None:
    """Return the line of the user's code that led to the calling function, or None if there is none."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - inspect.stack() reads files; this costs nothing
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_OWN):
        frame = frame.f_back
    return None if frame is None else Origin(frame.f_code.co_filename, frame.f_lineno)


def origin_of_field(model: type, name: str) -> Origin | None:
    """Return the line that declares a field of a model, else that of its class; None if its source cannot be read."""
    import ast  # noqa: PLC0415 - needed only to report a problem

    model = getattr(model, "__declared__", model)  # a TypedDict or a dataclass
    for owner in model.__mro__:
        file, tree = _class_in(owner)
        for node in getattr(tree, "body", ()):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
                return Origin(file, node.lineno)
    file, tree = _class_in(model)
    return None if tree is None else Origin(file, getattr(tree, "lineno", 1))


def _class_in(owner: type) -> tuple[str, ast.AST | None]:
    """Return the file of a class, and the class in it; None if its source cannot be read."""
    import ast  # noqa: PLC0415
    import inspect  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    try:
        file = inspect.getfile(owner)
        tree: ast.AST = ast.parse(Path(file).read_bytes())
    except (OSError, TypeError, SyntaxError, ValueError):  # entered at a prompt, or deleted since
        return "", None
    for part in owner.__qualname__.split("."):
        if part == "<locals>":
            continue
        named = [node for node in ast.walk(tree) if getattr(node, "name", None) == part]
        if not named:
            return file, None
        tree = named[-1]
    return file, tree


__all__ = ["Origin", "origin_of_call", "origin_of_field"]
