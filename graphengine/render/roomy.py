"""Clusters made wide enough for their arrows: sometimes Graphviz leads an arrow, or its words, across the border.

A frame grows to the side up to the next element, so that everything stays where Graphviz put it. Where Graphviz leads
an arrow across the words of another one, the words are drawn after it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.render.dot import arrows_by_cluster
from graphengine.render.metrics import text_width

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from xml.etree import ElementTree as ET

    from graphengine.render.parts import Drawing

_SVG: Final = "{http://www.w3.org/2000/svg}"
_POINT: Final = re.compile(r"(-?[\d.]+),(-?[\d.]+)")
_AIR: Final = 6.0
"""Points between a border and what is next to it."""
_DOCK: Final = 3.0
"""An arrow that ends within this many points of a side ends at that side."""
_SAMPLES: Final = 8
_FINE: Final = 64


class _Area(NamedTuple):
    """The bounds of an element, in points; y grows downwards."""

    left: float
    right: float
    top: float
    bottom: float

    @property
    def is_empty(self) -> bool:
        """Whether it has no points."""
        return self.left > self.right


def widen(root: ET.Element, drawing: Drawing) -> None:
    """Widen the frames in an SVG that Graphviz made of a drawing, from the innermost out."""
    groups = {group.get("id", ""): group for group in root.iter(f"{_SVG}g")}
    ground = root.find(f"{_SVG}g/{_SVG}polygon")
    parents = {cluster.id: cluster.parent for cluster in drawing.clusters}
    arrows = arrows_by_cluster(drawing)
    if ground is None or not all(name in groups for name in parents):
        return
    paper = _around(_points(ground))
    for cluster in sorted(drawing.clusters, key=lambda each: -each.depth):
        inside = {each.id for each in drawing.clusters if cluster.id in _up(each.id, parents)}
        content = [_of_arrow(groups[arrow.id]) for arrow in arrows.get(cluster.id, ()) if arrow.id in groups]
        content += [_of_frame(groups, each) for each in inside if parents[each] == cluster.id]
        own = {box.id for box in drawing.boxes if box.cluster in inside | {cluster.id}}
        others = [_around(_points_in(groups[box.id])) for box in drawing.boxes if box.id not in own]
        unrelated = [
            each for each in parents if each != cluster.id and each not in {*inside, *_up(cluster.id, parents)}
        ]
        others += [_of_frame(groups, each) for each in unrelated]
        touching = {a.id for a in drawing.arrows if cluster.id in (a.head, a.tail)}
        docks = [x for name in touching for end in ("", "_end") for x in _xs(groups.get(f"{name}{end}"))]
        names = [cluster.id, f"{cluster.id}_many"] if cluster.many else [cluster.id]
        for air, name in zip((_AIR, 2 * _AIR), names, strict=False):
            wanted = _around(
                [(x, area.top) for area in content for x in (area.left - air, area.right + air) if not area.is_empty]
            )
            edge = _AIR * (cluster.depth + 1)
            _stretch(
                groups[name], wanted, others, paper._replace(left=paper.left + edge, right=paper.right - edge), docks
            )


def uncover(root: ET.Element) -> None:
    """Draw an arrow last if the line of a later one crosses its words: words interrupt the lines below them.

    An arrow whose own line crosses words of a later one stays below it.
    """
    graph = root.find(f"{_SVG}g")
    arrows = [group for group in graph if group.get("class") == "edge"] if graph is not None else []
    words = [[_of_text(text) for text in arrow.findall(f"{_SVG}text")] for arrow in arrows]
    lines = [[p for path in arrow.findall(f"{_SVG}path") for p in _curve([*_points(path)], _FINE)] for arrow in arrows]
    bounds = [_around(line) for line in lines]

    def crosses(line: int, other: int) -> bool:
        near = [area for area in words[other] if _meet(area, bounds[line])]
        return any(a.left < x < a.right and a.top < y < a.bottom for a in near for x, y in lines[line])

    for index in reversed(range(len(arrows))):
        later = range(index + 1, len(arrows))
        is_struck = any(crosses(each, index) for each in later)
        if graph is not None and is_struck and not any(crosses(index, each) for each in later):
            graph.remove(arrows[index])
            graph.append(arrows[index])


def _of_text(text: ET.Element) -> _Area:
    """Return the bounds of a line of text without the room above and below its small letters."""
    x, y, size = (float(text.get(name, "0")) for name in ("x", "y", "font-size"))
    wide = text_width(text.text or "", size, strong=text.get("font-weight") == "bold")
    return _Area(x, x + wide, y - size / 2, y)


def _meet(one: _Area, other: _Area) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom


def _stretch(group: ET.Element, wanted: _Area, others: Sequence[_Area], paper: _Area, docks: Sequence[float]) -> None:
    """Move the sides of a frame outwards up to its neighbours, except a side at which an arrow ends."""
    polygon = group.find(f"{_SVG}polygon")
    if polygon is None:
        return
    points = list(_points(polygon))
    frame = _around(points)
    level = [each for each in others if each.top < frame.bottom and frame.top < each.bottom]
    least = max([paper.left, *(each.right + _AIR for each in level if each.right <= frame.left)])
    most = min([paper.right, *(each.left - _AIR for each in level if each.left >= frame.right)])
    left, right = min(frame.left, max(wanted.left, least)), max(frame.right, min(wanted.right, most))
    left = frame.left if any(abs(x - frame.left) < _DOCK for x in docks) else left
    right = frame.right if any(abs(x - frame.right) < _DOCK for x in docks) else right
    moved = [(left if x == frame.left else right if x == frame.right else x, y) for x, y in points]
    polygon.set("points", " ".join(f"{x:.2f},{y:.2f}" for x, y in moved))
    for text in group.findall(f"{_SVG}text"):
        text.set("x", f"{float(text.get('x', '0')) - frame.left + left:.2f}")


def _up(cluster: str, parents: Mapping[str, str]) -> list[str]:
    """Return the clusters around one, from the nearest out."""
    found: list[str] = []
    while parents[cluster]:
        cluster = parents[cluster]
        found.append(cluster)
    return found


def _of_frame(groups: Mapping[str, ET.Element], cluster: str) -> _Area:
    """Return the bounds of a cluster, with the second frame around it."""
    return _around(_points_in(groups.get(f"{cluster}_many", groups[cluster])))


def _of_arrow(group: ET.Element) -> _Area:
    """Return the bounds of an arrow with its words."""
    path, tip = group.find(f"{_SVG}path"), group.find(f"{_SVG}polygon")
    points = [*(_curve(list(_points(path))) if path is not None else ()), *(_points(tip) if tip is not None else ())]
    for text in group.findall(f"{_SVG}text"):
        x, y = float(text.get("x", "0")), float(text.get("y", "0"))
        size, strong = float(text.get("font-size", "11")), text.get("font-weight") == "bold"
        wide = text_width(text.text or "", size, strong=strong)
        points += [(x, y), (x + wide, y)]
    return _around(points)


def _curve(points: Sequence[tuple[float, float]], samples: int = _SAMPLES) -> Iterator[tuple[float, float]]:
    """Yield points on a line of cubic Bézier curves, each with two control points."""
    for index in range(0, len(points) - 3, 3):
        for step in range(samples + 1):
            t = step / samples
            shares = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            piece = points[index : index + 4]
            yield (
                sum(share * x for share, (x, _) in zip(shares, piece, strict=True)),
                sum(share * y for share, (_, y) in zip(shares, piece, strict=True)),
            )


def _xs(arrow: ET.Element | None) -> list[float]:
    """Return the x coordinates of an arrow and its tip."""
    shapes = [shape for shape in arrow if shape.tag != f"{_SVG}text"] if arrow is not None else []
    return [x for shape in shapes for x, _ in _points(shape)]


def _points_in(group: ET.Element) -> Iterator[tuple[float, float]]:
    for shape in group:
        yield from _points(shape)
        if shape.tag == f"{_SVG}ellipse":
            x, y, rx, ry = (float(shape.get(name, "0")) for name in ("cx", "cy", "rx", "ry"))
            yield x - rx, y - ry
            yield x + rx, y + ry


def _points(shape: ET.Element) -> Iterator[tuple[float, float]]:
    for x, y in _POINT.findall(shape.get("points") or shape.get("d") or ""):
        yield float(x), float(y)


def _around(points: Iterable[tuple[float, float]]) -> _Area:
    """Return the bounds of some points."""
    places = list(points)
    if not places:
        return _Area(float("inf"), float("-inf"), float("inf"), float("-inf"))
    xs, ys = zip(*places, strict=True)
    return _Area(min(xs), max(xs), min(ys), max(ys))
