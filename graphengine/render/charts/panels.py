"""Runs drawn on their graph, as a part of a larger picture, with a mark on the node where two runs diverge."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar
from xml.etree import ElementTree as ET

from graphengine.engine.steps import without_items
from graphengine.render.charts.canvas import Canvas, Paint, number
from graphengine.render.legend import signs_of
from graphengine.render.painted import svg_of
from graphengine.render.parts import Box, Cluster, Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.engine.steps import Step
    from graphengine.render.parts import Drawing


_Part = TypeVar("_Part", Box, Cluster)

_SVG: Final = "http://www.w3.org/2000/svg"
_PIXELS: Final = 96 / 72 * 0.82
"""Graphviz measures in points; at this scale, its text has the size of a chart's."""
_POINT: Final = re.compile(r"(-?[\d.]+),(-?[\d.]+)")
_CHOICE: Final = re.compile(r" \([^()]*\)(?=/|$)")


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture to be placed in another.

    Attributes:
        root: Its element.
        width: Pixels.
        height: Pixels.
        signs: The meaning of its signs; it has no legend of its own.
    """

    root: ET.Element
    width: float
    height: float
    signs: Sequence[str]

    def placed(self, x: float, y: float) -> str:
        """Return the element, at this place."""
        for name, value in (("x", x), ("y", y), ("width", self.width), ("height", self.height)):
            self.root.set(name, number(value))
        return ET.tostring(self.root, encoding="unicode")


def panel_of(whole: Drawing, partings: Mapping[str, Step]) -> Panel:
    """Paint a drawing of one run or of two.

    Args:
        whole: The drawing.
        partings: The steps at which runs diverge, by the name of the run, "" if there is only one; their nodes are
            marked.

    Raises:
        RenderError: No painter is installed, or it failed.
    """
    drawing = replace(whole, caption=(), legend=())  # the larger picture has a caption and a legend
    marked: list[str] = []
    for name, step in partings.items():
        part = _marked(drawing, step)
        marked += [part] if part else []
        drawing = _with_line(drawing, part, f"{name} parts at step {step.seq}".strip())
    root = ET.fromstring(svg_of(drawing, "auto", is_part=True))  # noqa: S314 - painted a moment ago
    for part in dict.fromkeys(marked):
        _mark(root, part)
    return Panel(root, _length(root, "width"), _length(root, "height"), tuple(signs_of(whole)))


def _length(root: ET.Element, name: str) -> float:
    text = root.get(name, "0")
    return float(text.removesuffix("pt")) * (_PIXELS if text.endswith("pt") else 1.0)


def _marked(drawing: Drawing, parting: Step) -> str:
    """Return the id of the box or the cluster of a step's node, "" if the drawing has none."""
    path = without_items(parting.path)
    parts: list[Box | Cluster] = [*drawing.clusters, *drawing.boxes]
    return next((part.id for part in parts if _CHOICE.sub("", part.name) == path), "")


def _with_line(drawing: Drawing, marked: str, words: str) -> Drawing:
    """Return the drawing with one more line in a box or a cluster, so that there is room for it."""
    line = Line(words, "strong")

    def more(part: _Part) -> _Part:
        if part.id != marked:
            return part
        return replace(part, lines=(*part.lines, line), spoken=f"{part.spoken}; {words}")

    return replace(drawing, boxes=tuple(map(more, drawing.boxes)), clusters=tuple(map(more, drawing.clusters)))


def _mark(root: ET.Element, marked: str) -> None:
    """Frame the node where the runs diverge."""
    group = next((each for each in root.iter(f"{{{_SVG}}}g") if each.get("id", "").endswith(f"-{marked}")), None)
    around = next(iter(root.iter(f"{{{_SVG}}}g")), None)
    points = list(_points(group)) if group is not None else []
    if not points or around is None:
        return
    (left, right), (top, bottom) = ((min(places), max(places)) for places in zip(*points, strict=True))
    canvas = Canvas()
    canvas.rect(left - 5, top - 5, right - left + 10, bottom - top + 10, Paint("none", "ink", 2.6, "7 4"), radius=5)
    around.append(ET.fromstring(f'<g xmlns="{_SVG}">{"".join(canvas.parts)}</g>'))  # noqa: S314 - our own


def _points(group: ET.Element) -> Iterator[tuple[float, float]]:
    """Yield the corners of the shapes in a group."""
    for shape in group.iter():
        for x, y in _POINT.findall(shape.get("points") or shape.get("d") or ""):
            yield float(x), float(y)
        if shape.get("rx") and shape.get("cx"):
            x, y, rx, ry = (float(shape.get(name, "0")) for name in ("cx", "cy", "rx", "ry"))
            yield x - rx, y - ry
            yield x + rx, y + ry
