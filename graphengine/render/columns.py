"""Long pictures broken into columns that stand side by side, as a newspaper breaks a long text.

A chain of two hundred nodes would be forty screens high. It is cut where the fewest arrows cross, and an arrow that
crosses ends at a signpost that names the box where it goes on, and begins again there.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import ceil, sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.render.parts import Arrow, Box
from graphengine.render.words import lines_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.render.parts import Drawing

LONG_ROWS: Final = 36
"""So many rows of boxes stand in one column, about three screens."""

_LEAST_ROWS: Final = 16
_MOST_CROSSING: Final = 6
_WIDTH_ROWS: Final = 2.8
"""A column is about as wide as so many rows are high."""
_SLACK: Final = 0.35


class _Unit(NamedTuple):
    """What is never cut: a box, or an outermost cluster with all that is in it."""

    row: int
    rows: int


def in_columns(drawing: Drawing) -> Drawing:
    """The drawing, in columns if it is long."""
    unit_of = _units(drawing)
    rows = _rows(drawing, unit_of)
    height = max((unit.row + unit.rows for unit in rows.values()), default=0)
    if height <= LONG_ROWS:
        return drawing
    row_of = {box.id: rows[unit_of[box.id]].row for box in drawing.boxes}
    cuts = _cuts(height, [(row_of[arrow.source], row_of[arrow.target]) for arrow in drawing.arrows])
    column = {box: sum(row >= cut for cut in cuts) for box, row in row_of.items()}
    return _Breaker(drawing, column).broken() if cuts else drawing


def _units(drawing: Drawing) -> dict[str, str]:
    """The unit of each box: the outermost cluster around it, or itself."""
    parents = {cluster.id: cluster.parent for cluster in drawing.clusters}
    found: dict[str, str] = {}
    for box in drawing.boxes:
        unit = box.cluster
        while unit and parents[unit]:
            unit = parents[unit]
        found[box.id] = unit or box.id
    return found


def _rows(drawing: Drawing, unit_of: Mapping[str, str]) -> dict[str, _Unit]:
    """The row of each unit, by the longest way there, and how many rows it takes."""
    boxes: defaultdict[str, list[str]] = defaultdict(list)
    for box, unit in unit_of.items():
        boxes[unit].append(box)
    ahead = [(a.source, a.target) for a in drawing.arrows if not a.back]
    inner = [pair for pair in ahead if unit_of[pair[0]] == unit_of[pair[1]]]
    depth = _depths(list(unit_of), inner, dict.fromkeys(unit_of, 1))
    rows = {unit: 1 + max(depth[box] for box in inside) for unit, inside in boxes.items()}
    outer = [(unit_of[a], unit_of[b]) for a, b in ahead if unit_of[a] != unit_of[b]]
    tops = _depths(list(boxes), outer, rows)
    return {unit: _Unit(tops[unit], rows[unit]) for unit in boxes}


def _depths(names: Sequence[str], pairs: Sequence[tuple[str, str]], heights: Mapping[str, int]) -> dict[str, int]:
    """How deep each stands below those that lead to it; what is left of loops stands where it is first reached."""
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
    """The rows at which a new column begins, about as many as make the picture as wide as high."""
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
    """Breaks the arrows that cross from one column into another."""

    def __init__(self, drawing: Drawing, column: dict[str, int]) -> None:
        self.drawing = drawing
        self.column = column
        self.names = {box.id: box.name for box in drawing.boxes} | {each.id: each.name for each in drawing.clusters}
        self.posts: list[Box] = []
        self.arrows: list[Arrow] = []

    def broken(self) -> Drawing:
        """The drawing with its boxes in the order of their columns."""
        for arrow in self.drawing.arrows:
            self._add(arrow)
        boxes = sorted([*self.drawing.boxes, *self.posts], key=lambda box: self.column[box.id])
        return replace(self.drawing, boxes=tuple(boxes), arrows=tuple(self.arrows))

    def _add(self, arrow: Arrow) -> None:
        if self.column[arrow.source] == self.column[arrow.target]:
            self.arrows.append(arrow)
            return
        there = self._post(f"on to {self.names[arrow.head or arrow.target]}", arrow, arrow.source)
        here = self._post(f"from {self.names[arrow.tail or arrow.source]}", arrow, arrow.target)
        self.arrows.append(replace(arrow, target=there, head="", back=False))
        spoken = f"{arrow.spoken}, from another column"
        begins = Arrow(f"{arrow.id}b", here, arrow.target, (), spoken, arrow.failure, tone=arrow.tone, head=arrow.head)
        self.arrows.append(begins)

    def _post(self, words: str, arrow: Arrow, beside: str) -> str:
        name = f"n{len(self.drawing.boxes) + len(self.posts)}"
        lines = tuple(replace(line, weight="normal") for line in lines_of(words, []))
        self.posts.append(Box(name, "link", lines, words, arrow.tone, name=words))
        self.column[name] = self.column[beside]
        return name
