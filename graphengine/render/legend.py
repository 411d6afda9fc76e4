"""The meaning of a picture's signs that are in it and that no word next to them explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.render.arrows import TIMES
from graphengine.render.parts import Line
from graphengine.render.text import wrap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphengine.render.parts import Drawing

LEGEND_COLUMNS: Final = 70
LEGEND_LINES: Final = 4


def legend_of(drawing: Drawing) -> tuple[Line, ...]:
    """Return the legend of a drawing in lines; none if every sign explains itself."""
    return tuple(Line(text, "small") for text in wrap("; ".join(signs_of(drawing)), LEGEND_COLUMNS, LEGEND_LINES))


def signs_of(drawing: Drawing) -> Iterable[str]:
    """Yield the meaning of each sign of a drawing that no word next to it explains."""
    shapes = {box.shape for box in drawing.boxes}
    if any(arrow.number > 1 for arrow in drawing.arrows):
        yield "1. 2. 3.: edges are tried in this order"
    if any(arrow.failure for arrow in drawing.arrows):
        yield "dashed: after a failure"
    if "fork" in shapes:
        yield "bar: arms run in parallel"
    if "entry" in shapes:
        yield "dot: where a graph inside begins" + (", ringed where it ends" if "exit" in shapes else "")
    elif "exit" in shapes:
        yield "ringed dot: where a graph inside ends"
    if any(box.many for box in drawing.boxes) or any(cluster.many for cluster in drawing.clusters):
        yield "several frames: once for each item"
    if any(arrow.tone != "plain" for arrow in drawing.arrows):
        counts = any(line.text.startswith(TIMES) for arrow in drawing.arrows for line in arrow.lines)
        yield "bold: taken" + (f", {TIMES}: how often" if counts else "") + "; pale: never taken"
