"""The timeline of a run: a row for each path, a bar for each attempt, waits and pauses, times and costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.engine.frame_tree import add_usage
from graphengine.engine.steps import without_items
from graphengine.render.charts.canvas import SMALL, Canvas, Paint, fit, measure
from graphengine.render.charts.heading import heading_of
from graphengine.render.charts.scale import scale_of
from graphengine.render.charts.spans import Row, timeline_of
from graphengine.render.charts.units import cost, lasting, moment, paid
from graphengine.render.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.steps import Step
    from graphengine.render.charts.canvas import Chart
    from graphengine.render.charts.scale import Scale
    from graphengine.render.charts.spans import Gap, Span, Timeline, What
    from graphengine.state.amounts import Usage

ITEM_ROWS: Final = 12
"""The most items of one map that have a row each; with more, items that did not overlap share rows."""

_MARGIN: Final = 16.0
_AXIS: Final = 640.0
_NAMES_MOST: Final = 230.0
_FACTS_MOST: Final = 230.0
_INDENT: Final = 12.0
_ROOMY: Final = 60
"""The most rows that are high enough for text in their bars."""
_LEAST: Final = 2.5
"""The least width of a bar."""
_BREAK: Final = "time drawn short"
_BRANCH: Final = "branched off; what is before is shared"
_DENSITY: Final = "many visits: as high as the part of the time at work"
_MARK: Final = "a piece of work was recorded"
_THIN: Final = 4.0
_DENSE: Final = ("work", "failed", "fallback")
_MANY: Final = 100
"""From so many visits of a row that are narrower than a pixel on, they are drawn as a density."""
_COLUMN: Final = 2.0
"""The width of a column of a density."""
_WORK: Final = ("work", "failed", "fallback", "begun")

_PAINTS: Final[Mapping[What, Paint]] = {
    "work": Paint("work", "work-line"),
    "failed": Paint("bad", "bad-line", 1.4),
    "fallback": Paint("fell", "fell-line"),
    "wait": Paint("wait", "wait-line", 1.0, "4 3"),
    "pause": Paint("none", "soft", 1.4, "1 3"),
    "inside": Paint("none", "soft", 1.6),
    "begun": Paint("none", "work-line", 1.4, "2 2"),
}
_WORDS: Final[Mapping[What, str]] = {
    "work": "work",
    "failed": "a failed attempt",
    "fallback": "the fallback's result",
    "wait": "waits",
    "pause": "pause before another attempt",
    "inside": "a graph or map, whose parts are below",
    "begun": "not ended yet",
}


class _Lane(NamedTuple):
    """A drawn row; several rows of items can share one."""

    name: str
    depth: int
    spans: Sequence[Span]
    marks: Sequence[float]
    facts: str
    said: str


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The layout, in pixels."""

    names: float
    facts: float
    top: float
    row: float
    scale: Scale

    def wide(self, span: Span) -> float:
        """Return the width of a time."""
        return self.scale.x(span.end) - self.scale.x(span.start)

    def y(self, index: int) -> float:
        """Return the top of a row."""
        return self.top + index * self.row


def timeline(steps: Sequence[Step]) -> Chart:
    """Draw what a run did over time.

    Rows are paths; items of a map have one each up to `ITEM_ROWS` of them. Everything is computed from the steps.

    Args:
        steps: All steps of the run from seq 1 on, including those of its parents.

    Raises:
        RenderError: There are no steps, or they do not follow each other from 1 on.
    """
    line = timeline_of(steps)
    lanes = _lanes(line.rows)
    spans = [span for lane in lanes for span in lane.spans]
    names = min(_NAMES_MOST, max((measure(lane.name) + lane.depth * _INDENT for lane in lanes), default=0.0))
    facts = min(_FACTS_MOST, max((measure(lane.facts, SMALL) for lane in lanes), default=0.0))
    left = _MARGIN + names + 12
    end = max([line.ended, *(span.end for span in spans if span.what != "pause")])
    busy = [(span.start, span.end) for span in spans if span.what in _WORK]
    scale = scale_of(line.began, end, busy, left, left + _AXIS)
    sheet = _Sheet(names, facts, 112.0, 24.0 if len(lanes) <= _ROOMY else 17.0, scale)
    across = left + _AXIS + 12 + facts + _MARGIN
    canvas = Canvas()
    head = _head(canvas, line, across)
    _axis(canvas, sheet, line, len(lanes), across)
    for index, lane in enumerate(lanes):
        _lane(canvas, sheet, index, lane)
    branched = _branches(canvas, sheet, line, len(lanes))
    signs = (
        (any(_narrow(sheet, lane) for lane in lanes), _DENSITY),
        (scale.breaks(), _BREAK),
        (any(lane.marks for lane in lanes), _MARK),
        (branched, _BRANCH),
    )
    more = [words for shown, words in signs if shown]
    down = _legend(canvas, sheet.y(len(lanes)) + 20, across, spans, more)
    gaps = [_gap(gap.why, gap.end - gap.start, short=_is_short(scale, gap)) for gap in line.gaps]
    spoken = [*head[1:], *(lane.said for lane in lanes), *gaps, *branched]
    return canvas.done(f"Timeline of {head[0]}", spoken, across, down)


def _head(canvas: Canvas, line: Timeline, across: float) -> list[str]:
    """Draw the text above the rows: the run, its status, its time and cost; return it."""
    snapshot = line.snapshot
    usage: Usage = {}
    for row in line.rows:
        usage = add_usage(usage, row.usage)
    name, status = heading_of(snapshot)
    waited = sum(span.seconds for row in line.rows for span in row.spans if span.what == "wait")
    idle = sum(gap.end - gap.start for gap in line.gaps if gap.why != "waiting")
    parts = [counted(line.steps, "step"), f"{lasting(snapshot.elapsed_seconds)} driven"]
    parts += [f"{lasting(waited)} of waits"] if waited else []
    parts += [f"{lasting(idle)} not driven"] if idle else []
    parts += [part for part in (paid(usage),) if part] + [f"began {moment(line.began)}"]
    took = ", ".join(parts)
    room = across - 2 * _MARGIN
    canvas.text(_MARGIN, 28, fit(name, room, 15, strong=True), size=15, strong=True)
    canvas.text(_MARGIN, 47, fit(status, room), ink="ink")
    canvas.text(_MARGIN, 64, fit(took, room, SMALL), ink="soft", size=SMALL)
    return [f"{name}, {status}", status, took]


def _lanes(rows: Sequence[Row]) -> list[_Lane]:
    """Return the rows to draw."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(without_items(row.path), []).append(row)
    lanes: list[_Lane] = []
    packed: set[str] = set()
    for row in rows:
        key = without_items(row.path)
        group = groups[key]
        if len(group) <= ITEM_ROWS or key == row.path:
            lanes.append(_lane_of(row))
        elif key not in packed:
            packed.add(key)
            lanes += _packed([other for other in group if other.path != key])
    return lanes


def _lane_of(row: Row) -> _Lane:
    head, _, name = row.path.rpartition("/")
    depth = head.count("/") + 1 if head else 0
    depth += name.endswith("]")
    facts = _facts([row])
    problems = [span.said for span in row.spans if span.what == "failed"]
    said = f"{row.path}: {facts}" + (f" ({'; '.join(problems)})" if problems else "")
    return _Lane(name, depth, row.spans, row.marks, facts, said)


def _packed(rows: Sequence[Row]) -> list[_Lane]:
    """Pack the rows of many items into as few lanes as possible."""
    lanes: list[tuple[float, list[Row]]] = []
    for row in sorted(rows, key=lambda row: min((span.start for span in row.spans), default=0.0)):
        start = min((span.start for span in row.spans), default=0.0)
        end = max((span.end for span in row.spans), default=start)
        free = next((index for index, (until, _) in enumerate(lanes) if until <= start), None)
        if free is None:
            lanes.append((end, [row]))
        else:
            lanes[free] = (max(end, lanes[free][0]), [*lanes[free][1], row])
    first = _lane_of(rows[0])
    name = f"{without_items(first.name)}[…]" if first.name.endswith("]") else f"{first.name} of […]"
    depth = first.depth
    found: list[_Lane] = []
    for index, (_, inside) in enumerate(lanes):
        spans = [span._replace(said=f"{row.path}: {span.said}") for row in inside for span in row.spans]
        facts = _facts(inside)
        said = f"{name}, row {index + 1} of {len(lanes)}: {facts}"
        found.append(_Lane(f"{name} {index + 1}", depth, spans, (), facts, said))
    return found


def _facts(rows: Sequence[Row]) -> str:
    """Return the time and cost of rows, in words."""
    spans = [span for row in rows for span in row.spans]
    usage: Usage = {}
    for row in rows:
        usage = add_usage(usage, row.usage)
    visits = sum(row.visits for row in rows)
    items = all(row.path.endswith("]") for row in rows)
    parts = [f"{len(rows)} items"] if items and len(rows) > 1 else []
    parts += [counted(visits, "visit")] if visits and not items else []
    worked = sum(span.seconds for span in spans if span.what in _WORK)
    inside = sum(span.seconds for span in spans if span.what == "inside")
    waited = sum(span.seconds for span in spans if span.what == "wait")
    waits = any(span.what == "wait" for span in spans)
    parts += [lasting(worked or inside)] if worked or not waits else []
    parts += [f"waited {lasting(waited)}"] if waited else ["waits"] if waits and not visits else []
    return ", ".join([*parts, *(part for part in (cost(usage),) if part)])


def _axis(canvas: Canvas, sheet: _Sheet, line: Timeline, rows: int, across: float) -> None:
    """Draw the rows' stripes, the marks of the time axis, and squeezed times."""
    bottom = sheet.y(rows)
    for index in range(0, rows, 2):
        canvas.rect(_MARGIN - 6, sheet.y(index), across - 2 * _MARGIN + 12, sheet.row, Paint("stripe"), radius=3)
    free = 0.0
    for mark in sheet.scale.marks():
        wide = measure(mark.text, SMALL)
        if mark.x - wide / 2 < free:
            continue
        canvas.line((mark.x, sheet.top - 6), (mark.x, bottom), Paint("none", "grid"))
        canvas.text(
            mark.x, sheet.top - 10, mark.text, ink="ink" if mark.strong else "soft", size=SMALL, anchor="middle"
        )
        free = mark.x + wide / 2 + 8
    free = 0.0
    for part in sheet.scale.breaks():
        why = next((gap.why for gap in line.gaps if gap.start < part.end and gap.end > part.start), "nothing to do")
        middle, wide = (part.left + part.right) / 2, measure(lasting(part.end - part.start), SMALL)
        with canvas.said(_gap(why, part.end - part.start, short=True)):
            canvas.rect(part.left, sheet.top - 4, part.right - part.left, bottom - sheet.top + 8, Paint("paper"))
            for x in (part.left, part.right):
                canvas.path(_zigzag(x, sheet.top - 4, bottom + 4), Paint("none", "soft"))
            if middle - wide / 2 >= free:
                canvas.text(middle, sheet.top - 26, lasting(part.end - part.start), size=SMALL, anchor="middle")
                free = middle + wide / 2 + 6


def _branches(canvas: Canvas, sheet: _Sheet, line: Timeline, rows: int) -> list[str]:
    """Draw lines where the run, or an ancestor, branched off; return their texts."""
    texts = [f"run {branching.run_id} branched off at step {branching.seq}" for branching in line.branched]
    for branching, words in zip(line.branched, texts, strict=True):
        x = sheet.scale.x(branching.at)
        with canvas.said(words):
            canvas.line((x, sheet.top - 6), (x, sheet.y(rows) + 6), Paint("none", "ink", 1.6, "6 3"))
    return texts


def _gap(why: str, seconds: float, *, short: bool) -> str:
    return f"{lasting(seconds)} {why}" + (", drawn short" if short else "")


def _is_short(scale: Scale, gap: Gap) -> bool:
    return any(part.start < gap.end and part.end > gap.start for part in scale.breaks())


def _zigzag(x: float, top: float, bottom: float) -> list[tuple[float, float]]:
    count = max(2, int((bottom - top) / 6))
    step = (bottom - top) / count
    return [(x + (2.5 if index % 2 else -2.5), top + index * step) for index in range(count + 1)]


def _lane(canvas: Canvas, sheet: _Sheet, index: int, lane: _Lane) -> None:
    y, middle = sheet.y(index), sheet.y(index) + sheet.row / 2
    indent = lane.depth * _INDENT
    with canvas.said(lane.said):
        canvas.text(_MARGIN + indent, middle + 4, fit(lane.name, sheet.names - indent))
    right = sheet.scale.stretches[-1].right
    canvas.text(right + 12, middle + 4, fit(lane.facts, sheet.facts, SMALL), ink="soft", size=SMALL)
    narrow = _narrow(sheet, lane)
    if narrow:
        _density(canvas, sheet, y, narrow)
    dense = {*narrow}
    bars = [span for span in lane.spans if span not in dense]
    for span in sorted(bars, key=lambda span: (span.what not in ("inside", "pause"), span.start, span.seq)):
        with canvas.said(f"{span.said}; {lasting(span.seconds)}"):
            _bar(canvas, sheet, y, span)
    for at in lane.marks[:: max(1, len(lane.marks) // _MANY)]:
        x = sheet.scale.x(at)
        canvas.line((x, y + sheet.row - 7), (x, y + sheet.row - 3), Paint("none", "ink"))


def _narrow(sheet: _Sheet, lane: _Lane) -> list[Span]:
    """Return a row's attempts that are narrower than a pixel, if there are so many that their bars would be solid."""
    narrow = [span for span in lane.spans if span.what in _DENSE and sheet.wide(span) < 1]
    return narrow if len(narrow) >= _MANY else []


def _density(canvas: Canvas, sheet: _Sheet, y: float, spans: Sequence[Span]) -> None:
    """Draw visits that are narrower than a pixel as columns: as high as the part of their time that was worked.

    A column in which an attempt failed has the colour and the line of failures on top.
    """
    columns: dict[int, list[Span]] = {}
    for span in spans:
        columns.setdefault(int(sheet.scale.x((span.start + span.end) / 2) // _COLUMN), []).append(span)
    high = sheet.row - 6
    for column, inside in columns.items():
        x, failed = column * _COLUMN, sum(span.what == "failed" for span in inside)
        part = min(1.0, sum(sheet.wide(span) for span in inside) / _COLUMN)
        words = f"{len(inside)} attempts" + (f", {failed} failed" if failed else "")
        with canvas.said(f"{words}; {lasting(sum(span.seconds for span in inside))} of work"):
            top = max(_LEAST, high * part)
            canvas.rect(x, y + sheet.row - 3 - top, _COLUMN, top, Paint("work-line"))
            if failed:
                canvas.rect(x, y + 2, _COLUMN, 3, Paint("bad-line"))


def _bar(canvas: Canvas, sheet: _Sheet, y: float, span: Span) -> None:
    left, right = sheet.scale.x(span.start), sheet.scale.x(span.end)
    paint, middle = _PAINTS[span.what], y + sheet.row / 2
    if span.what == "pause":
        canvas.line((left, middle), (right, middle), paint)
        return
    if span.what == "inside":
        for x in (left, right):
            canvas.line((x, middle - 4), (x, middle + 4), paint)
        canvas.line((left, middle), (right, middle), paint)
        return
    across, high = max(_LEAST, right - left), sheet.row - (8 if sheet.row > 20 else 5)  # noqa: PLR2004 - roomy or not
    if across < _THIN and span.what != "failed":  # all line, no room for a fill
        paint = Paint(paint.line)
    canvas.rect(left, middle - high / 2, across, high, paint, radius=2 if across > 6 else 0)  # noqa: PLR2004 - pixels
    if span.what == "failed":  # a cross repeats what the colour means
        half, x = high / 2 - 2, left + across / 2
        half = min(half, 4.0)
        for sign in (1, -1):
            canvas.line(
                (x - half, middle - half * sign), (x + half, middle + half * sign), Paint("none", "bad-line", 1.6)
            )
    elif span.what in ("work", "fallback", "wait") and sheet.row > 20:  # noqa: PLR2004 - roomy
        text = lasting(span.seconds)
        if measure(text, 10) + 8 <= across:
            canvas.text(left + across / 2, middle + 3.5, text, size=10, anchor="middle")


def _legend(canvas: Canvas, y: float, across: float, spans: Sequence[Span], more: Sequence[str]) -> float:
    """Draw the meaning of the bars that are present; return where the sheet ends."""
    x = _MARGIN
    shown: list[What] = [what for what in _PAINTS if any(span.what == what for span in spans)]
    entries: list[tuple[What | None, str]] = [
        *((what, _WORDS[what]) for what in shown),
        *((None, word) for word in more),
    ]
    for what, words in entries:
        wide = 26 + measure(words, SMALL) + 18
        if x + wide > across - _MARGIN and x > _MARGIN:
            x, y = _MARGIN, y + 20
        if what is not None:
            _sample(canvas, x, y, what)
        elif words == _MARK:
            canvas.line((x + 10, y - 2), (x + 10, y + 3), Paint("none", "ink"))
        elif words == _DENSITY:
            for index, high in enumerate((4.0, 10.0, 7.0)):
                canvas.rect(x + 4 + 4 * index, y + 6 - high, 3, high, Paint("work-line"))
        elif words == _BRANCH:
            canvas.line((x + 10, y - 8), (x + 10, y + 8), Paint("none", "ink", 1.6, "6 3"))
        else:
            for at in (x + 4, x + 14):
                canvas.path(_zigzag(at, y - 7, y + 7), Paint("none", "soft"))
        canvas.text(x + 26, y + 4, words, ink="soft", size=SMALL)
        x += wide
    return y + 20


def _sample(canvas: Canvas, x: float, y: float, what: What) -> None:
    paint = _PAINTS[what]
    if what in ("pause", "inside"):
        canvas.line((x, y), (x + 20, y), paint)
        if what == "inside":
            canvas.line((x, y - 4), (x, y + 4), paint)
            canvas.line((x + 20, y - 4), (x + 20, y + 4), paint)
        return
    canvas.rect(x, y - 6, 20, 12, paint, radius=2)
    if what == "failed":
        for sign in (1, -1):
            canvas.line((x + 6, y - 4 * sign), (x + 14, y + 4 * sign), Paint("none", "bad-line", 1.6))
