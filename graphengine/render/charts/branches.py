"""The tree of branches: a lane of steps for each run, which leaves its parent's lane at the last shared step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.render.charts.canvas import SMALL, Canvas, Ink, Paint, fit, measure
from graphengine.render.charts.units import cost, nice_count, paid
from graphengine.render.text import one_line
from graphengine.render.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.render.charts.canvas import Chart
    from graphengine.render.charts.family import Family, Member

_MARGIN: Final = 16.0
_LANES: Final = 360.0
_TEXT_MOST: Final = 420.0
_ROW: Final = 44.0
_TOP: Final = 100.0
_LEAST: Final = 26.0
"""The least length of a lane."""
_ENDS: Final[Mapping[str, tuple[Ink, Ink, str]]] = {
    "finished": ("fell", "fell-line", "check"),
    "waiting": ("wait", "wait-line", "pause"),
    "failed": ("bad", "bad-line", "cross"),
    "stopped": ("other", "other-line", "square"),
    "running": ("work", "work-line", "arrow"),
}


@dataclass(frozen=True, slots=True)
class _Lane:
    """The position of a run: its ends in pixels, its row."""

    left: float
    right: float
    y: float


def branches(family: Family) -> Chart:
    """Draw a run's family: where each branch leaves, how it ended, what it cost.

    Args:
        family: The family, as `family_of` returns it.
    """
    members = family.members
    most = max(member.info.seq for member in members)
    texts = [_texts(member, asked=family.asked) for member in members]
    wide = min(_TEXT_MOST, max(_wide(*pair) for pair in texts))
    across = _MARGIN + _LANES + _LEAST + 36 + wide + _MARGIN
    canvas = Canvas()
    graph = one_line(members[0].info.graph) or "graph"
    summary = f"{counted(len(members), 'run')} from {members[0].info.id}"
    spent = paid(family.usage)
    summary += f", {spent} in all" if spent else ""
    canvas.text(_MARGIN, 28, fit(graph, across - 2 * _MARGIN, 15, strong=True), size=15, strong=True)
    canvas.text(_MARGIN, 47, fit(summary, across - 2 * _MARGIN))
    _axis(canvas, most, len(members), across)
    lanes: dict[str, _Lane] = {}
    for index, member in enumerate(members):
        lanes[member.info.id] = _place(member, lanes, most, _TOP + index * _ROW + _ROW / 2)
    for member in reversed(members):
        _draw_lane(canvas, member, lanes)
    for member, (strong, small) in zip(members, texts, strict=True):
        lane = lanes[member.info.id]
        with canvas.said(_spoken(member, asked=family.asked)):
            _end(canvas, member, lane)
            x = _MARGIN + _LANES + _LEAST + 36
            canvas.text(x, lane.y - 3, fit(strong, wide, strong=True), strong=True)
            canvas.text(x, lane.y + 13, fit(small, wide, SMALL), ink="soft", size=SMALL)
    spoken = [summary, *(_spoken(member, asked=family.asked) for member in members)]
    return canvas.done(f"Branches of {graph}, {summary}", spoken, across, _TOP + len(members) * _ROW + 14)


def _x(seq: int, most: int) -> float:
    return _MARGIN + 12 + (_LANES - 12) * (seq - 1) / max(1, most - 1)


def _place(member: Member, lanes: Mapping[str, _Lane], most: int, y: float) -> _Lane:
    info = member.info
    left = _x(info.parent_seq, most) if info.parent in lanes else _x(info.parent_seq + 1, most)
    return _Lane(left, max(_x(info.seq, most), left + _LEAST), y)


def _axis(canvas: Canvas, most: int, rows: int, across: float) -> None:
    """Draw stripes, and the axis of steps."""
    for index in range(0, rows, 2):
        canvas.rect(_MARGIN - 6, _TOP + index * _ROW, across - 2 * _MARGIN + 12, _ROW, Paint("stripe"), radius=3)
    step = nice_count(most / 8)
    marks = [1, *range(step, most + 1, step)] if step > 1 else list(range(1, most + 1))
    canvas.text(_MARGIN + _LANES + _LEAST + 6, _TOP - 10, "step", ink="soft", size=SMALL)
    free = 0.0
    for seq in marks:
        x, wide = _x(seq, most), measure(str(seq), SMALL)
        if x - wide / 2 >= free:
            canvas.line((x, _TOP - 5), (x, _TOP + rows * _ROW), Paint("none", "grid"))
            canvas.text(x, _TOP - 10, str(seq), ink="soft", size=SMALL, anchor="middle")
            free = x + wide / 2 + 6


def _draw_lane(canvas: Canvas, member: Member, lanes: Mapping[str, _Lane]) -> None:
    """Draw a run's lane, and how it leaves its parent's."""
    info, lane = member.info, lanes[member.info.id]
    paint = Paint("none", "soft", 2.4)
    parent = lanes.get(info.parent or "")
    if parent is None:
        canvas.line((lane.left, lane.y), (lane.right, lane.y), paint)
        canvas.dot(lane.left, lane.y, 4.5, Paint("soft", "soft"))
        return
    bend = lane.left + 16
    canvas.curve((lane.left, parent.y), (bend, lane.y), paint)
    canvas.line((bend, lane.y), (lane.right, lane.y), paint)
    canvas.dot(lane.left, parent.y, 3.5, Paint("paper", "soft", 1.8))


def _end(canvas: Canvas, member: Member, lane: _Lane) -> None:
    """Draw how a run ended, by shape and by colour."""
    fill, line, shape = _ENDS[member.info.status]
    x, y = lane.right, lane.y
    if shape == "square":
        canvas.rect(x - 7, y - 7, 14, 14, Paint(fill, line, 1.6), radius=2)
        return
    canvas.dot(x, y, 8, Paint(fill, line, 1.6))
    stroke = Paint("none", line, 1.8)
    if shape == "check":
        canvas.path([(x - 3.5, y + 0.5), (x - 1, y + 3), (x + 4, y - 3)], stroke)
    elif shape == "cross":
        for sign in (1, -1):
            canvas.line((x - 3.5, y - 3.5 * sign), (x + 3.5, y + 3.5 * sign), stroke)
    elif shape == "pause":
        for at in (x - 2, x + 2):
            canvas.line((at, y - 3.5), (at, y + 3.5), stroke)
    else:
        canvas.path([(x - 2.5, y - 4), (x + 3.5, y), (x - 2.5, y + 4)], stroke)


def _texts(member: Member, *, asked: str) -> tuple[str, str]:
    """Return the two lines next to a lane."""
    info = member.info
    mark = " (this run)" if info.id == asked else ""
    ended = f"{info.status}: {member.ending}" if member.ending else str(info.status)
    parts = [ended, f"steps {info.parent_seq + 1} to {info.seq}" if info.parent else counted(info.seq, "step")]
    parts += [part for part in (cost(member.usage or {}), ", ".join(info.tags)) if part]
    return f"{info.id}{mark}", ", ".join(parts)


def _wide(strong: str, small: str) -> float:
    return max(measure(strong, strong=True), measure(small, SMALL)) + 2


def _spoken(member: Member, *, asked: str) -> str:
    strong, small = _texts(member, asked=asked)
    info = member.info
    comes = f", branched from {info.parent} at step {info.parent_seq}" if info.parent else ""
    return f"{strong}{comes}: {small}"
