"""Find the places of the parts of a drawing: a rectangle for each box, cluster and label, and a route for each arrow.

The library graphlay computes the layout in layers from top to bottom. It starts no process and reads no fonts, so that
the numbers are the same on every machine. All lengths are in points.

- A label is passed to graphlay as a box between the two halves of its arrow. So the label lies on the arrow, nothing
  covers the label, and other arrows go around it.
- An arrow that closes a loop counts as its reverse when layers are assigned, so that a graph is read downwards.
- A very tall picture is broken into columns.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from graphengine.render.fans import blocks_of
from graphengine.render.files import RenderError
from graphengine.render.metrics import line_height, line_width

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import graphlay

    from graphengine.render.parts import Arrow, Box, Cluster, Drawing, Line, Shape

Point: TypeAlias = tuple[float, float]
_Routes: TypeAlias = "Mapping[str, list[list[Point]]]"

FRAMES: Final = 4.0
"""The distance between the borders of a box or cluster that has several borders."""
SLANT: Final = 9.0
"""The length that is cut off at the corners of a hexagon, an octagon and a note."""
_DOTS: Final[Mapping[Shape, Point]] = {"entry": (10, 10), "exit": (16, 16), "fork": (65, 5)}
_MARGINS: Final[Mapping[Shape, Point]] = {"choose": (16, 6), "pass": (16, 9), "graph": (13, 11), "end": (14, 9)}
_MARGIN: Final = (11.0, 6.0)
_LEAST: Final = (50.0, 30.0)
_PER_ARROW: Final = 13
"""The smallest room of an arrow at a side of a box."""
_CLEAR: Final = 2
"""The smallest distance between a line and a box that the line passes."""
_NEAR: Final = 24
_WIDE: Final = 980
"""The greatest width of a picture. A page shows a wider picture smaller, and then it is too small to read."""
_TALL: Final = 1820
"""The height from which on a picture is broken into columns. It is the height of 40 nodes in a row."""
_COLUMN: Final = 1100
"""The greatest height of a column, if there is a place to break it."""
_GUTTER: Final = 28.0
"""The distance between two columns."""
_FAN: Final = 6
"""The number of arms from which on a fork keeps their declared order.

Fewer arms are seen at a glance, so they are ordered for short lines.
"""
_LARGE: Final = 80
"""If a drawing has more boxes, its layout is computed with less effort."""
_FAR: Final = 10_000
"""If all arrows together pass more boxes, the layout tries no other orders and does not straighten branches.

A drawing with 400 boxes and 800 arrows to random boxes below took 14 s with both steps, and 3 s without them, and was
then 1 % wider. If arrows lead to boxes that are near, both steps are quick and save half of the width.
"""
_QUICK: Final = {
    "order": {"kick_rounds": 0, "seeds": 1, "sifting_rounds": 0, "sweeps": 4, "balance_rounds": 0},
    "coords": {"branch_rounds": 0, "snap_rounds": 0, "flatten_room": 0},
}
_HELD: Final = 16.0
"""The weight of an arrow that keeps a join below its fork."""
_GAP: Final = 14.0
"""The smallest distance between two layers."""
_PADDING: Final = 8.0
_BESIDE: Final = dict.fromkeys(("node_gap", "dummy_gap", "port_gap"), 8)
_SPACING: Final = {"layer_gap": _GAP, "compound_padding": _PADDING, "port_stroke_clear": 8, "stub": 10, **_BESIDE}
_TRIED: Final = (
    *({"branch_style": style} for style in ("straight_main", "symmetric", "free")),
    {"placement": "brandes_koepf"},
)
"""Ways to place boxes in their layers. All are tried, and the best result is used."""
_ROUTING: Final = {"style": "orthogonal", "bundle_parallel": False, "lane_gap": 6}


class Rect(NamedTuple):
    """A rectangle: the place of its upper left corner, its width and its height."""

    x: float
    y: float
    wide: float
    high: float

    @property
    def middle(self) -> Point:
        """The centre of the rectangle."""
        return self.x + self.wide / 2, self.y + self.high / 2

    def within(self, by: float) -> Rect:
        """Return a smaller rectangle, with the given distances between its sides and the sides of this one."""
        return Rect(self.x + by, self.y + by, self.wide - 2 * by, self.high - 2 * by)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a picture are drawn.

    Attributes:
        rects: The rectangles of boxes and frames, by their ids, and of labels, by the ids of their arrows.
        routes: The lines of each arrow, by its id. An arrow has one line, or one line to its label and one line from
            the label. The last line ends with the head of the arrow.
        bounds: The rectangle around all parts.
    """

    rects: Mapping[str, Rect]
    routes: Mapping[str, Sequence[Sequence[Point]]]
    bounds: Rect


def block_size(lines: Iterable[Line]) -> Point:
    """Return the width and the height of lines of text that stand below each other."""
    each = [(line_width(line), line_height(line)) for line in lines]
    return max((wide for wide, _ in each), default=0), sum(high for _, high in each)


def layout(drawing: Drawing, *, is_wide: bool = False) -> Layout:
    """Lay out a drawing from top to bottom, or from left to right with `is_wide`.

    Raises:
        RenderError: graphlay is not installed, or it cannot lay out this drawing.
    """
    try:
        import graphlay as engine  # noqa: PLC0415 - loaded on first use
    except ImportError as error:
        raise RenderError(
            f"a picture of a graph needs the package 'graphlay', which cannot be loaded: {error}",
            repair="pip install graphlay; or write a .dot, .mmd or .txt file, which needs no package",
        ) from error
    if not drawing.boxes:
        return Layout({}, {}, Rect(0, 0, 0, 0))
    asked = _Request(drawing, is_wide=is_wide)
    header = max((block_size(cluster.lines)[1] for cluster in drawing.clusters), default=0)
    options = {
        "direction": "leftright" if is_wide else "topbottom",
        "routing": _ROUTING,
        "spacing": {**_SPACING, "compound_header": header},
        "effort": "fast" if len(asked.nodes) > _LARGE else "balanced",
        "tuning": _QUICK if asked.passed > _FAR else {},
    }
    graph = {"nodes": asked.nodes, "edges": asked.edges}
    try:
        tried = [
            engine.layout(graph, options={**options, "coords": coords})
            for coords in _TRIED[: None if len(asked.nodes) <= _LARGE else 1]
        ]
    except ValueError as error:
        message = f"the package 'graphlay' cannot compute positions for this graph: {error}"
        raise RenderError(message, repair="write a .dot, .mmd or .txt file") from error
    read = asked.read(min(tried, key=_cost_of_layout) if len(tried) > 1 else tried[0])
    return read if is_wide or read.bounds.high < _TALL else _in_columns(read)


class _Request:
    """Describes a picture to the layout program graphlay, which computes where to draw the parts of the picture.

    The method `read` converts the answer of the program.
    """

    def __init__(self, drawing: Drawing, *, is_wide: bool) -> None:
        self.drawing = drawing
        self.nodes: list[dict[str, Any]] = []
        self.edges: list[dict[str, Any]] = []
        self.places: dict[str, int] = {}
        self.ways: dict[str, list[int]] = {}
        self.hidden = set[str]()
        self.parents = {part.id: part.cluster for part in (*drawing.boxes, *drawing.clusters)}
        for cluster in drawing.clusters:
            self._node(cluster.id, (block_size(cluster.lines)[0] + 24, 1), cluster.cluster)
        self.arms = {box.id: _size_of(box, 1) for box in drawing.boxes}
        self.blocks = [*blocks_of(drawing, self.arms, is_wide=is_wide)]
        rows = {name for block in self.blocks for name in (*block.arms, *block.into, *block.out)}
        boxes = [box for box in drawing.boxes if box.id not in rows]
        self.lone = [arrow for arrow in drawing.arrows if arrow.id not in rows]
        below = Counter(arrow.target if arrow.back else arrow.source for arrow in self.lone)
        above = Counter(arrow.source if arrow.back else arrow.target for arrow in self.lone)
        for box in boxes:
            size = _size_of(box, max(below[box.id], above[box.id]))
            self._node(box.id, size, box.cluster, is_round=box.shape in ("pass", "entry", "exit"))
        for block in self.blocks:
            self._node(block.id, block.size, block.cluster)
            pairs = ((block.ends[0], block.id), (block.id, block.ends[1]))
            self.ways[block.id] = [self._edge(*pair, 4, back=False) for pair in pairs]
        spine = {*pairwise(box.id for box in boxes)}
        for arrow in self.lone:
            is_loop, is_side = arrow.source == arrow.target, arrow.failure or arrow.back
            is_next = (arrow.source, arrow.target) in spine
            self._arrow(arrow, 8 if is_loop else 0.5 if is_side else 4 if is_next else 1)
        self._straighten_forks()
        self._keep_order()

    def _straighten_forks(self) -> None:
        """Make the layout draw the join of each fork straight below the fork.

        Several forks in a row then stand in one column.

        To achieve this, the arrows of the middle arm get a large weight, so that they are drawn straight. If the number
        of arms is even, an invisible box between the two middle arms takes the place of the middle arm. The search for
        an order of the arms begins with the order in which they are declared.
        """
        onward: dict[str, list[Arrow]] = {}
        for arrow in self.lone:
            if not (arrow.back or arrow.failure):
                onward.setdefault(arrow.source, []).append(arrow)
        forks = {box.id for box in self.drawing.boxes if box.shape == "fork" and box.id in onward}
        for arrow in self.lone:
            if arrow.target in forks:
                self._hold(arrow)
        for fork in forks:
            ends = [{arrow.target for arrow in onward.get(arm.target, ())} for arm in onward[fork]]
            joins = set.intersection(*ends)
            if len(joins) == 1:
                self._straighten_fork(fork, onward, joins.pop())

    def _straighten_fork(self, fork: str, onward: Mapping[str, Sequence[Arrow]], join: str) -> None:
        arms = onward[fork]
        for number, arm in enumerate(arms):
            self._begin_at(number, arm.target, arm.id)
        middle = len(arms) // 2
        if len(arms) % 2:
            held = arms[middle].target
            for arrow in (arms[middle], *(each for each in onward[held] if each.target == join)):
                self._hold(arrow)
            return
        name = f"middle of {fork}"
        self.hidden.add(name)
        self._node(name, (1, 1), self.parents[fork])
        self._begin_at(middle - 0.5, name)
        for source, target in ((fork, name), (name, join)):
            self._edge(source, target, _HELD, back=False)

    def _hold(self, arrow: Arrow) -> None:
        for way in self.ways[arrow.id]:
            self.edges[way]["weight"] = _HELD

    def _begin_at(self, number: float, *names: str) -> None:
        for name in names:
            if name in self.places:
                self.nodes[self.places[name]]["position"] = {"x": float(number), "y": 0.0}

    @property
    def passed(self) -> int:
        """The number of boxes that arrows would have to pass if all boxes were below each other in declared order."""
        places = self.places
        return sum(abs(places[arrow.target] - places[arrow.source]) for arrow in self.lone)

    def _keep_order(self) -> None:
        """Make the layout program keep the arms of wide forks in their declared order.

        The layout program changes this order only where this saves crossings. The positions that are passed to the
        program are the numbers of the arms in the row, and they only tell the program the order.
        """
        forks = {box.id for box in self.drawing.boxes if box.shape == "fork"}
        fans: dict[str, list[Arrow]] = {}
        for arrow in self.drawing.arrows:
            if arrow.source in forks:
                fans.setdefault(arrow.source, []).append(arrow)
        for arms in (each for each in fans.values() if len(each) >= _FAN):
            for number, arrow in enumerate(arms):
                self._begin_at(number, arrow.target, arrow.id)

    def _node(self, name: str, size: Point, cluster: str, *, is_round: bool = False) -> None:
        inside = {"parent": self.places[cluster]} if cluster else {}
        self.places[name] = len(self.nodes)
        shape = {"size": {"width": size[0], "height": size[1]}, "shape": "ellipse" if is_round else "box"}
        self.nodes.append({**shape, **inside})

    def _arrow(self, arrow: Arrow, weight: float) -> None:
        source, target = arrow.tail or arrow.source, arrow.target
        if arrow.head and arrow.back:
            target = arrow.head
        back, lands = arrow.back and source != target, bool(arrow.head) and not arrow.back
        if not (arrow.lines or lands):
            self.ways[arrow.id] = [self._edge(source, target, weight, back=back)]
            return
        wide, high = block_size(arrow.lines)
        around = self._around(arrow.target)
        self.parents[arrow.id] = next(each for each in self._around(arrow.source) if each in around)
        size = (max(wide + 8, 2 * _PER_ARROW), high + 4) if arrow.lines else (1, 12)
        self._node(arrow.id, size, self.parents[arrow.id])
        first = self._edge(source, arrow.id, weight, back=back)
        self.ways[arrow.id] = [first, self._edge(arrow.id, target, weight * 8 if lands else weight, back=arrow.back)]

    def _edge(self, source: str, target: str, weight: float, *, back: bool) -> int:
        ends = {"source": self.places[source], "target": self.places[target]}
        self.edges.append({**ends, "weight": weight, "reverse_for_ranking": back})
        return len(self.edges) - 1

    def _around(self, part: str) -> list[str]:
        """Return the ids of the frames that contain a part of the picture, from the innermost to the outermost.

        The last id is always "", which stands for the whole picture.
        """
        found = [self.parents[part]]
        while found[-1]:
            found.append(self.parents[found[-1]])
        return found

    def read(self, found: graphlay.Layout) -> Layout:
        """Convert the answer of the layout program graphlay to the places at which the parts of a picture are drawn."""
        rects = {}
        for name, index in self.places.items():
            centre, size = found.nodes[index]["center"], found.nodes[index]["size"]
            corner = centre["x"] - size["width"] / 2, centre["y"] - size["height"] / 2
            if name not in self.hidden:
                rects[name] = Rect(*corner, size["width"], size["height"])
        routes = {
            name: [[(p["x"], p["y"]) for p in found.edges[index]["points"]] for index in indices]
            for name, indices in self.ways.items()
        }
        for block in self.blocks:
            first, last = routes.pop(block.id)
            placed, lines = block.placed(rects.pop(block.id), self.arms, (first, last))
            rects.update(placed)
            routes.update({name: [line] for name, line in lines.items()})
        for cluster in reversed(self.drawing.clusters):
            rects[cluster.id] = self._around_contents(cluster, rects, routes)
        for arrow in self.drawing.arrows:
            route = routes[arrow.id]
            if arrow.head:
                route[-1] = _land_on_border(route[-1], rects[arrow.head])
            if arrow.tail:
                route[0] = _land_on_border(route[0][::-1], rects[arrow.tail])[::-1]
            if arrow.lines and arrow.source == arrow.target:
                others = {name: lines for name, lines in routes.items() if name != arrow.id}
                rects[arrow.id] = _shorter(route, rects[arrow.id], others)
                _go_around(route, rects[arrow.id])
            elif not arrow.lines:
                rects.pop(arrow.id, None)
                routes[arrow.id] = [[point for line in route for point in line]]
        low, high = found.bounds["min"], found.bounds["max"]
        bounds = Rect(low["x"], low["y"], high["x"] - low["x"], high["y"] - low["y"])
        # graphlay does not know the outer borders of clusters with several borders, so the bounds must be larger.
        return Layout(rects, routes, bounds.within(-FRAMES))

    def _around_contents(self, cluster: Cluster, rects: Mapping[str, Rect], routes: _Routes) -> Rect:
        """Return the rectangle of a frame, which is made as small as the contents of the frame allow.

        This is needed because the layout program can leave unused space above and below the contents.
        """
        inside = [rects[name] for name, parent in self.parents.items() if parent == cluster.id]
        own = [arrow for arrow in self.drawing.arrows if not arrow.tail and self.parents[arrow.target] == cluster.id]
        lines = [line for arrow in own if self.parents[arrow.source] == cluster.id for line in routes[arrow.id]]
        points = [y for line in lines for _, y in line]
        rect, head = rects[cluster.id], block_size(cluster.lines)[1] + _PADDING
        top = max(min([each.y for each in inside] + points) - head, rect.y)
        bottom = min(max([each.y + each.high for each in inside] + points) + _PADDING, rect.y + rect.high)
        return Rect(rect.x, top, rect.wide, bottom - top).within(-FRAMES * cluster.many)


def _size_of(box: Box, arrows: int) -> Point:
    """Return the size that a box of a picture needs, including its borders.

    The box is wide enough for the text, and for the given number of arrows at one side.
    """
    if box.shape in _DOTS:
        wide, high = _DOTS[box.shape]
        return (max(wide, _PER_ARROW * arrows) if box.shape == "fork" else wide), high
    (wide, high), (across, down) = block_size(box.lines), _MARGINS.get(box.shape, _MARGIN)
    frames = 4 * FRAMES * box.many
    return max(wide + 2 * across + frames, _LEAST[0], _PER_ARROW * arrows), max(high + 2 * down, _LEAST[1]) + frames


def _cost_of_layout(found: graphlay.Layout) -> float:
    """Return how hard a layout of a picture is to read, as a number: the lower, the better.

    The number is used to choose the better of two layouts.

    It grows if the layout is wider than the limit, if lines touch boxes or run beside each other, and with the
    crossings, the bends and the length of the lines.
    """
    facts = found.metrics()
    clear = facts["min_edge_node_clearance"]
    is_bad = facts["width"] > _WIDE or (clear is not None and clear < _CLEAR)
    lines: float = 10 * facts["parallel_run_length"] + facts["total_edge_length"] / 100
    turns: float = 8 * facts["crossings"] + 2 * facts["bends"]
    return 1000 * is_bad + lines + turns


def _shorter(loop: list[list[Point]], label: Rect, routes: _Routes) -> Rect:
    """Move the label of an arrow from a node to itself up, if a tall frame beside it has moved the label far down.

    Args:
        loop: The two lines of the arrow: to its label, and from the label back.
        label: The rectangle of the label.
        routes: The lines of all arrows, which the label must not cover.

    Returns:
        The new rectangle of the label.
    """
    out, back = loop
    ends = [out[-2][1], back[1][1]]
    pieces = (piece for lines in routes.values() for line in lines for piece in pairwise(line))
    for (ax, ay), (bx, by) in pieces:
        crosses = min(ax, bx) < label.x + label.wide and max(ax, bx) > label.x
        ends += [y for y in (ay, by) if crosses and min(ends) < y < label.y]
    top = min(max(ends) + _GAP, label.y)
    out[-1], back[0] = (out[-1][0], top), (back[0][0], top)
    return label._replace(y=top)


def _go_around(loop: list[list[Point]], label: Rect) -> None:
    """Draw an arrow from a node to itself in such a way that it runs around its label."""
    out, back = loop
    (x, y), (other, _) = out[-1], back[0]
    if round(out[-2][0] - x) or round(back[1][0] - other):  # The picture is read from left to right.
        return
    sides = label.x, label.x + label.wide
    left, right = sides if x < other else sides[::-1]
    bottom = (label.middle[0], label.y + label.high)
    out += [(left, y), (left, bottom[1]), bottom]
    back[:0] = [bottom, (right, bottom[1]), (right, y)]


def _in_columns(found: Layout) -> Layout:
    """Break a tall picture into columns that stand side by side.

    The picture is broken only at heights that a single downward arrow crosses. This arrow continues from the foot of
    its column, through the space between the columns, to the head of the next column. The number of columns is limited,
    so that the picture is not too wide to read.
    """
    bounds, places = found.bounds, _list_break_heights(found)
    many = min(math.ceil(bounds.high / _COLUMN), int((_WIDE + _GUTTER) / (bounds.wide + _GUTTER)))
    wanted = [bounds.y + bounds.high * number / many for number in range(1, many)]
    cuts = sorted({min(places, key=lambda place: abs(place - each)) for each in wanted if places})
    sides: list[list[float]] = [[] for _ in range(len(cuts) + 1)]
    for rect in found.rects.values():
        sides[bisect(cuts, rect.y)] += [rect.x, rect.x + rect.wide]
    for x, y in (point for lines in found.routes.values() for line in lines for point in line):
        sides[bisect(cuts, y)].append(x)
    lefts, shifts = bounds.x, list[Point]()
    for inside, top in zip(sides, [bounds.y, *cuts], strict=True):
        shifts.append((lefts - min(inside), bounds.y - top))
        lefts += max(inside) - min(inside) + _GUTTER

    def moved(x: float, y: float, column: int) -> Point:
        return x + shifts[column][0], y + shifts[column][1]

    def route(line: Sequence[Point]) -> list[Point]:
        points = [moved(*line[0], bisect(cuts, line[0][1]))]
        for (x, y), (over, below) in pairwise(line):
            for column in range(bisect(cuts, y), bisect(cuts, below)):
                between = max(sides[column]) + shifts[column][0] + _GUTTER / 2
                foot, head = moved(x, cuts[column], column), moved(x, cuts[column], column + 1)
                points += [foot, (between, foot[1]), (between, head[1]), head]
            points.append(moved(over, below, bisect(cuts, below)))
        return points

    rects = {name: Rect(*moved(*each[:2], bisect(cuts, each.y)), *each[2:]) for name, each in found.rects.items()}
    routes = {name: [route(line) for line in lines] for name, lines in found.routes.items()}
    lowest = max(bottom + shift for bottom, (_, shift) in zip([*cuts, bounds.y + bounds.high], shifts, strict=True))
    return Layout(rects, routes, Rect(bounds.x, bounds.y, lefts - _GUTTER - bounds.x, lowest - bounds.y))


def _list_break_heights(found: Layout) -> list[float]:
    """Return the heights at which a tall picture can be cut to place its parts side by side, as columns.

    A picture can be cut at a height where a single arrow crosses, if the arrow leads down. The arrow then continues
    from one column to the next.
    """
    pieces = [piece for lines in found.routes.values() for line in lines for piece in pairwise(line)]
    bottom, places = found.bounds.y, list[float]()
    for rect in sorted(found.rects.values(), key=lambda each: each.y):
        middle = (bottom + rect.y) / 2
        near = [(a, b) for a, b in pieces if min(a[1], b[1]) - _CLEAR < middle < max(a[1], b[1]) + _CLEAR]
        if rect.y - bottom > _GAP / 2 and len(near) == 1 and near[0][0][1] < middle - _CLEAR:
            places.append(middle)
        bottom = max(bottom, rect.y + rect.high)
    return places


def _land_on_border(line: Sequence[Point], rect: Rect) -> list[Point]:
    """Cut the line of an arrow where it meets the border of the box to which it leads.

    A bend just before the border is removed.
    """
    right, bottom = rect.x + rect.wide, rect.y + rect.high
    kept: list[Point] = []
    for x, y in line:
        if kept and rect.x <= x <= right and rect.y <= y <= bottom:
            before = kept[-1]
            if abs(before[0] - x) >= abs(before[1] - y):  # The line comes from the side.
                return [*kept, (rect.x if before[0] < rect.x else right, y)]
            if before[1] > bottom:
                return [*kept, (x, bottom)]
            turns = bool(kept[:-2]) and rect.y - before[1] < _NEAR and rect.x + _NEAR < kept[-2][0] < right - _NEAR
            return [*kept[:-2], (kept[-2][0], rect.y)] if turns else [*kept, (x, rect.y)]
        kept.append((x, y))
    x, y = kept.pop()  # The line ends at the old border, and the border has moved.
    return [*kept, (x, min(max(y, rect.y), bottom))]
