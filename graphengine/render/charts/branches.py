"""The tree of a run's family: a lane of steps for each run, which leaves its parent's lane at the last shared step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.kernel import StoreError, UnknownRun, Usage, add_usage, load_snapshot
from graphengine.records.spending import own_usage
from graphengine.render.amounts import cost, nice, paid
from graphengine.render.charts.canvas import MARGIN, SMALL, Canvas, Ink, Paint, fit, measure
from graphengine.render.metrics import number
from graphengine.render.text import one_line
from graphengine.render.trace import ending
from graphengine.render.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel import RunInfo, Store
    from graphengine.render.charts.canvas import Chart

_LANES: Final = 360.0
_TEXT_MOST: Final = 420.0
_ROW: Final = 44.0
_TOP: Final = 100.0
_LEAST: Final = 26.0
"""The least length of a lane."""
_TEXTS: Final = MARGIN + _LANES + _LEAST + 36
_ENDS: Final[Mapping[str, tuple[Ink, Ink, str]]] = {
    "finished": ("fell", "fell-line", "\N{CHECK MARK}"),
    "waiting": ("wait", "wait-line", "\N{DOUBLE VERTICAL LINE}"),
    "failed": ("bad", "bad-line", "\N{MULTIPLICATION SIGN}"),
    "stopped": ("other", "other-line", "\N{BLACK SQUARE}"),
    "cancelled": ("other", "other-line", "\N{EMPTY SET}"),
    "running": ("work", "work-line", "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"),
}


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a family.

    Attributes:
        info: The store's facts about it.
        ending: Why it stopped, "" if its status is enough; the error if it cannot be read.
        usage: What it spent on models itself; None if it cannot be read.
    """

    info: RunInfo
    ending: str
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Family:
    """Runs with a common ancestor.

    Attributes:
        asked: The id of the run whose family it is.
        members: Each after the one it was branched from, branches of later steps first, so that no lanes of a picture
            cross.
    """

    asked: str
    members: Sequence[Member]


async def family_of(store: Store, run_id: str) -> Family:
    """Read the family of a run from an open store.

    A member that cannot be read is included, with the error. If its parent was removed, the family begins with the
    remaining runs.

    Raises:
        UnknownRun, StoreError.
    """
    first = await store.info(run_id)
    while first.parent is not None:
        try:
            first = await store.info(first.parent)
        except UnknownRun:
            break
    below: dict[str, list[RunInfo]] = {}
    left: Sequence[RunInfo] = [first]
    while left:
        left = await store.branches([info.id for info in left])
        for info in left:
            below.setdefault(info.parent or "", []).append(info)
    members: list[Member] = []
    stack = [first]
    while stack:
        info = stack.pop()
        members.append(await _member(store, info))
        children = sorted(below.get(info.id, []), key=lambda child: (-child.parent_seq, child.created_at, child.id))
        stack += reversed(children)
    return Family(run_id, members)


async def _member(store: Store, info: RunInfo) -> Member:
    try:
        snapshot = await load_snapshot(store, info.id, None)
        usage: Usage = await own_usage(store, info, snapshot)
    except StoreError as error:
        return Member(info, f"cannot be read: {error.message}", None)
    return Member(info, ending(snapshot), usage)


def branches(family: Family) -> Chart:
    """Draw a run's family: where each branch leaves, how it ended, what it cost.

    Args:
        family: The family, as `family_of` returns it.
    """
    members, usage = family.members, Usage()
    for member in members:
        usage = add_usage(usage, member.usage or {})
    texts = [_texts(member, asked=family.asked) for member in members]
    wide = min(_TEXT_MOST, max(max(measure(id_, strong=True), measure(facts, SMALL)) for id_, facts in texts) + 2)
    across, most = _TEXTS + wide + MARGIN, max(member.info.seq for member in members)
    canvas, graph = Canvas(), one_line(members[0].info.graph) or "graph"
    summary = ", ".join(
        filter(
            None, [f"{counted(len(members), 'run')} from {members[0].info.id}", paid(usage) and f"{paid(usage)} in all"]
        )
    )
    canvas.heading(across, graph, summary)
    canvas.stripes(_TOP, across, _ROW, len(members))
    step = max(1, int(nice(most / 8)))
    marks = sorted({1, *range(step, most + 1, step)})
    canvas.axis([(_x(seq, most), str(seq)) for seq in marks], _TOP - 6, _TOP + len(members) * _ROW)
    canvas.soft(MARGIN + _LANES + _LEAST + 6, _TOP - 10, "step")
    lanes: dict[str, tuple[float, float]] = {}
    for index, (member, (id_, facts)) in enumerate(zip(members, texts, strict=True)):
        info, y = member.info, _TOP + (index + 0.5) * _ROW
        parent = lanes.get(info.parent or "")
        left = _x(info.parent_seq + (parent is None), most)
        right = max(_x(info.seq, most), left + _LEAST)
        lanes[info.id] = right, y
        comes = f", branched from {info.parent} at step {info.parent_seq}" if info.parent else ""
        canvas.spoken.append(f"{id_}{comes}: {facts}")
        with canvas.said(canvas.spoken[-1]):
            _lane(canvas, info.status, (left, right, y), parent[1] if parent is not None else None)
            canvas.text(_TEXTS, y - 3, fit(id_, wide, strong=True), strong=True)
            canvas.soft(_TEXTS, y + 13, fit(facts, wide, SMALL))
    return canvas.done(f"Branches of {graph}, {summary}", across, _TOP + len(members) * _ROW + 14)


def _x(seq: int, most: int) -> float:
    return MARGIN + 12 + (_LANES - 12) * (seq - 1) / max(1, most - 1)


def _lane(canvas: Canvas, status: str, place: tuple[float, float, float], parent: float | None) -> None:
    """Draw a run's lane, how it leaves its parent's at this height, and how it ended, by a sign and by colour."""
    left, right, y = place
    bend = left if parent is None else left + 16
    if parent is not None:
        x, low, high = number(left), number(y), number(parent)
        curve = f"M{x} {high} C{x} {low} {x} {low} {number(bend)} {low}"
        canvas.shape("path", Paint("none", "soft", 2.4), d=curve)
    canvas.line((bend, y), (right, y), Paint("none", "soft", 2.4))
    canvas.dot(left, y if parent is None else parent, 4, Paint("soft" if parent is None else "paper", "soft", 1.8))
    fill, line, sign = _ENDS[status]
    canvas.dot(right, y, 8, Paint(fill, line, 1.6))
    canvas.text(right, y + 4, sign, ink=line, anchor="middle", strong=True)


def _texts(member: Member, *, asked: str) -> tuple[str, str]:
    """Return the two lines next to a lane."""
    info = member.info
    ended = f"{info.status}: {member.ending}" if member.ending else str(info.status)
    parts = [ended, f"steps {info.parent_seq + 1} to {info.seq}" if info.parent else counted(info.seq, "step")]
    parts += [part for part in (cost(member.usage or {}), ", ".join(info.tags)) if part]
    return f"{info.id}{' (this run)' if info.id == asked else ''}", ", ".join(parts)
