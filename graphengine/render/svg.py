"""A drawing painted as SVG, from its layout.

The picture has a title and a description, and each part its text in words. Light colours are attributes; dark ones are
in a style sheet, by classes, if the reader can choose, so that a viewer without styles shows the light ones. Ids begin
with a digest of the picture, so that a page can have several. Numbers have one decimal, so that the bytes are the same
everywhere.
"""

from __future__ import annotations

from hashlib import sha256
from html import escape
from itertools import pairwise
from math import hypot
from typing import TYPE_CHECKING, Final

from graphengine.render.layout import FRAMES, SLANT, Rect, block_size, layout
from graphengine.render.looks import (
    INK,
    PALE,
    PAPER,
    SOFT_INK,
    by_night,
    look_of_arrow,
    look_of_box,
    look_of_cluster,
    name_of,
    night_rules,
)
from graphengine.render.metrics import FONT, SIZES, baseline, line_height, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from graphengine.render.layout import Layout, Point
    from graphengine.render.looks import Look, Theme
    from graphengine.render.parts import Arrow, Box, Cluster, Drawing, Line, Shape

_PAD: Final = 14.0
_NAME: Final = "\0"
"""Stands for the digest until it is known; no text contains it."""
_BEND: Final = 7.0
"""The radius of an arrow's bends."""
_HEAD: Final = 8.0
"""The length of an arrowhead."""


def svg_of(drawing: Drawing, theme: Theme, *, is_part: bool = False, is_wide: bool = False) -> str:
    """Return the drawing as SVG.

    Args:
        drawing: The drawing.
        theme: Whether it is dark, light, or follows the reader's preference.
        is_part: Whether it becomes part of a page, so that it needs no XML declaration.
        is_wide: Whether it is read from left to right.

    Raises:
        RenderError: It cannot be laid out.
    """
    head = "" if is_part else '<?xml version="1.0" encoding="utf-8"?>\n'
    return f"{head}{_Painter(drawing, layout(drawing, is_wide=is_wide), theme).element()}\n"


class _Painter:
    """Paints one drawing."""

    def __init__(self, drawing: Drawing, found: Layout, theme: Theme) -> None:
        self.drawing, self.layout, self.theme = drawing, found, theme
        self.used: set[tuple[str, str]] = set()

    def element(self) -> str:
        """Return the picture as an element."""
        drawing, bounds = self.drawing, self.layout.bounds
        above = [*drawing.caption, *drawing.legend]
        wide, high = block_size(above)
        head = high + _PAD if above else 0.0
        across, down = max(wide, bounds.wide) + 2 * _PAD, head + bounds.high + 2 * _PAD
        left, top = bounds.x + (bounds.wide - across) / 2, bounds.y - head - _PAD
        parts = [
            f'<rect x="{number(left)}" y="{number(top)}" width="100%" height="100%"{self._fill(PAPER)}/>',
            *self._text(above, (left + _PAD, top + _PAD), (INK, SOFT_INK)),
            *(text for part in drawing.clusters for text in self._cluster(part)),
            *(text for part in sorted(drawing.arrows, key=_height_of) for text in self._arrow(part)),
            *(text for part in drawing.boxes for text in self._box(part)),
        ]
        rules = night_rules(self.used, f"  #{_NAME} ") if self.theme == "auto" else []
        style = ["<style>", "@media (prefers-color-scheme: dark) {", *rules, "}", "</style>"] if rules else []
        size = " ".join(number(value) for value in (left, top, across, down))
        extent = f'width="{number(across)}pt" height="{number(down)}pt" viewBox="{size}"'
        spoken = f'role="img" aria-labelledby="{_NAME}-title {_NAME}-desc"'
        made = "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" id="{_NAME}" {extent} {spoken} font-family="{FONT}">',
                f'<title id="{_NAME}-title">{escape(drawing.title)}</title>',
                f'<desc id="{_NAME}-desc">{escape(drawing.spoken)}</desc>',
                *style,
                *parts,
                "</svg>",
            ]
        )
        return made.replace(_NAME, f"g{sha256(made.encode('utf-8', 'replace')).hexdigest()[:8]}")

    def _paint(self, kind: str, colour: str) -> tuple[str, str]:
        """Return the attribute of a colour, and its class."""
        self.used.add((kind, colour))
        shown = by_night(colour) if self.theme == "dark" else colour
        return f' {kind}="{shown}"', f"{kind}-{name_of(colour)}" if self.theme == "auto" else ""

    def _fill(self, fill: str, line: str = "", points: float = 0.0) -> str:
        """Return the attributes of a shape."""
        painted = [self._paint("fill", fill) if fill else (' fill="none"', "")]
        painted += [self._paint("stroke", line)] if line else []
        width = f' stroke-width="{points:g}"' if line else ""
        classes = " ".join(each for _, each in painted if each)
        return "".join(each for each, _ in painted) + width + (f' class="{classes}"' if classes else "")

    def _text(
        self, lines: Sequence[Line], at: Point, inks: tuple[str, str], anchor: str = "start", more: str = ""
    ) -> Iterator[str]:
        """Yield lines of text below each other, from the top; small ones are in the second ink."""
        x, top = at
        for line in lines:
            ink = PALE if line.is_pale else inks[line.weight == "small"]
            facts = f' text-anchor="{anchor}"' * (anchor != "start") + ' font-weight="bold"' * (line.weight == "strong")
            place = f'x="{number(x)}" y="{number(top + baseline(line))}" font-size="{SIZES[line.weight]}"'
            yield f"<text {place}{facts}{more}{self._fill(ink)}>{escape(line.text)}</text>"
            top += line_height(line)

    def _cluster(self, cluster: Cluster) -> Iterator[str]:
        look, rect = look_of_cluster(cluster), self.layout.rects[cluster.id]
        yield _begin(cluster, "cluster")
        painted = self._fill(look.fill, look.line, look.line_points)
        if cluster.many:
            yield _rect(rect.within(-FRAMES), painted)
        yield _rect(rect, painted)
        yield from self._text(cluster.lines, (rect.x + 12, rect.y + 8), (look.text, look.soft))
        yield "</g>"

    def _box(self, box: Box) -> Iterator[str]:
        look, rect = look_of_box(box), self.layout.rects[box.id]
        yield _begin(box, "node")
        painted = self._fill(look.fill, look.line, look.line_points)
        for _ in range(2 * box.many):
            yield from self._shape(box, rect, look, painted)
            rect = rect.within(FRAMES)
        yield from self._shape(box, rect, look, painted)
        _, high = block_size(box.lines)
        x, y = rect.middle
        yield from self._text(box.lines, (x, y - high / 2), (look.text, look.soft), "middle")
        yield "</g>"

    def _shape(self, box: Box, rect: Rect, look: Look, painted: str) -> Iterator[str]:
        if box.shape in _CUT:
            yield f'<path d="{_CUT[box.shape](rect)}"{painted}/>'
        elif box.shape in ("pass", "entry", "exit"):
            x, y = rect.middle
            radii = [(rect.wide / 2, rect.high / 2), (5, 5)]
            if box.shape == "exit":
                yield _ellipse((x, y), radii[0], self._fill("", look.line, look.line_points))
            yield _ellipse((x, y), radii[box.shape == "exit"], painted)
        else:
            radius = 8.0 if box.shape in ("start", "end", "agent") else 0.0
            yield _rect(rect, painted, radius)
            if box.shape == "end":
                yield _rect(rect.within(FRAMES), self._fill("", look.line, look.line_points), radius - 2)
        left, top, right = rect.x, rect.y, rect.x + rect.wide
        corners = {
            "ask": ((right - SLANT, top), (right - SLANT, top + SLANT), (right, top + SLANT)),
            "graph": ((left, top + 6), (left + 28, top + 6), (left + 34, top)),
        }
        if box.shape in corners:  # the fold of a note, and the tab of a folder
            yield f'<path d="{_polyline(corners[box.shape])}"{self._fill("", look.line, look.line_points)}/>'

    def _arrow(self, arrow: Arrow) -> Iterator[str]:
        look = look_of_arrow(arrow)
        yield _begin(arrow, "edge")
        *lines, last = self.layout.routes[arrow.id]
        (*rest, before, tip) = last
        long = hypot(tip[0] - before[0], tip[1] - before[1]) or 1.0
        across, down = (tip[0] - before[0]) / long, (tip[1] - before[1]) / long
        foot = (tip[0] - across * _HEAD, tip[1] - down * _HEAD)
        stroke = self._fill("", look.line, look.line_points) + ' stroke-dasharray="5 3"' * arrow.failure
        for line in (*lines, [*rest, before, foot]):
            yield f'<path d="{_rounded(line)}"{stroke}/>'
        half = _HEAD / 2 + look.line_points / 2 - 0.6
        head = (tip, (foot[0] - down * half, foot[1] + across * half), (foot[0] + down * half, foot[1] - across * half))
        yield f'<polygon points="{" ".join(f"{number(x)},{number(y)}" for x, y in head)}"{self._fill(look.line)}/>'
        if arrow.lines:
            rect = self.layout.rects[arrow.id]
            x, y = rect.middle
            _, high = block_size(arrow.lines)
            yield from self._text(arrow.lines, (x, y - high / 2), (look.text, look.text), "middle")
        yield "</g>"


def _begin(part: Box | Arrow, kind: str) -> str:
    return f'<g id="{_NAME}-{part.id}" class="{kind}"><title>{escape(part.spoken)}</title>'


def _height_of(arrow: Arrow) -> tuple[bool, bool]:
    """Sort arrows so that those that a run took are above those that it never took."""
    return arrow.tone == "done", arrow.failure


def _rect(rect: Rect, painted: str, radius: float = 0.0) -> str:
    at = f'x="{number(rect.x)}" y="{number(rect.y)}" width="{number(rect.wide)}" height="{number(rect.high)}"'
    return f"<rect {at}" + (f' rx="{number(radius)}"' if radius else "") + f"{painted}/>"


def _ellipse(at: Point, radii: Point, painted: str) -> str:
    facts = zip(("cx", "cy", "rx", "ry"), (*at, *radii), strict=True)
    return "<ellipse " + " ".join(f'{name}="{number(value)}"' for name, value in facts) + f"{painted}/>"


def _polyline(points: Sequence[Point]) -> str:
    return "M" + " L".join(f"{number(x)} {number(y)}" for x, y in points)


def _rounded(points: Sequence[Point]) -> str:
    """Return a line through points, with round bends."""
    found = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for before, at, after in zip(points, points[1:], points[2:], strict=False):
        begin, end = (_towards(at, other) for other in (before, after))
        found.append(f"L{number(begin[0])} {number(begin[1])}")
        found.append(f"Q{number(at[0])} {number(at[1])} {number(end[0])} {number(end[1])}")
    return " ".join([*found, f"L{number(points[-1][0])} {number(points[-1][1])}"])


def _towards(at: Point, other: Point) -> Point:
    """Return the point at which a bend begins or ends: at most half way to the next one."""
    long = hypot(other[0] - at[0], other[1] - at[1]) or 1.0
    share = min(_BEND, long / 2) / long
    return at[0] + (other[0] - at[0]) * share, at[1] + (other[1] - at[1]) * share


def _corners(rect: Rect, *cuts: Point) -> str:
    """Return the outline of a rectangle whose corners are cut off, from the upper left clockwise."""
    left, top, right, bottom = rect.x, rect.y, rect.x + rect.wide, rect.y + rect.high
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = cuts
    points = [(left, top + ay), (left + ax, top), (right - bx, top), (right, top + by)]
    points += [(right, bottom - cy), (right - cx, bottom), (left + dx, bottom), (left, bottom - dy)]
    return _polyline([points[0], *(after for before, after in pairwise(points) if before != after)]) + " Z"


_CUT: Final[dict[Shape, Callable[[Rect], str]]] = {
    "choose": lambda rect: _corners(rect, *[(SLANT, rect.high / 2)] * 4),
    "fail": lambda rect: _corners(rect, *[(SLANT, SLANT)] * 4),
    "ask": lambda rect: _corners(rect, (0, 0), (SLANT, SLANT), (0, 0), (0, 0)),
}
