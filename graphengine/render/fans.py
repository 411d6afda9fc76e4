"""Arrange the similar arms of a wide fork in several rows.

The layout sees all these arms as one block. This module places the arms inside the block. The lines from the fork run
down one side of the block and then above each row. The lines to the join run below each row and then down the other
side. In this way, the lines cross neither boxes nor each other, and the arms are read in their declared order.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from graphengine.render.layout import Point, Rect
    from graphengine.render.parts import Arrow, Drawing

_FEWEST: Final = 6
"""The smallest number of arms that are arranged in several rows. Fewer arms are easier to read side by side."""
_ROOM: Final = 640.0
"""The greatest length of a row. Longer rows would be shown with unreadably small text in a column of a page."""
_PANE: Final = (490.0, 690.0)
_AROUND: Final = 240.0
"""The approximate height of the parts of a picture above and below the rows."""
_TALL: Final = 420.0
"""The greatest height of a column, in a picture that is read from left to right."""
_SIDE: Final = 14.0
"""The distance between the line at a side of the block and the first box."""
_GAP: Final = 12.0
"""The distance between two boxes of a row."""
_ABOVE: Final = 12.0
"""The distance between the line above a row and its boxes, with room for the heads of arrows."""
_BELOW: Final = 6.0
_BETWEEN: Final = 5.0
"""The distance between the line below a row and the line above the next row."""


@dataclass(frozen=True, slots=True)
class Block:
    """Similar arms of a fork that a picture shows in several rows, because they would be too wide in one row.

    Each arm is a single box. For the layout, all these boxes together are one box, the *block*.

    Attributes:
        id: The id of the block as a part of the layout.
        ends: The ids of the fork and of the join.
        arms: The ids of the boxes, in their declared order.
        into: The id of the arrow to each box.
        out: The id of the arrow from each box.
        cluster: The id of the frame that contains the boxes.
        size: The width and the height of the block.
        cell: The width and the height that each box gets.
        columns: The number of boxes in a row.
        is_wide: Whether the picture is read from left to right.
    """

    id: str
    ends: tuple[str, str]
    arms: tuple[str, ...]
    into: tuple[str, ...]
    out: tuple[str, ...]
    cluster: str
    size: Point
    cell: Point
    columns: int
    is_wide: bool

    def placed(
        self, rect: Rect, sizes: Mapping[str, Point], trunks: tuple[Sequence[Point], Sequence[Point]]
    ) -> tuple[dict[str, Rect], dict[str, list[Point]]]:
        """Place the similar arms of a fork in rows inside the rectangle of the block.

        Args:
            rect: The rectangle of the block.
            sizes: The sizes of the boxes, by their ids.
            trunks: The line from the fork to the block, and the line from the block to the join.

        Returns:
            The rectangles of the boxes, and the lines of the arrows, by their ids.
        """
        rects: dict[str, Rect] = {}
        routes: dict[str, list[Point]] = {}
        trunk, last = ([self._turn_point(point) for point in line] for line in trunks)
        left, top = self._turn_point((rect.x, rect.y))
        across, down = self._turn_point((rect.wide, rect.high))
        wide, high = self.cell
        for number, name in enumerate(self.arms):
            row, column = divmod(number, self.columns)
            middle = left + _SIDE + column * (wide + _GAP) + wide / 2
            above = top + row * (_ABOVE + high + _BELOW + _BETWEEN)
            below = above + _ABOVE + high + _BELOW
            own = self._turn_point(sizes[name])
            head = above + _ABOVE + (high - own[1]) / 2
            corner, foot = self._turn_point((middle - own[0] / 2, head)), head + own[1]
            rects[name] = rect._replace(x=corner[0], y=corner[1], wide=sizes[name][0], high=sizes[name][1])
            into = [*trunk, *([(left, top), (left, above)] if row else []), (middle, above), (middle, head)]
            around = [(left + across, below), (left + across, top + down)] if below < top + down - 1 else []
            routes[self.into[number]] = self._line(into)
            routes[self.out[number]] = self._line([(middle, foot), (middle, below), *around, *last])
        return rects, routes

    def _turn_point(self, point: Point) -> Point:
        return (point[1], point[0]) if self.is_wide else point

    def _line(self, points: Sequence[Point]) -> list[Point]:
        kept = [points[0], *(each for before, each in pairwise(points) if math.dist(before, each) > 0.01)]  # noqa: PLR2004
        found = kept[:1]
        for before, each in pairwise(kept[1:]):
            (x, y), (ax, ay), (bx, by) = found[-1], before, each
            if not (abs(x - ax) + abs(ax - bx) < 0.01 or abs(y - ay) + abs(ay - by) < 0.01):  # noqa: PLR2004
                found.append(before)
        return [self._turn_point(point) for point in (*found, *kept[1:][-1:])]


def blocks_of(drawing: Drawing, sizes: Mapping[str, Point], *, is_wide: bool) -> Iterator[Block]:
    """Find the forks of a picture that have so many similar arms that the arms should be drawn in several rows.

    Args:
        drawing: The picture.
        sizes: The sizes of the boxes, by their ids.
        is_wide: Whether the picture is read from left to right.
    """
    boxes = {box.id: box for box in drawing.boxes}
    ends = Counter(name for arrow in drawing.arrows for name in (arrow.source, arrow.target))
    onward = {arrow.source: arrow for arrow in drawing.arrows if _is_plain_arrow(arrow)}
    fans: dict[tuple[str, str], list[tuple[Arrow, Arrow]]] = {}
    for arrow in drawing.arrows:
        after = onward.get(arrow.target)
        if not (_is_plain_arrow(arrow) and after and ends[arrow.target] == len((arrow, after))):
            continue
        fork, arm, join = boxes.get(arrow.source), boxes.get(arrow.target), boxes.get(after.target)
        if fork and arm and join and fork.shape == "fork" and fork.cluster == arm.cluster == join.cluster:
            fans.setdefault((fork.id, join.id), []).append((arrow, after))
    for (fork_id, join_id), arms in fans.items():
        names = tuple(arrow.target for arrow, _ in arms)
        turned = [sizes[name][::-1] if is_wide else sizes[name] for name in names]
        cell = max(wide for wide, _ in turned), max(high for _, high in turned)
        fitting = max(1, int(((_TALL if is_wide else _ROOM) - 2 * _SIDE + _GAP) // (cell[0] + _GAP)))
        rows = math.ceil(len(names) / fitting)
        if len(names) < _FEWEST or rows == 1:
            continue
        if not is_wide:
            rows = min(
                (math.ceil(len(names) / each) for each in range(1, fitting + 1)),
                key=_shrinkage_by_rows(len(names), cell),
            )
        columns = math.ceil(len(names) / rows)
        across, down = _size_of_block(columns, rows, cell)
        yield Block(
            f"arms of {fork_id} to {join_id}", (fork_id, join_id), names,
            tuple(arrow.id for arrow, _ in arms), tuple(after.id for _, after in arms),
            boxes[names[0]].cluster, (down, across) if is_wide else (across, down), cell, columns, is_wide,
        )  # fmt: skip


def _size_of_block(columns: int, rows: int, cell: Point) -> Point:
    wide, high = cell
    return 2 * _SIDE + columns * (wide + _GAP) - _GAP, rows * (_ABOVE + high + _BELOW + _BETWEEN) - _BETWEEN


def _shrinkage_by_rows(arms: int, cell: Point) -> Callable[[int], float]:
    """Return a function that computes how much smaller a picture must be shown to fit into a window.

    The function is called with the number of rows in which the arms of a fork are placed, to find the best number of
    rows.
    """

    def small(rows: int) -> float:
        across, down = _size_of_block(math.ceil(arms / rows), rows, cell)
        return max(across / _PANE[0], (down + _AROUND) / _PANE[1])

    return small


def _is_plain_arrow(arrow: Arrow) -> bool:
    """Return whether an arrow leads forward from one box to another and has no text."""
    return not (arrow.lines or arrow.failure or arrow.back or arrow.head or arrow.tail or arrow.source == arrow.target)


__all__ = ["Block", "blocks_of"]
