"""Long pictures broken into columns next to each other, as a newspaper breaks a long text.

A chain of two hundred nodes would be forty screens high. It is cut where the fewest arrows cross. An arrow that
crosses a cut ends at a signpost with the name of its target, and begins again there. A long nested graph has columns of
its own in its cluster, and is never cut by the columns around it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import ceil, sqrt
from typing import TYPE_CHECKING, Final

from graphengine.render.parts import Arrow, Box
from graphengine.render.words import lines_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.render.parts import Drawing

LONG_ROWS: Final = 36
"""The rows of boxes in one column, about three screens."""

_LEAST_ROWS: Final = 16
_MOST_CROSSING: Final = 6
_WIDTH_ROWS: Final = 2.8
"""The width of a column, in heights of a row."""
_SLACK: Final = 0.35


def in_columns(drawing: Drawing) -> Drawing:
    """Break a drawing, and each nested graph, into columns if it is long."""
    breaker = _Breaker(drawing)
    return breaker.broken() if breaker.is_long else drawing


def _depths(names: Sequence[str], pairs: Sequence[tuple[str, str]], heights: Mapping[str, int]) -> dict[str, int]:
    """Return each unit's depth below its predecessors; in loops, the depth at which it is first reached."""
    out: defaultdict[str, list[str]] = defaultdict(list)
    missing = dict.fromkeys(names, 0)
    for source, target in pairs:
        out[source].append(target)
        missing[target] += 1
    depth = dict.fromkeys(names, 0)
    left, placed = list(names), set[str]()
    while left:
        here = next((name for name in left if not missing[name]), left[0])
        stack = [here]
        while stack:
            name = stack.pop()
            if name in placed:
                continue
            placed.add(name)
            for target in out[name]:
                if target not in placed:
                    depth[target] = max(depth[target], depth[name] + heights[name])
                    missing[target] -= 1
                    if not missing[target]:
                        stack.append(target)
        left = [name for name in left if name not in placed]
    return depth


def _cuts(height: int, arrows: Sequence[tuple[int, int]]) -> list[int]:
    """Return the rows at which a new column begins, so that the picture is about as wide as high."""
    crossing = [0] * (height + 1)
    for source, target in arrows:
        for row in range(min(source, target) + 1, max(source, target) + 1):
            crossing[row] += 1
    columns = min(ceil(sqrt(height / _WIDTH_ROWS)), height // _LEAST_ROWS)
    each = height / columns
    cuts: list[int] = []
    for index in range(1, columns):
        aim = round(each * index)
        near = range(max(1, aim - int(each * _SLACK)), min(height, aim + int(each * _SLACK)) + 1)
        best = min(near, key=lambda row: (crossing[row], abs(row - aim)))
        if crossing[best] <= _MOST_CROSSING:
            cuts.append(best)
    return cuts


class _Breaker:
    """Breaks a drawing, cluster by cluster from the innermost out, and the arrows that cross columns."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing
        self.parents = {each.id: each.parent for each in drawing.clusters}
        self.units = {box.id: self._units(box) for box in drawing.boxes}
        self.names = {box.id: box.name for box in drawing.boxes} | {each.id: each.name for each in drawing.clusters}
        self.rows = {box.id: 1 for box in drawing.boxes}
        self.columns: dict[str, dict[str, int]] = {}
        for cluster in (*reversed(self.parents), ""):
            self.rows[cluster] = 1 + self._rows(cluster)
        self.posts: list[Box] = []
        self.arrows: list[Arrow] = []
        self.order = {box.id: self._place(box.id) for box in drawing.boxes}

    @property
    def is_long(self) -> bool:
        """Whether there is anything to break."""
        return bool(self.columns)

    def broken(self) -> Drawing:
        """Return the drawing with its boxes in the order of their columns."""
        for arrow in self.drawing.arrows:
            self._add(arrow)
        boxes = sorted([*self.drawing.boxes, *self.posts], key=lambda box: self.order[box.id])
        return replace(self.drawing, boxes=tuple(boxes), arrows=tuple(self.arrows))

    def _units(self, box: Box) -> dict[str, str]:
        """Map each cluster around a box ("" is the outermost) to its direct part that is or contains the box."""
        found, unit, around = dict[str, str](), box.id, box.cluster
        while around:
            found[around] = unit
            unit, around = around, self.parents[around]
        return {"": unit, **dict(reversed(found.items()))}

    def _place(self, box: str) -> tuple[int, ...]:
        """Return the columns of a box, from the outermost in."""
        return tuple(self.columns.get(cluster, {}).get(unit, 0) for cluster, unit in self.units[box].items())

    def _rows(self, cluster: str) -> int:
        """Return the height of a cluster in rows, in columns if it is long."""
        units = list(dict.fromkeys(units[cluster] for units in self.units.values() if cluster in units))
        arrows = [(self.units[a.source], self.units[a.target], a.back) for a in self.drawing.arrows]
        own = [(a[cluster], b[cluster], back) for a, b, back in arrows if cluster in a and cluster in b]
        tops = _depths(units, [(a, b) for a, b, back in own if a != b and not back], self.rows)
        height = max((tops[unit] + self.rows[unit] for unit in units), default=0)
        cuts = _cuts(height, [(tops[a], tops[b]) for a, b, _ in own]) if height > LONG_ROWS else []
        if not cuts:
            return height
        column = {unit: sum(tops[unit] >= cut for cut in cuts) for unit in units}
        self.columns[cluster] = column
        begins = [0, *cuts]
        return max(tops[unit] + self.rows[unit] - begins[column[unit]] for unit in units)

    def _add(self, arrow: Arrow) -> None:
        here, there = self.units[arrow.source], self.units[arrow.target]
        cluster = next(each for each in reversed(here) if each in there)
        column = self.columns.get(cluster, {})
        if column.get(here[cluster], 0) == column.get(there[cluster], 0):
            self.arrows.append(arrow)
            return
        ends = self._post(f"on to {self.names[arrow.head or arrow.target]}", arrow, arrow.source, cluster)
        begins = self._post(f"from {self.names[arrow.tail or arrow.source]}", arrow, arrow.target, cluster)
        self.arrows.append(replace(arrow, target=ends, head="", back=False))
        spoken = f"{arrow.spoken}, from another column"
        rest = Arrow(f"{arrow.id}b", begins, arrow.target, (), spoken, arrow.failure, tone=arrow.tone, head=arrow.head)
        self.arrows.append(replace(rest, edges=arrow.edges))

    def _post(self, words: str, arrow: Arrow, neighbour: str, cluster: str) -> str:
        name = f"n{len(self.drawing.boxes) + len(self.posts)}"
        direction, _, target = words.rpartition(" ")
        short = f"{direction} {target.rpartition('/')[2]}"  # without the path, since both ends are in one graph
        lines = tuple(replace(line, weight="normal") for line in lines_of(short, []))
        self.posts.append(Box(name, "link", lines, words, arrow.tone, cluster, name=words))
        self.order[name] = self.order[neighbour][: list(self.units[neighbour]).index(cluster) + 1]
        return name
