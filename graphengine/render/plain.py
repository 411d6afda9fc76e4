"""A drawing as plain text, for terminals and screen readers: each box, and where it leads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.render.parts import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.render.parts import Arrow, Box, Drawing

_SIGNS = {True: "-x", False: "->"}


def plain_text(drawing: Drawing) -> str:
    """Return the drawing in words, one line per part; clusters are indented, failure edges begin with -x."""
    lines = [line.text for line in drawing.caption]
    lines += ["", *_parts(drawing, "", "")]
    return "\n".join(lines) + "\n"


def _parts(drawing: Drawing, cluster: str, indent: str) -> Iterator[str]:
    """Yield the parts of a cluster, each with the arrows that leave it."""
    for part in drawing.inside(cluster):
        yield f"{indent}{part.spoken}"
        leaving = [arrow for arrow in drawing.arrows if (arrow.tail or arrow.source) == part.id]
        yield from (f"{indent}  {text}" for arrow in leaving for text in _arrow(drawing, arrow))
        if isinstance(part, Cluster):
            yield from _parts(drawing, part.id, f"{indent}    ")


def _arrow(drawing: Drawing, arrow: Arrow) -> Iterator[str]:
    """Yield a line for each edge of an arrow."""
    parts: list[Box | Cluster] = [*drawing.boxes, *drawing.clusters]
    name = next(part.name for part in parts if part.id == (arrow.head or arrow.target))
    for words in arrow.words or ("",):
        yield f"{_SIGNS[arrow.failure]} {name}" + (f": {words}" if words else "")
