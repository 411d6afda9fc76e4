"""Two runs compared: both drawn on one graph, with a mark where they diverge, and their differences below.

`graphengine.history.load.diff` finds the differences; nothing is compared here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from graphengine.engine.steps import failure_of, outcome_of
from graphengine.render.charts.both import both_of
from graphengine.render.charts.canvas import SMALL, Canvas, Paint, fit, measure
from graphengine.render.charts.heading import standing
from graphengine.render.charts.panels import panel_of
from graphengine.render.charts.units import lasting, paid
from graphengine.render.drawing import drawing_of
from graphengine.render.legend import LEGEND_LINES
from graphengine.render.text import one_line, wrap
from graphengine.render.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphengine.engine.steps import Step
    from graphengine.history.load import Difference, RunDiff, Side
    from graphengine.render.charts.canvas import Chart
    from graphengine.render.charts.pair import Pair
    from graphengine.render.charts.panels import Panel
    from graphengine.state.json_values import JsonValue

ROWS: Final = 12
"""The most steps of each run, and the most differing fields, that are listed."""

_MARGIN: Final = 16.0
_LEAST: Final = 430.0
"""The least width of a side, so that its words have room."""
_GAP: Final = 24.0
_LINE: Final = 17.0
_NAMES: Final = ("A", "B")
_VALUE_BYTES: Final = 400


@dataclass(frozen=True, slots=True)
class _Column:
    """One side's room, in pixels."""

    left: float
    wide: float


def comparison(pair: Pair) -> Chart:
    """Draw two runs next to each other.

    Args:
        pair: The two runs, as `pair_of` returns them.

    Raises:
        RenderError: No painter for graphs is installed, or it failed.
    """
    found = pair.diff
    sides = (found.first, found.second)
    panels = _panels(pair, sides)
    wide = sum(panel.width for panel in panels) + _GAP * (len(panels) - 1)
    room = max(_LEAST, (wide - _GAP) / 2)
    columns = [_Column(_MARGIN, room), _Column(_MARGIN + room + _GAP, room)]
    across = columns[-1].left + room + _MARGIN
    canvas = Canvas()
    spoken = _head(canvas, found, columns, across)
    top, left = 128.0, (across - wide) / 2
    for panel in panels:
        canvas.raw(panel.placed(left, top))
        left += panel.width + _GAP
    y = top + max(panel.height for panel in panels) + 8
    signs = [sign for panel in panels for sign in panel.signs]
    if len(panels) == 1:
        signs.append("A, B: what one run did and the other did not, or how often each did it")
    y = _legend(canvas, dict.fromkeys(signs), across - 2 * _MARGIN, y) + 28
    y = _steps(canvas, sides, found.alike, columns, y, spoken)
    y = _fields(canvas, found.differences, columns, y, spoken)
    graph = one_line(found.first.info.graph) or "graph"
    title = f"Runs {found.first.info.id} and {found.second.info.id} of {graph} compared"
    return canvas.done(title, spoken, across, y)


def _panels(pair: Pair, sides: Sequence[Side]) -> list[Panel]:
    """Return both runs on their graph, or each on its own if the graph changed between them."""
    partings = {name: step for side, name in zip(sides, _NAMES, strict=True) if (step := _parting_of(side)) is not None}
    if pair.outlines[0] == pair.outlines[1]:
        return [panel_of(both_of(pair.outlines[0], *pair.steps), partings)]
    drawings = [
        drawing_of(outline, steps, detail="brief") for outline, steps in zip(pair.outlines, pair.steps, strict=True)
    ]
    own = [{"": partings[name]} if name in partings else {} for name in _NAMES]
    return [panel_of(drawing, marks) for drawing, marks in zip(drawings, own, strict=True)]


def _parting_of(side: Side) -> Step | None:
    """Return the first step that the other run did not take."""
    return next((step for step in side.path if step.seq == side.parts_at), None)


def _legend(canvas: Canvas, signs: Iterable[str], room: float, y: float) -> float:
    """Draw the meaning of the signs on both graphs."""
    for text in wrap("; ".join(signs), int(room / measure("n", SMALL)), LEGEND_LINES):
        y += _LINE
        canvas.text(_MARGIN, y, text, ink="soft", size=SMALL)
    return y


def _head(canvas: Canvas, found: RunDiff, columns: Sequence[_Column], across: float) -> list[str]:
    """Draw what they share, where they diverge, and each run's name and end; return it in words."""
    room = across - 2 * _MARGIN
    graph = one_line(found.first.info.graph) or "graph"
    parting = ", ".join(_parting(found))
    canvas.text(_MARGIN, 28, fit(f"{graph}: two runs", room, 15, strong=True), size=15, strong=True)
    canvas.text(_MARGIN, 47, fit(parting, room))
    spoken = [parting]
    since = "" if found.shared is None else " since they parted"
    for side, column, name in zip((found.first, found.second), columns, _NAMES, strict=True):
        words = f"{name}  {side.info.id}"
        cost = paid(side.spent)
        took = f"{counted(side.steps, 'visit')} in {lasting(side.seconds)}{since}" + (f", {cost}" if cost else "")
        if side.begins is not None and side.begins.update:
            took += f"; branched off with {', '.join(dict.fromkeys(str(op[1]) for op in side.begins.update))}"
        canvas.text(column.left, 80, fit(words, column.wide, 14, strong=True), size=14, strong=True)
        canvas.text(column.left, 98, fit(standing(side.snapshot), column.wide))
        canvas.text(column.left, 114, fit(took, column.wide, SMALL), ink="soft", size=SMALL)
        spoken.append(f"{words}: {standing(side.snapshot)}; {took}")
    return spoken


def _parting(found: RunDiff) -> Iterator[str]:
    """Yield where they diverge, in words."""
    first, second, shared = found.first, found.second, found.shared
    if shared is None:
        yield "they share no step"
    else:
        yield f"they share steps 1 to {shared.seq}"
    if found.alike:
        yield f"{'but' if shared is None else 'then'} went the same way for {counted(found.alike, 'step')}"
    where = [
        f"{name} at step {side.parts_at}"
        for name, side in zip(_NAMES, (first, second), strict=True)
        if side.parts_at is not None
    ]
    if where:
        yield f"and part: {', '.join(where)}"
    elif first.path or second.path:
        yield "and never part"


def _steps(  # noqa: PLR0913 - what is drawn where
    canvas: Canvas, sides: Sequence[Side], alike: int, columns: Sequence[_Column], y: float, spoken: list[str]
) -> float:
    """Draw the steps from where they diverge, with the edge that each took and why."""
    tails = [side.path[alike : alike + ROWS] for side in sides]
    if not any(tails):
        return y
    canvas.text(columns[0].left, y, "From where they part", strong=True)
    y += 8
    for row in range(max(map(len, tails))):
        if row % 2 == 0:
            wide = columns[-1].left + columns[-1].wide - columns[0].left
            canvas.rect(columns[0].left - 6, y, wide + 12, 2 * _LINE, Paint("stripe"), radius=3)
        for tail, column, name in zip(tails, columns, _NAMES, strict=True):
            if row < len(tail):
                strong, why = _step(tail[row])
                with canvas.said(f"{strong}: {why}" if why else strong):
                    canvas.text(column.left, y + 13, fit(strong, column.wide, strong=row == 0), strong=row == 0)
                    canvas.text(column.left, y + 28, fit(why, column.wide, SMALL), ink="soft", size=SMALL)
                spoken.append(f"{name}, {strong}" + (f": {why}" if why else ""))
            elif row == 0:
                canvas.text(column.left, y + 13, "ends before", ink="soft")
                spoken.append(f"{name} ends before")
        y += 2 * _LINE
    more = [f"{name}: {len(side.path) - alike - ROWS} more" for name, side in zip(_NAMES, sides, strict=True)
            if len(side.path) - alike > ROWS]  # fmt: skip
    if more:
        canvas.text(
            columns[0].left, y + 13, f"{'; '.join(more)} (`graphengine diff --json` has all)", ink="soft", size=SMALL
        )
        spoken += more
        y += _LINE
    return y + 30


def _step(step: Step) -> tuple[str, str]:
    """Return a step and its target, and the explanation."""
    outcome, failure = outcome_of(step), failure_of(step)
    text = f"step {step.seq}  {step.path}" + (f" {step.visit}" if step.visit > 1 else "")
    text += {"node": "", "item": " done", "attempt": " failed, tried again"}.get(step.kind, f" {step.kind}")
    if outcome.to:
        text += f" \N{RIGHTWARDS ARROW}  {', '.join(outcome.to)}" + (f"  [{outcome.edge}]" if outcome.edge else "")
    why = outcome.why or (f"{failure.kind}: {failure.message}" if failure is not None else "")
    return one_line(text), one_line(why)


def _fields(
    canvas: Canvas, found: Sequence[Difference], columns: Sequence[_Column], y: float, spoken: list[str]
) -> float:
    """Draw what differs between their states, field by field."""
    left, wide = columns[0].left, columns[-1].left + columns[-1].wide - columns[0].left
    heading = f"Their states differ in {counted(len(found), 'place')}" if found else "Their states are the same"
    canvas.text(left, y, heading, strong=True)
    spoken.append(heading)
    y += 8
    names = min(wide / 4, max((measure(each.path, SMALL) for each in found[:ROWS]), default=0.0)) + 14
    room = (wide - names) / 2 - 12
    for row, each in enumerate(found[:ROWS]):
        if row % 2 == 0:
            canvas.rect(left - 6, y, wide + 12, _LINE + 3, Paint("stripe"), radius=3)
        values = _short(each.before), _short(each.after)
        with canvas.said(f"{each.path}: A {values[0]}; B {values[1]}"):
            canvas.text(left, y + 14, fit(each.path, names - 8, SMALL), size=SMALL, strong=True)
            for index, (name, value) in enumerate(zip(_NAMES, values, strict=True)):
                x = left + names + index * (room + 12)
                canvas.text(x, y + 14, name, ink="soft", size=SMALL)
                canvas.text(x + 14, y + 14, fit(value, room - 14, SMALL), size=SMALL)
        spoken.append(f"{each.path}: A {values[0]}; B {values[1]}")
        y += _LINE + 3
    if len(found) > ROWS:
        canvas.text(left, y + 14, f"{len(found) - ROWS} more; `graphengine diff` has all", ink="soft", size=SMALL)
        y += _LINE
    return y + 16


def _short(value: JsonValue) -> str:
    """Return a value in one line; a missing one is `none`."""
    if value is None:
        return "none"
    return one_line(to_json(value)[:_VALUE_BYTES].decode("utf-8", "ignore"))
