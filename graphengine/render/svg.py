"""Paint a drawing as SVG, from its layout.

- The picture has a title and a description for screen readers, and each part has its text in words.
- Light colours are attributes. If the picture follows the reader's theme, the dark colours are in a style sheet. A
  viewer that ignores style sheets therefore shows the light colours.
- Ids begin with a digest of the picture, so that a page can contain several pictures.
- Numbers have one decimal, so that the bytes are the same on every machine.
"""

from __future__ import annotations

from hashlib import sha256
from html import escape
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
    notebook_rules,
)
from graphengine.render.metrics import FONT, SIZES, baseline, line_height, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphengine.render.layout import Layout, Point
    from graphengine.render.looks import Look, Theme
    from graphengine.render.parts import Arrow, Box, Cluster, Drawing, Line

_PAD: Final = 10.0
_NAME: Final = "\0"
"""A placeholder for the digest, which is only known when the picture is complete. No text contains this character."""
_BEND: Final = 7.0
"""The radius of an arrow's bends."""
_HEAD: Final = 8.0
"""The length of an arrowhead."""


def svg_of(
    drawing: Drawing, theme: Theme, *, is_part: bool = False, is_wide: bool = False, in_notebook: bool = False
) -> str:
    """Draw a picture as SVG.

    Args:
        drawing: The picture.
        theme: Whether the picture is dark, is light, or follows the reader's preference.
        is_part: Whether the picture becomes part of a page, so that it needs no XML declaration.
        is_wide: Whether the picture is read from left to right.
        in_notebook: Whether "auto" means the theme of the notebook that shows the picture.

    Raises:
        RenderError: The picture cannot be laid out.
    """
    head = "" if is_part else '<?xml version="1.0" encoding="utf-8"?>\n'
    painter = _Painter(drawing, layout(drawing, is_wide=is_wide), theme, in_notebook=in_notebook)
    return f"{head}{painter.element()}\n"


def name_in(svg: str) -> str:
    """Return the prefix of all ids in a picture, by which its parts can be found in a page; "" for a chart."""
    return svg.partition('<svg xmlns="http://www.w3.org/2000/svg" id="')[2].partition('"')[0]


class _Painter:
    """Paints one drawing."""

    def __init__(self, drawing: Drawing, found: Layout, theme: Theme, *, in_notebook: bool) -> None:
        self.drawing, self.layout, self.theme, self.in_notebook = drawing, found, theme, in_notebook
        self.used: set[tuple[str, str]] = set()

    def element(self) -> str:
        """Return the picture as a complete SVG element."""
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
        style: list[str] = []
        if self.theme == "auto" and self.in_notebook:
            style = ["<style>", *notebook_rules(self.used, f"#{_NAME}"), "</style>"]
        elif self.theme == "auto":
            rules = night_rules(self.used, f"  #{_NAME} ")
            style = ["<style>", "@media (prefers-color-scheme: dark) {", *rules, "}", "</style>"]
        size = " ".join(number(value) for value in (left, top, across, down))
        extent = f'width="{number(across)}pt" height="{number(down)}pt" viewBox="{size}"'
        spoken = f'role="img" aria-labelledby="{_NAME}-title {_NAME}-desc"'
        body = "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" id="{_NAME}" {extent} {spoken} font-family="{FONT}">',
                f'<title id="{_NAME}-title">{escape(drawing.title)}</title>',
                f'<desc id="{_NAME}-desc">{escape(drawing.spoken)}</desc>',
                *style,
                *parts,
                "</svg>",
            ]
        )
        return body.replace(_NAME, f"g{sha256(body.encode('utf-8', 'replace')).hexdigest()[:8]}")

    def _fill(self, fill: str, line: str = "", points: float = 0.0) -> str:
        """Return the SVG attributes that give a shape its colours.

        If the picture follows the reader's preference, they include CSS classes. Style rules with these classes replace
        the colours by dark ones.
        """
        colours = [(kind, colour) for kind, colour in (("fill", fill), ("stroke", line)) if colour]
        self.used.update(colours)
        shade = by_night if self.theme == "dark" else str
        facts = "" if fill else ' fill="none"'
        facts += "".join(f' {kind}="{shade(colour)}"' for kind, colour in colours)
        facts += f' stroke-width="{points:g}"' if line else ""
        classes = " ".join(f"{kind}-{name_of(colour)}" for kind, colour in colours)
        return facts + (f' class="{classes}"' if self.theme == "auto" else "")

    def _text(self, lines: Sequence[Line], at: Point, inks: tuple[str, str], anchor: str = "start") -> Iterator[str]:
        """Yield the SVG elements for several lines of text, one below the other.

        Args:
            lines: The lines.
            at: The place of the upper left corner.
            inks: The colour of the text, and the colour of small text.
            anchor: Where the text is relative to the place: at its `start`, its `middle` or its `end`.
        """
        x, top = at
        for line in lines:
            ink = PALE if line.is_pale else inks[line.weight == "small"]
            facts = f' text-anchor="{anchor}"' * (anchor != "start") + ' font-weight="bold"' * (line.weight == "strong")
            place = f'x="{number(x)}" y="{number(top + baseline(line))}" font-size="{SIZES[line.weight]}"'
            yield f"<text {place}{facts}{self._fill(ink)}>{escape(line.text)}</text>"
            top += line_height(line)

    def _centre_text(self, lines: Sequence[Line], rect: Rect, inks: tuple[str, str]) -> Iterator[str]:
        (x, y), (_, high) = rect.middle, block_size(lines)
        return self._text(lines, (x, y - high / 2), inks, "middle")

    def _cluster(self, cluster: Cluster) -> Iterator[str]:
        look, rect = look_of_cluster(cluster), self.layout.rects[cluster.id]
        yield _open_group(cluster, "cluster")
        painted = self._fill(look.fill, look.line, look.line_points)
        if cluster.many:
            yield _rect(rect, painted)
            rect = rect.within(FRAMES)
        yield _rect(rect, painted)
        yield from self._text(cluster.lines, (rect.x + 12, rect.y + 8), (look.text, look.soft))
        yield "</g>"

    def _box(self, box: Box) -> Iterator[str]:
        look, rect = look_of_box(box), self.layout.rects[box.id]
        yield _open_group(box, "node")
        painted = self._fill(look.fill, look.line, look.line_points)
        for _ in range(2 * box.many):
            yield from self._shape(box, rect, look, painted)
            rect = rect.within(FRAMES)
        yield from self._shape(box, rect, look, painted)
        yield from self._centre_text(box.lines, rect, (look.text, look.soft))
        yield "</g>"

    def _shape(self, box: Box, rect: Rect, look: Look, painted: str) -> Iterator[str]:
        border = self._fill("", look.line, look.line_points)
        if box.shape in ("choose", "fail"):
            down = rect.high / 2 if box.shape == "choose" else SLANT
            yield f'<path d="{_corners(rect, SLANT, down)}"{painted}/>'
        elif box.shape in ("pass", "entry", "exit"):
            yield _ellipse(rect, border if box.shape == "exit" else painted)
            if box.shape == "exit":
                yield _ellipse(rect.within(3), painted)
        else:
            radius = 8.0 if box.shape in ("start", "end", "agent") else 0.0
            yield _rect(rect, painted, radius)
            if box.shape == "end":
                yield _rect(rect.within(FRAMES), border, radius - 2)
        left, top, right = rect.x, rect.y, rect.x + rect.wide
        corners = {  # the fold of a note, and the tab of a folder
            "ask": ((right, top + SLANT), (right - SLANT, top + SLANT), (right - SLANT, top), (right, top + SLANT)),
            "graph": ((left, top + 6), (left + 28, top + 6), (left + 34, top)),
        }
        if box.shape in corners:
            yield f'<path d="{_polyline(corners[box.shape])}"{border}/>'

    def _arrow(self, arrow: Arrow) -> Iterator[str]:
        look = look_of_arrow(arrow)
        yield _open_group(arrow, "edge")
        *lines, last = self.layout.routes[arrow.id]
        (*rest, before, tip) = last
        long = hypot(tip[0] - before[0], tip[1] - before[1]) or 1.0
        across, down = (tip[0] - before[0]) / long, (tip[1] - before[1]) / long
        foot = (tip[0] - across * _HEAD, tip[1] - down * _HEAD)
        stroke = self._fill("", look.line, look.line_points) + ' stroke-dasharray="5 3"' * arrow.failure
        for line in (*lines, [*rest, before, foot]):
            yield f'<path d="{_round_bends(line)}"{stroke}/>'
        half = _HEAD / 2 + look.line_points / 2 - 0.6
        head = (tip, (foot[0] - down * half, foot[1] + across * half), (foot[0] + down * half, foot[1] - across * half))
        yield f'<polygon points="{" ".join(f"{number(x)},{number(y)}" for x, y in head)}"{self._fill(look.line)}/>'
        if arrow.lines:
            yield from self._centre_text(arrow.lines, self.layout.rects[arrow.id], (look.text, look.text))
        yield "</g>"


def _open_group(part: Box | Arrow, kind: str) -> str:
    return f'<g id="{_NAME}-{part.id}" class="{kind}"><title>{escape(part.spoken)}</title>'


def _height_of(arrow: Arrow) -> tuple[bool, bool]:
    """Return a sort key by which arrows that a run took are drawn on top of those that it never took."""
    return arrow.tone == "done", arrow.failure


def _rect(rect: Rect, painted: str, radius: float = 0.0) -> str:
    at = f'x="{number(rect.x)}" y="{number(rect.y)}" width="{number(rect.wide)}" height="{number(rect.high)}"'
    return f"<rect {at}" + (f' rx="{number(radius)}"' if radius else "") + f"{painted}/>"


def _ellipse(rect: Rect, painted: str) -> str:
    (x, y), across, down = rect.middle, rect.wide / 2, rect.high / 2
    return f'<ellipse cx="{number(x)}" cy="{number(y)}" rx="{number(across)}" ry="{number(down)}"{painted}/>'


def _polyline(points: Sequence[Point]) -> str:
    return "M" + " L".join(map(_format_point, points))


def _round_bends(points: Sequence[Point]) -> str:
    found = _polyline(points[:1])
    for (x, y), *others in zip(points[1:], points, points[2:], strict=False):
        long = [hypot(ox - x, oy - y) or 1.0 for ox, oy in others]
        begin, end = (
            (x + (ox - x) * min(_BEND / each, 0.5), y + (oy - y) * min(_BEND / each, 0.5))
            for (ox, oy), each in zip(others, long, strict=True)
        )
        found += f" L{_format_point(begin)} Q{_format_point((x, y))} {_format_point(end)}"
    return f"{found} L{_format_point(points[-1])}"


def _format_point(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _corners(rect: Rect, across: float, down: float) -> str:
    left, top, right, bottom = rect.x, rect.y, rect.x + rect.wide, rect.y + rect.high
    points = [(left, top + down), (left + across, top), (right - across, top), (right, top + down)]
    points += [(right, bottom - down), (right - across, bottom), (left + across, bottom), (left, bottom - down)]
    return _polyline(points) + " Z"
