"""Draw the timeline of a run: a row for each path, with bars for attempts, waits and pauses, and with times and costs.

`graphengine.records.visits` reads the visits, their waits, and the maps and graphs inside them.

- Long idle times are *squeezed*: they are drawn with a fixed width and their length is written above them, so that the
  work remains visible. All other times are drawn to one scale.
- If attempts are too many or too narrow for a bar each, they are drawn as columns. The height of a column shows the
  share of the time during which the node was at work.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from graphengine.kernel.extension import add_usage
from graphengine.kernel.inside import without_items
from graphengine.kernel.reader import Attempt, Failed, Node, Usage, Waiting, show, usage_of
from graphengine.records.step_queries import falls_back
from graphengine.records.words import counted, seconds, when
from graphengine.render.amounts import nice_seconds, paid, priced
from graphengine.render.charts.canvas import MARGIN, SMALL, Canvas, Paint, fit, measure
from graphengine.render.files import RenderError
from graphengine.render.text import one_line
from graphengine.render.trace import standing, visits_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphengine.kernel.reader import Step
    from graphengine.records.visit_tree import Entry, Milestone, Nested, Visit, WaitTime
    from graphengine.records.visits import Visits
    from graphengine.render.charts.canvas import Chart

What: TypeAlias = Literal["work", "failed", "fallback", "wait", "pause", "inside", "begun"]
"""The kind of a time in a row.

`work` is a successful attempt, `failed` a failed attempt, and `fallback` the result of a fallback. `wait` is a wait for
a person, a message or a time, and `pause` is the time before another attempt. `inside` is the time of a map or a graph,
and `begun` is work that has not ended yet.
"""

ITEM_ROWS: Final = 12
"""The maximum number of items of one map that get a row each. If there are more, they are drawn as columns in one row.
"""

_SHOWN: Final = ("node", "item", "attempt", "failed", "waiting", "recorded")
_WORKED: Final = 0.0005
"""If a node worked for fewer seconds before it waited, no work is shown, because it only asked its question."""
_AXIS: Final = 640.0
_NAMES_MOST: Final = 230.0
_TOP: Final = 112.0
"""The vertical position at which the rows begin."""
_ROW: Final = 22.0
_BAR: Final = 14.0
_INDENT: Final = 12.0
_LEAST: Final = 2.5
"""The smallest width of a bar."""
_THIN: Final = 4.0
"""Bars that are narrower than this are drawn in the colour of the line only."""
_MANY: Final = 100
"""If a row has at least so many visits that are narrower than a pixel, these visits are drawn as columns."""
_COLUMN: Final = 2.0
"""The width of a column, in pixels."""
_ITEM: Final = re.compile(r"\[\d+\]")
_DENSE: Final = ("work", "failed", "fallback")
_BUSY: Final = (*_DENSE, "begun")
_IDLE_MOST: Final = 3
"""If all idle times together are longer than this multiple of the total work, long idle times are squeezed."""
_LONG: Final = 0.03
"""Idle times that are shorter than this fraction of the whole time are never squeezed."""
_SQUEEZED_PIXELS: Final = 34.0
_MARK_PIXELS: Final = 80.0
"""The smallest distance between two marks on the axis, in pixels."""

_BARS: Final[Mapping[What, tuple[Paint, str]]] = {
    "work": (Paint("work", "work-line"), "work"),
    "failed": (Paint("bad", "bad-line", 1.4), "a failed attempt"),
    "fallback": (Paint("fell", "fell-line"), "the fallback's result"),
    "wait": (Paint("wait", "wait-line", 1.0, "4 3"), "waits"),
    "pause": (Paint("none", "soft", 1.4, "1 3"), "pause before another attempt"),
    "inside": (Paint("none", "soft", 1.6), "a graph or map, whose parts are below"),
    "begun": (Paint("none", "work-line", 1.4, "2 2"), "not ended yet"),
}


# --- Rows and their spans of time -----------------------------------------------------------------------------------


class Span(NamedTuple):
    """One bar of a timeline. It stands for a time in which a node worked, waited, or did something else.

    Attributes:
        what: The kind of the bar, such as work or a wait.
        start: When the bar begins, in epoch seconds.
        end: When the bar ends, in epoch seconds. It is not before `start`.
        seq: The step with which this time ended; 0 if it has not ended.
        said: The description of the bar in words.
    """

    what: What
    start: float
    end: float
    seq: int
    said: str

    @property
    def seconds(self) -> float:
        """The duration of the span."""
        return self.end - self.start


@dataclass(slots=True)
class TimelineRow:
    """One row of a timeline, with the bars for one node or map item.

    Attributes:
        path: The path of the node, such as `pieces[1]/write` for the node `write` in an item of the map `pieces`. If
            many items share a row, it is `pieces[…]/write`.
        spans: The bars, in the order in which they ended.
        visits: The number of visits, or of items, that ended.
        usage: The usage of models at the path.
        items: The number of items that share the row.
    """

    path: str
    spans: list[Span] = field(default_factory=list)
    visits: int = 0
    usage: Usage = field(default_factory=Usage)
    items: int = 1


def lay_out_rows(run: Visits) -> list[TimelineRow]:
    """Return the rows of a run's timeline, one for each node or map item.

    The rows of nodes inside a nested graph follow the row of the node that contains the graph. Other rows are in the
    order in which the nodes began.
    """
    many = Counter(without_items(path) for path in {visit.path for visit in run.visits} if "[" in path)
    rows: dict[str, TimelineRow] = {}

    def row_of(visit: Visit) -> TimelineRow:
        path, count = visit.path, many[without_items(visit.path)]
        is_shared = count > ITEM_ROWS and path != without_items(path)
        path = _ITEM.sub("[…]", path) if is_shared else path
        return rows.setdefault(path, TimelineRow(path, items=count if is_shared else 1))

    for entry in run.entries:
        visit, usage = entry.visit, usage_of(entry.step)
        if visit is not None and (usage or entry.step.kind in _SHOWN):
            row = row_of(visit)
            row.usage = add_usage(row.usage, usage) if usage else row.usage
            row.spans += _spans(entry)
    now = run.snapshot.now
    for visit in run.visits:
        if visit.completed:
            row_of(visit).visits += 1
        for what, words, stay in _stays(visit):
            end = now if stay.until is None else stay.until
            text = words if stay.until is not None else f"{words}, not over yet"
            row_of(visit).spans.append(Span(what, stay.since, end, stay.end, text))
    for row in rows.values():
        row.spans.sort(key=lambda span: span.seq or math.inf)
    for visit in _visits_in_progress(run):
        words = f"visit {visit.number} has not ended yet"
        row_of(visit).spans.append(Span("begun", min(now, visit.ready), now, 0, words))
    ended_visits = [entry.visit for entry in run.entries if entry.visit is not None]
    return _in_order_of_the_tree(rows.values(), [*ended_visits, *run.visits])


def _in_order_of_the_tree(rows: Iterable[TimelineRow], visits: Sequence[Visit]) -> list[TimelineRow]:
    """Sort the rows of a timeline so that each row follows the row of the node around it.

    The items of a map are in the order of the list. Other rows are in the order in which their nodes began.
    """
    first: dict[str, int] = {}
    for visit in visits:
        for around in _list_enclosing_paths(visit.path):
            item = re.search(r"\[(\d+)\]$", around)
            first.setdefault(around, int(item[1]) if item else len(first))
    return sorted(rows, key=lambda row: [first.get(each, 0) for each in _list_enclosing_paths(row.path)])


def _visits_in_progress(run: Visits) -> Iterator[Visit]:
    for frame in run.snapshot.frames.values() if run.snapshot.status == "running" else ():
        visit = run.live[frame.id].visit
        if visit is not None and visit.status == "open" and not visit.waiting and visit.nested is None:
            yield visit


def _spans(entry: Entry) -> Iterator[Span]:
    """Yield the bars that one step adds to a timeline.

    These are a bar for the attempt that the step ended, and a bar for the pause before the next attempt. A successful
    attempt has no bar if the visit waited or contained a map or a subgraph, because these have bars of their own.
    """
    step, facts, words = entry.step, entry.step.data, _describe_entry(entry)
    failed = isinstance(facts, (Attempt, Failed))
    start = step.at if entry.was_held else min(step.began or step.at, step.at)
    if isinstance(facts, Waiting) and not entry.was_held:
        if step.at - start > _WORKED:
            yield Span("work", start, step.at, step.seq, f"{words}, then it waited")
    elif isinstance(facts, (Node, Attempt, Failed)) and (failed or not entry.was_held):
        yield Span("failed" if failed else "fallback" if falls_back(step) else "work", start, step.at, step.seq, words)
    if isinstance(facts, Attempt) and facts.due_at is not None and facts.due_at > step.at:
        yield Span("pause", step.at, facts.due_at, step.seq, "pause before another attempt")


def _stays(visit: Visit) -> Iterator[tuple[What, str, WaitTime | Nested]]:
    """Yield the bars that show in a timeline what a visit to a node waited for, or that it ran a map or a nested graph.

    Waits that began together are shown as one bar.
    """
    for _, waits in groupby(visit.waits, key=lambda wait: wait.seq):
        every = list(waits)
        yield "wait", "; ".join(f"waits {_for(w.kind)}: {one_line(w.question or w.name)}" for w in every), every[0]
    for nested in visit.insides:
        is_map = nested.kind == "map"
        yield "inside", f"a map over {nested.count} items" if is_map else f"a graph, visit {visit.number}", nested


def _why_not_driven(turn: Milestone) -> str:
    if turn.kind == "branched" or turn.crashed:
        return "branched off" if turn.kind == "branched" else "interrupted"
    return {"stopped": "stopped", "failed": "failed", "waiting": "waiting"}.get(turn.status, "not driven")


def _for(kind: str) -> str:
    return {"ask": "for an answer", "receive": "for a message", "sleep": "for a time"}.get(kind, "for a decision")


def _describe_entry(entry: Entry) -> str:
    """Describe in words how an attempt of a node ended, as a text for a timeline.

    The words name the step, the visit, the failure if there was one, and the next node.
    """
    step, failure = entry.step, entry.step.data.error
    visit = f"visit {step.visit}" if step.kind != "item" else "done"
    if step.attempt > 1:
        visit += f", attempt {step.attempt}"
    if failure is not None and step.kind in ("attempt", "failed"):
        visit += f" failed: {failure.kind}: {one_line(show(failure.message))}"
    elif falls_back(step):
        visit += ", the fallback replaced its result"
    then = f", then {', '.join(entry.edge.to)}" if entry.edge is not None else ""
    return f"step {step.seq}, {visit}{then}"


def _list_enclosing_paths(path: str) -> list[str]:
    """Return a path and all paths around it: `pieces`, `pieces[1]`, `pieces[1]/write`."""
    return [path[: end.start()] for end in re.finditer(r"/|\[|$", path)]


# --- The axis --------------------------------------------------------------------------------------------------------


class Stretch(NamedTuple):
    """A part of a time axis in which every second has the same width.

    The part shows the time from `start` to `end` (in epoch seconds) between the places `left` and `right` (in pixels).
    """

    start: float
    end: float
    left: float
    right: float
    squeezed: bool


@dataclass(frozen=True, slots=True)
class Scale:
    """The time axis of a chart.

    A long time in which no node worked can be *squeezed*: it is drawn narrower than its length.

    Attributes:
        stretches: The parts of the axis, one after the other. Every second part is squeezed.
        step: The seconds between two marks.
    """

    stretches: Sequence[Stretch]
    step: float

    def x(self, at: float) -> float:
        """Return the place of a time on the horizontal axis, in pixels from the left border of the picture."""
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
        """The parts of the time axis that are squeezed because no node was at work."""
        return [part for part in self.stretches if part.squeezed]

    def marks(self) -> Iterator[tuple[float, str]]:
        """Yield the marks of the time axis: their places in pixels, and their texts.

        Squeezed parts of the axis have no marks inside. The part after a squeezed part begins with a mark for the whole
        time until there, and its other marks count from this mark, such as `+10 s`.
        """
        zero = self.stretches[0].start
        for part in self.stretches[::2]:
            if part.end <= part.start > zero:
                continue
            yield part.left, seconds(part.start - zero) if part.start > zero else "0"
            for number in range(1, int((part.end - part.start) / self.step + 1e-6) + 1):
                time = number * self.step
                yield self.x(part.start + time), f"{'+' if part.start > zero else ''}{seconds(time)}"


def scale_of(start: float, end: float, busy: Iterable[tuple[float, float]], left: float, right: float) -> Scale:
    """Create a time axis, on which long times without work are squeezed.

    Args:
        start: The first time that is shown, in epoch seconds.
        end: The last time that is shown, in epoch seconds.
        busy: The times at which nodes were at work, in any order. The times between them can be squeezed.
        left: The place of the first time, in pixels.
        right: The place of the last time, in pixels.
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


# --- The picture -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What all functions that draw one timeline need: the canvas, the time axis, and the width of the names."""

    canvas: Canvas
    scale: Scale
    names: float

    def wide(self, span: Span) -> float:
        """Return the width of a bar of a timeline, in pixels."""
        return self.scale.x(span.end) - self.scale.x(span.start)


def timeline(steps: Sequence[Step], status: str = "") -> Chart:
    """Draw the timeline of a run.

    Each path has a row. Each item of a map has its own row, if the map has at most `ITEM_ROWS` items. The timeline is
    computed from the steps alone.

    Args:
        steps: All steps of the run from seq 1 on, including the steps that it shares with its parents.
        status: The status of the run from the store, if it says more than the steps.

    Raises:
        RenderError: The list of steps is empty, or the steps do not follow each other from 1 on.
    """
    if not steps:
        message = "the list of steps is empty, and a timeline needs the steps of a run"
        raise RenderError(message, where="steps=", repair="pass the steps of a run")
    run = visits_of(steps)
    rows = lay_out_rows(run)
    facts = [_describe_row(row) for row in rows]
    spans = [span for row in rows for span in row.spans]
    names = min(_NAMES_MOST, max((measure(_name_of_row(row)) + _indent(row) for row in rows), default=0.0))
    left = MARGIN + names + 12
    right = left + _AXIS
    across = right + max((measure(text, SMALL) for text in facts), default=0.0) + MARGIN + 12
    began = min([steps[0].at, *(span.start for span in spans)])
    end = max([began, run.snapshot.now, *(span.end for span in spans if span.what != "pause")])
    scale = scale_of(began, end, [(s.start, s.end) for s in spans if s.what in _BUSY], left, right)
    sheet, back = _Sheet(Canvas(), scale, names), [turn for turn in run.turns if turn.kind in ("branched", "resumed")]
    gaps = [(turn.since, turn.at, _why_not_driven(turn)) for turn in back if turn.at > turn.since]
    canvas, down = sheet.canvas, _TOP + len(rows) * _ROW
    title, subtitle = (
        one_line(run.snapshot.graph) or "graph",
        f"run {run.snapshot.run_id}: {standing(run.snapshot, status)}",
    )
    canvas.heading(across, title, subtitle, _totals(run, rows, gaps, began))
    canvas.stripes(_TOP, across, _ROW, len(rows))
    canvas.axis([*scale.marks()], _TOP - 6, down)
    _draw_breaks(sheet, gaps, down)
    for index, (row, text) in enumerate(zip(rows, facts, strict=True)):
        _draw_row(sheet, row, text, _TOP + (index + 0.5) * _ROW)
        canvas.soft(right + 12, _TOP + (index + 0.5) * _ROW + 4, text)
    canvas.spoken += [_gap_in_words(scale, *gap) for gap in gaps]
    branched = [turn for turn in back if turn.kind == "branched"]
    for turn in branched:
        canvas.spoken.append(f"run {turn.run_id} branched off at step {turn.seq - 1}")
        with canvas.title_group(canvas.spoken[-1]):
            canvas.line((scale.x(turn.at), _TOP - 6), (scale.x(turn.at), down + 6), Paint("none", "ink", 1.6, "6 3"))
    down = _legend(sheet, rows, down + 20, branched=bool(branched))
    return canvas.done(f"Timeline of {title}, {subtitle}", across, down)


def _totals(run: Visits, rows: Sequence[TimelineRow], gaps: Sequence[tuple[float, float, str]], began: float) -> str:
    usage: Usage = {}
    for row in rows:
        usage = add_usage(usage, row.usage)
    waited = sum(span.seconds for row in rows for span in row.spans if span.what == "wait")
    idle = sum(end - start for start, end, why in gaps if why != "waiting")
    parts = [counted(len(run.entries), "step"), f"{seconds(run.snapshot.elapsed_seconds)} driven"]
    parts += [f"{seconds(waited)} of waits"] if waited else []
    parts += [f"{seconds(idle)} not driven"] if idle else []
    return ", ".join([*parts, *filter(None, [paid(usage)]), f"began {when(began, UTC)}"])


def _name_of_row(row: TimelineRow) -> str:
    return row.path.rpartition("/")[2]


def _indent(row: TimelineRow) -> float:
    return _INDENT * (row.path.count("/") + ("[" in _name_of_row(row)))


def _describe_row(row: TimelineRow) -> str:
    """Describe a row of a timeline in words, such as the number of visits, the time, and the cost."""
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


def _draw_breaks(sheet: _Sheet, gaps: Sequence[tuple[float, float, str]], bottom: float) -> None:
    """Mark the parts of the time axis that are squeezed because no node worked.

    Each is a blank space between dashed lines, with the length of the time above.
    """
    free, top = 0.0, _TOP - 4
    for part in sheet.scale.breaks():
        why = next((why for start, end, why in gaps if start < part.end and end > part.start), "nothing to do")
        text, middle = seconds(part.end - part.start), (part.left + part.right) / 2
        with sheet.canvas.title_group(_gap_in_words(sheet.scale, part.start, part.end, why)):
            sheet.canvas.rect(part.left, top, part.right - part.left, bottom - top, Paint("paper"))
            for x in (part.left, part.right):
                sheet.canvas.line((x, top), (x, bottom), Paint("none", "soft", 1.0, "3 2"))
            if middle - measure(text, SMALL) / 2 >= free:
                sheet.canvas.text(middle, _TOP - 24, text, size=SMALL, anchor="middle")
                free = middle + measure(text, SMALL) / 2 + 6


def _gap_in_words(scale: Scale, start: float, end: float, why: str) -> str:
    is_short = any(part.start < end and part.end > start for part in scale.breaks())
    return f"{seconds(end - start)} {why}" + (", drawn short" if is_short else "")


def _draw_row(sheet: _Sheet, row: TimelineRow, facts: str, middle: float) -> None:
    """Draw one row of a timeline: the name and the bars. Many narrow bars are drawn as columns, see `_draw_columns`."""
    canvas, indent = sheet.canvas, _indent(row)
    problems = "; ".join(span.said for span in row.spans if span.what == "failed")
    spoken = f"{row.path}: {facts}" + (f" ({problems})" if problems and row.items == 1 else "")
    canvas.spoken.append(spoken)
    with canvas.title_group(spoken):
        canvas.text(MARGIN + indent, middle + 4, fit(_name_of_row(row), sheet.names - indent))
    dense = _list_dense(sheet, row)
    _draw_columns(sheet, middle, dense, row.items)
    columns = {*dense}
    bars = [span for span in row.spans if span not in columns]
    for span in sorted(bars, key=lambda span: (span.what not in ("inside", "pause"), span.start, span.seq)):
        left, wide = sheet.scale.x(span.start), sheet.wide(span)
        with canvas.title_group(f"{span.said}; {seconds(span.seconds)}", span.seq):
            _bar(canvas, span.what, left, wide, middle)
            text = seconds(span.seconds)
            if span.what in ("work", "fallback", "wait") and measure(text, 10) + 8 <= wide:
                canvas.text(left + wide / 2, middle + 3.5, text, size=10, anchor="middle")


def _list_dense(sheet: _Sheet, row: TimelineRow) -> list[Span]:
    """Return the attempts of a row that must be drawn as columns, because they are too many or too short for bars."""
    narrow = [span for span in row.spans if span.what in _DENSE and (row.items > 1 or sheet.wide(span) < 1)]
    return narrow if row.items > 1 or len(narrow) >= _MANY else []


def _draw_columns(sheet: _Sheet, middle: float, spans: Iterable[Span], items: int) -> None:
    """Draw bars that are too narrow to be seen one by one as columns.

    The height of a column shows how much of the time nodes were at work. If many items share the row, the busiest
    column has the full height. A column in which an attempt failed gets the colour of failures at its top.
    """
    columns: dict[int, list[tuple[Span, float]]] = {}
    for span in spans:
        left, right = sheet.scale.x(span.start), sheet.scale.x(span.end)
        for column in range(int(left // _COLUMN), int(right // _COLUMN) + 1):
            wide = min(right, (column + 1) * _COLUMN) - max(left, column * _COLUMN)
            columns.setdefault(column, []).append((span, wide))
    worked = {column: sum(wide for _, wide in inside) / _COLUMN for column, inside in columns.items()}
    most = max(worked.values(), default=1.0) if items > 1 else 1.0
    for column, inside in columns.items():
        failed = sum(span.what == "failed" for span, _ in inside)
        words = f"{counted(len(inside), 'attempt')} at work" + (f", {failed} failed" if failed else "")
        with sheet.canvas.title_group(words, min(span.seq for span, _ in inside)):
            high = max(_LEAST, _BAR * min(1.0, worked[column] / (most or 1.0)))
            x, bottom = column * _COLUMN, middle + _BAR / 2
            sheet.canvas.rect(x, bottom - high, _COLUMN, high, Paint("work-line"))
            if failed:
                sheet.canvas.rect(x, bottom - _BAR, _COLUMN, 3, Paint("bad-line"))


def _bar(canvas: Canvas, what: What, left: float, wide: float, middle: float) -> None:
    """Draw one bar of a timeline.

    Work and waits are drawn as boxes. Pauses, maps and nested graphs are drawn as lines.
    """
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


def _legend(sheet: _Sheet, rows: Sequence[TimelineRow], y: float, *, branched: bool) -> float:
    """Draw the legend of a timeline, which explains the kinds of bars in it.

    Returns:
        The height at which the chart ends.
    """
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
        if any(_list_dense(sheet, row) for row in rows)
        else "",
        "long dashes: branched off; what is before is shared" if branched else "",
    ]
    words = "; ".join(filter(None, signs))
    if words:
        y += 20
        canvas.soft(MARGIN, y + 4, words)
    return y + 20
