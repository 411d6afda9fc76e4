"""The timeline of a run: a row for each path, a bar for each attempt, waits and pauses, times and costs.

Idle times that would dwarf the work are squeezed: drawn at a fixed width, with their length above them. All other times
are drawn to one scale.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.kernel.extension import add_usage
from graphengine.kernel.inside import without_items
from graphengine.records.words import counted, seconds, when
from graphengine.render.amounts import nice_seconds, paid, priced
from graphengine.render.charts.canvas import MARGIN, SMALL, Canvas, Paint, fit, measure
from graphengine.render.charts.spans import PathSpans, laid_out
from graphengine.render.files import RenderError
from graphengine.render.text import one_line
from graphengine.render.trace import standing, visits_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphengine.kernel.reader import Step, Usage
    from graphengine.render.charts.canvas import Chart
    from graphengine.render.charts.spans import Span, Timeline, What

ITEM_ROWS: Final = 12
"""The most items of one map that have a row each; with more, items that did not overlap share rows."""

_AXIS: Final = 640.0
_NAMES_MOST: Final = 230.0
_ROW: Final = 22.0
_BAR: Final = 14.0
_INDENT: Final = 12.0
_LEAST: Final = 2.5
"""The least width of a bar."""
_THIN: Final = 4.0
"""Below this width, a bar is all line."""
_MANY: Final = 100
"""From so many visits of a row that are narrower than a pixel on, they are drawn as a density."""
_COLUMN: Final = 2.0
"""The width of a column of a density."""
_ITEM: Final = re.compile(r"\[\d+\]")
_DENSE: Final = ("work", "failed", "fallback")
_BUSY: Final = (*_DENSE, "begun")
_IDLE_MOST: Final = 3
"""The most that idle times take together before long ones are squeezed, in multiples of the total work."""
_LONG: Final = 0.03
"""Idle times shorter than this part of the whole time are never squeezed."""
_SQUEEZED_PIXELS: Final = 34.0
_MARK_PIXELS: Final = 80.0
"""The least distance of two marks on the axis."""

_BARS: Final[Mapping[What, tuple[Paint, str]]] = {
    "work": (Paint("work", "work-line"), "work"),
    "failed": (Paint("bad", "bad-line", 1.4), "a failed attempt"),
    "fallback": (Paint("fell", "fell-line"), "the fallback's result"),
    "wait": (Paint("wait", "wait-line", 1.0, "4 3"), "waits"),
    "pause": (Paint("none", "soft", 1.4, "1 3"), "pause before another attempt"),
    "inside": (Paint("none", "soft", 1.6), "a graph or map, whose parts are below"),
    "begun": (Paint("none", "work-line", 1.4, "2 2"), "not ended yet"),
}


class Stretch(NamedTuple):
    """A part of the axis: times in epoch seconds, places in pixels."""

    start: float
    end: float
    left: float
    right: float
    squeezed: bool


@dataclass(frozen=True, slots=True)
class Scale:
    """The places of times on the axis.

    Attributes:
        stretches: One after the other; every second one is squeezed.
        step: The seconds between two marks.
    """

    stretches: Sequence[Stretch]
    step: float

    def x(self, at: float) -> float:
        """Return the place of a time."""
        part = self.stretches[-1]
        for each in self.stretches:
            if at <= each.end:
                part = each
                break
        if part.end <= part.start:
            return part.left
        inside = min(1.0, max(0.0, (at - part.start) / (part.end - part.start)))
        return part.left + (part.right - part.left) * inside

    def breaks(self) -> Sequence[Stretch]:
        """Return the squeezed parts."""
        return [part for part in self.stretches if part.squeezed]

    def marks(self) -> Iterator[tuple[float, str]]:
        """Yield the marks of everything that is drawn to scale, each with its text; after a break they count anew."""
        zero = self.stretches[0].start
        for part in self.stretches[::2]:
            if part.end <= part.start > zero:
                continue
            yield part.left, seconds(part.start - zero) if part.start > zero else "0"
            for number in range(1, int((part.end - part.start) / self.step + 1e-6) + 1):
                time = number * self.step
                yield self.x(part.start + time), f"{'+' if part.start > zero else ''}{seconds(time)}"


def scale_of(start: float, end: float, busy: Iterable[tuple[float, float]], left: float, right: float) -> Scale:
    """Make a scale for these times.

    Args:
        start: The first time that is shown, epoch seconds.
        end: The last.
        busy: When something was done, in any order; the times between can be squeezed.
        left: The place of the first time, in pixels.
        right: The place of the last.
    """
    idle: list[tuple[float, float]] = []
    at = start
    for first, last in (*sorted(busy), (end, end)):
        if first > at:
            idle.append((at, first))
        at = max(at, last)
    length = sum(last - first for first, last in idle)
    worked = end - start - length
    is_dwarfed = length > _IDLE_MOST * worked > 0
    squeezed = [gap for gap in idle if is_dwarfed and gap[1] - gap[0] > _LONG * (end - start)]
    each = min(_SQUEEZED_PIXELS, (right - left) / 2 / len(squeezed)) if squeezed else 0.0
    drawn, pixels = end - start - sum(last - first for first, last in squeezed), right - left - each * len(squeezed)
    stretches: list[Stretch] = []
    x = left
    for number, (first, last) in enumerate(pairwise([start, *(edge for gap in squeezed for edge in gap), end])):
        across = each if number % 2 else pixels * (last - first) / drawn if drawn else pixels
        stretches.append(Stretch(first, last, x, x + across, number % 2 == 1))
        x += across
    return Scale(stretches, nice_seconds(max(0.001, drawn * _MARK_PIXELS / pixels)))


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A canvas with the layout of its rows, in pixels."""

    canvas: Canvas
    scale: Scale
    names: float
    top: float

    def wide(self, span: Span) -> float:
        """Return the width of a time."""
        return self.scale.x(span.end) - self.scale.x(span.start)


def timeline(steps: Sequence[Step], status: str = "", *, axis: float = _AXIS, is_part: bool = False) -> Chart:
    """Draw what a run did over time.

    Rows are paths; items of a map have one each up to `ITEM_ROWS` of them. Everything is computed from the steps.

    Args:
        steps: All steps of the run from seq 1 on, including those of its parents.
        status: The run's status, if the store knows more than its steps.
        axis: How long the axis of time is, in pixels.
        is_part: Whether it becomes part of a page that says which run it is and what that cost.

    Raises:
        RenderError: There are no steps, or they do not follow each other from 1 on.
    """
    if not steps:
        raise RenderError("a run without steps has no timeline", where="steps=", repair="pass the steps of a run")
    line = laid_out(visits_of(steps))
    rows = _pack_rows(line.rows)
    facts = [_describe_row(row) for row in rows]
    spans = [span for row in rows for span in row.spans]
    names = min(_NAMES_MOST, max((measure(_name_of_row(row)) + _indent(row) for row in rows), default=0.0))
    left = MARGIN + names + 12
    beside = max((measure(text, SMALL) for text in facts), default=0.0) + MARGIN + 12
    right = left + axis
    end = max([line.ended, *(span.end for span in spans if span.what != "pause")])
    scale = scale_of(line.began, end, [(s.start, s.end) for s in spans if s.what in _BUSY], left, right)
    sheet = _Sheet(Canvas(), scale, names, 48.0 if is_part else 112.0)
    canvas, across, down = sheet.canvas, right + beside, sheet.top + len(rows) * _ROW
    title, said, totals = _compose_heading(line, status)
    if not is_part:
        canvas.heading(across, title, said, totals)
    canvas.stripes(sheet.top, across, _ROW, len(rows))
    canvas.axis([*scale.marks()], sheet.top - 6, down)
    _draw_breaks(sheet, line, down)
    for index, (row, text) in enumerate(zip(rows, facts, strict=True)):
        _draw_row(sheet, row, text, sheet.top + (index + 0.5) * _ROW)
        canvas.soft(right + 12, sheet.top + (index + 0.5) * _ROW + 4, text)
    for at, words in line.branched:
        with canvas.title_group(words):
            canvas.line((scale.x(at), sheet.top - 6), (scale.x(at), down + 6), Paint("none", "ink", 1.6, "6 3"))
    canvas.spoken += [_gap_in_words(scale, gap.start, gap.end, gap.why) for gap in line.gaps]
    canvas.spoken += [words for _, words in line.branched]
    down = _legend(sheet, rows, down + 20, branched=bool(line.branched))
    return canvas.done(f"Timeline of {title}, {said}", across, down)


def _compose_heading(line: Timeline, status: str) -> tuple[str, str, str]:
    """Return the title of a run's timeline, its status, and its totals."""
    usage: Usage = {}
    for row in line.rows:
        usage = add_usage(usage, row.usage)
    waited = sum(span.seconds for row in line.rows for span in row.spans if span.what == "wait")
    idle = sum(gap.end - gap.start for gap in line.gaps if gap.why != "waiting")
    parts = [counted(line.steps, "step"), f"{seconds(line.snapshot.elapsed_seconds)} driven"]
    parts += [f"{seconds(waited)} of waits"] if waited else []
    parts += [f"{seconds(idle)} not driven"] if idle else []
    parts += [part for part in (paid(usage),) if part] + [f"began {when(line.began, UTC)}"]
    title = one_line(line.snapshot.graph) or "graph"
    return title, f"run {line.snapshot.run_id}: {standing(line.snapshot, status)}", ", ".join(parts)


def _pack_rows(rows: Sequence[PathSpans]) -> list[PathSpans]:
    """Return the rows to draw: where a map has many items, those that did not overlap share a row."""
    groups: dict[str, list[PathSpans]] = {}
    for row in rows:
        groups.setdefault(without_items(row.path), []).append(row)
    found: list[PathSpans] = []
    packed: set[str] = set()
    for row in rows:
        key = without_items(row.path)
        if key == row.path or len(groups[key]) <= ITEM_ROWS:
            found.append(row)
        elif key not in packed:
            packed.add(key)
            found += _share_rows([each for each in groups[key] if each.path != key])
    return found


def _share_rows(rows: Sequence[PathSpans]) -> list[PathSpans]:
    """Pack the rows of many items into as few as possible."""
    shared: list[tuple[float, PathSpans]] = []
    for row in sorted(rows, key=lambda row: min((span.start for span in row.spans), default=0.0)):
        start = min((span.start for span in row.spans), default=0.0)
        end = max((span.end for span in row.spans), default=start)
        spans = [span._replace(said=f"{row.path}: {span.said}") for span in row.spans]
        free = next((index for index, (until, _) in enumerate(shared) if until <= start), None)
        if free is None:
            path = f"{_ITEM.sub('[…]', row.path)} {len(shared) + 1}"
            shared.append((end, PathSpans(path, spans, row.visits, row.usage)))
            continue
        until, other = shared[free]
        usage, visits = add_usage(other.usage, row.usage), other.visits + row.visits
        shared[free] = max(until, end), PathSpans(other.path, [*other.spans, *spans], visits, usage, other.items + 1)
    return [row for _, row in shared]


def _name_of_row(row: PathSpans) -> str:
    return row.path.rpartition("/")[2]


def _indent(row: PathSpans) -> float:
    return _INDENT * (row.path.count("/") + ("[" in _name_of_row(row)))


def _describe_row(row: PathSpans) -> str:
    """Return the time and cost of a row, in words."""
    is_item = "[" in _name_of_row(row)
    parts = [f"{row.items} items"] if is_item and row.items > 1 else []
    parts += [counted(row.visits, "visit")] if row.visits and not is_item else []
    worked, inside, waited = (
        sum(span.seconds for span in row.spans if span.what in kinds) for kinds in (_BUSY, ("inside",), ("wait",))
    )
    waits = any(span.what == "wait" for span in row.spans)
    parts += [seconds(worked or inside)] if worked or not waits else []
    parts += [f"waited {seconds(waited)}"] if waited else ["waits"] if waits and not row.visits else []
    return ", ".join([*parts, *filter(None, [priced(row.usage)])])


def _draw_breaks(sheet: _Sheet, line: Timeline, bottom: float) -> None:
    """Draw squeezed times as blanks between dashed lines, with their lengths above."""
    free, top = 0.0, sheet.top - 4
    for part in sheet.scale.breaks():
        why = next((gap.why for gap in line.gaps if gap.start < part.end and gap.end > part.start), "nothing to do")
        text, middle = seconds(part.end - part.start), (part.left + part.right) / 2
        with sheet.canvas.title_group(_gap_in_words(sheet.scale, part.start, part.end, why)):
            sheet.canvas.rect(part.left, top, part.right - part.left, bottom - top, Paint("paper"))
            for x in (part.left, part.right):
                sheet.canvas.line((x, top), (x, bottom), Paint("none", "soft", 1.0, "3 2"))
            if middle - measure(text, SMALL) / 2 >= free:
                sheet.canvas.text(middle, sheet.top - 24, text, size=SMALL, anchor="middle")
                free = middle + measure(text, SMALL) / 2 + 6


def _gap_in_words(scale: Scale, start: float, end: float, why: str) -> str:
    is_short = any(part.start < end and part.end > start for part in scale.breaks())
    return f"{seconds(end - start)} {why}" + (", drawn short" if is_short else "")


def _draw_row(sheet: _Sheet, row: PathSpans, facts: str, middle: float) -> None:
    """Draw a row: its name, and a bar for each span; many narrow ones as a density."""
    canvas, indent = sheet.canvas, _indent(row)
    problems = "; ".join(span.said for span in row.spans if span.what == "failed")
    said = f"{row.path}: {facts}" + (f" ({problems})" if problems and row.items == 1 else "")
    canvas.spoken.append(said)
    with canvas.title_group(said):
        canvas.text(MARGIN + indent, middle + 4, fit(_name_of_row(row), sheet.names - indent))
    narrow = _narrow(sheet, row)
    _density(sheet, middle, narrow)
    dense = {*narrow}
    bars = [span for span in row.spans if span not in dense]
    for span in sorted(bars, key=lambda span: (span.what not in ("inside", "pause"), span.start, span.seq)):
        left, wide = sheet.scale.x(span.start), sheet.wide(span)
        with canvas.title_group(f"{span.said}; {seconds(span.seconds)}", span.seq):
            _bar(canvas, span.what, left, wide, middle)
            text = seconds(span.seconds)
            if span.what in ("work", "fallback", "wait") and measure(text, 10) + 8 <= wide:
                canvas.text(left + wide / 2, middle + 3.5, text, size=10, anchor="middle")


def _narrow(sheet: _Sheet, row: PathSpans) -> list[Span]:
    """Return a row's attempts that are narrower than a pixel, if there are so many that their bars would be solid."""
    narrow = [span for span in row.spans if span.what in _DENSE and sheet.wide(span) < 1]
    return narrow if len(narrow) >= _MANY else []


def _density(sheet: _Sheet, middle: float, spans: Iterable[Span]) -> None:
    """Draw visits that are narrower than a pixel as columns: as high as the part of their time that was worked.

    A column in which an attempt failed has the line of failures on top.
    """
    columns: dict[int, list[Span]] = {}
    for span in spans:
        columns.setdefault(int(sheet.scale.x((span.start + span.end) / 2) // _COLUMN), []).append(span)
    for column, inside in columns.items():
        failed, worked = sum(span.what == "failed" for span in inside), sum(span.seconds for span in inside)
        high = max(_LEAST, _BAR * min(1.0, sum(sheet.wide(span) for span in inside) / _COLUMN))
        words = f"{len(inside)} attempts" + (f", {failed} failed" if failed else "") + f"; {seconds(worked)} of work"
        with sheet.canvas.title_group(words, min(span.seq for span in inside)):
            x, bottom = column * _COLUMN, middle + _BAR / 2
            sheet.canvas.rect(x, bottom - high, _COLUMN, high, Paint("work-line"))
            if failed:
                sheet.canvas.rect(x, bottom - _BAR, _COLUMN, 3, Paint("bad-line"))


def _bar(canvas: Canvas, what: What, left: float, wide: float, middle: float) -> None:
    """Draw a time: a line between two ends for what has its parts below, a box for work and waits."""
    paint, right = _BARS[what][0], left + wide
    if what in ("pause", "inside"):
        canvas.line((left, middle), (right, middle), paint)
        for x in (left, right) if what == "inside" else ():
            canvas.line((x, middle - 4), (x, middle + 4), paint)
        return
    across = max(_LEAST, wide)
    paint = Paint(paint.line) if across < _THIN and what != "failed" else paint
    canvas.rect(left, middle - _BAR / 2, across, _BAR, paint, radius=2 if across > _THIN else 0)
    if what == "failed":
        canvas.cross(left + across / 2, middle, 4, Paint("none", "bad-line", 1.6))


def _legend(sheet: _Sheet, rows: Sequence[PathSpans], y: float, *, branched: bool) -> float:
    """Draw the meaning of what is there; return where the sheet ends."""
    canvas, spans = sheet.canvas, [span for row in rows for span in row.spans]
    x, right = MARGIN, sheet.scale.stretches[-1].right
    shown: list[What] = [what for what in _BARS if any(span.what == what for span in spans)]
    for what in shown:
        words = _BARS[what][1]
        wide = 26 + measure(words, SMALL) + 18
        if x + wide > right and x > MARGIN:
            x, y = MARGIN, y + 20
        _bar(canvas, what, x, 20, y)
        canvas.soft(x + 26, y + 4, words)
        x += wide
    signs = [
        "between dashed lines: time drawn short" if sheet.scale.breaks() else "",
        "columns: many visits, as high as the part of the time at work"
        if any(_narrow(sheet, row) for row in rows)
        else "",
        "long dashes: branched off; what is before is shared" if branched else "",
    ]
    words = "; ".join(filter(None, signs))
    if words:
        y += 20
        canvas.soft(MARGIN, y + 4, words)
    return y + 20
