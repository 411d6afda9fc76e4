"""Numbers of a run over its iterations: a small line chart for each path, with the thresholds of the conditions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.render.charts.canvas import SMALL, Canvas, Ink, Paint, fit, measure
from graphengine.render.charts.heading import heading_of
from graphengine.render.charts.samples import series_of, watched_of
from graphengine.render.charts.units import nice_count, plain_number
from graphengine.render.scopes import path_at
from graphengine.render.trace import visits_of
from graphengine.render.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.outline import Outline
    from graphengine.engine.steps import Step
    from graphengine.render.charts.canvas import Chart
    from graphengine.render.charts.samples import Sample, Series, Watched

PANELS: Final = 6
"""The most paths that are drawn; others are only named."""

_MARGIN: Final = 16.0
_PLOT: Final = 520.0
_HIGH: Final = 150.0
_GAP: Final = 22.0
_LABELS: Final = 190.0
_NAMED: Final = 20
"""The approximate number of iterations that are named below a panel, if there is room."""
_DOTS: Final = 60
"""The most samples with a large dot each."""
_SIGNS: Final = {">=": "\N{GREATER-THAN OR EQUAL TO}", "<=": "\N{LESS-THAN OR EQUAL TO}", "==": "="}
_LINES: Final[Sequence[tuple[Ink, Ink, str]]] = (
    ("work", "work-line", ""),
    ("other", "other-line", "6 3"),
    ("fell", "fell-line", "2 3"),
    ("wait", "wait-line", "8 3 2 3"),
    ("bad", "bad-line", "12 3"),
)
"""How the lines of one panel differ; further ones are grey."""
_GREY: Final[tuple[Ink, Ink, str]] = ("grid", "soft", "1 2")


def scores(outline: Outline, steps: Sequence[Step], path: str = "") -> Chart:
    """Draw how numbers of the state changed from step to step that wrote them.

    Args:
        outline: The graph's outline, from its plan or from a store.
        steps: All steps of the run from seq 1 on, including those of its parents.
        path: The path of a number, as `history[-1].score`, or `article/score` in the graph that is the node `article`.
            "" draws those that conditions compare with a number or watch for a plateau.

    Raises:
        RenderError: The path is invalid, no condition reads a number, the steps form no run, or none wrote a number.
    """
    watched = watched_of(outline, path)
    found = series_of(steps, watched)
    panels = [(one, mine) for one in watched if (mine := [series for series in found if series.watched == one])]
    canvas = Canvas()
    name, status = heading_of(visits_of(steps).snapshot)
    canvas.text(_MARGIN, 28, fit(name, _PLOT + _LABELS, 15, strong=True), size=15, strong=True)
    canvas.text(_MARGIN, 47, fit(status, _PLOT + _LABELS))
    spoken, y = [status], 66.0
    for one, mine in panels[:PANELS]:
        y = _panel(canvas, one, mine, y, spoken)
    if len(panels) > PANELS:
        left = ", ".join(path_at(one.place, one.text) for one, _ in panels[PANELS:])
        more = f"not drawn: {left}; name one to see it"
        canvas.text(_MARGIN, y + 4, fit(more, _PLOT + _LABELS, SMALL), ink="soft", size=SMALL)
        spoken.append(more)
        y += 18
    return canvas.done(f"Scores of {name}, {status}", spoken, 2 * _MARGIN + 40 + _PLOT + _LABELS, y + 8)


@dataclass(frozen=True, slots=True)
class _Axes:
    """The places of numbers in a panel."""

    left: float
    top: float
    least: float
    most: float
    count: int

    def x(self, index: int) -> float:
        """Return the place of the sample with this index."""
        inset = 18.0
        room = _PLOT - 2 * inset
        return self.left + inset + (room * index / (self.count - 1) if self.count > 1 else room / 2)

    def y(self, value: float) -> float:
        """Return the place of a number."""
        return self.top + _HIGH - _HIGH * (value - self.least) / (self.most - self.least)


def _panel(canvas: Canvas, one: Watched, found: Sequence[Series], y: float, spoken: list[str]) -> float:
    """Draw one path; return where the next begins."""
    title = path_at(one.place, one.text)
    canvas.text(_MARGIN, y + 8, fit(title, _PLOT, strong=True), strong=True)
    room = _PLOT + _LABELS - min(_PLOT, measure(title, strong=True)) - 20
    note = fit(one.plateau, room, SMALL)
    canvas.text(_MARGIN + 40 + _PLOT + _LABELS, y + 8, note, ink="soft", size=SMALL, anchor="end")
    values = [sample.value for series in found for sample in series.samples]
    marks = _marks_of([*values, *(threshold.value for threshold in one.thresholds)])
    axes = _Axes(_MARGIN + 40, y + 22, marks[0], marks[-1], max(len(series.samples) for series in found))
    for value in marks:
        canvas.line((axes.left, axes.y(value)), (axes.left + _PLOT, axes.y(value)), Paint("none", "grid"))
        canvas.text(axes.left - 6, axes.y(value) + 4, plain_number(value), ink="soft", size=SMALL, anchor="end")
    taken = _thresholds(canvas, axes, one)
    for index, series in reversed(list(enumerate(found))):  # the first is on top
        _line(canvas, axes, series, index)
    _names(canvas, axes, found, taken)
    for series in found:
        values_text = ", ".join(f"{_named(sample)}: {plain_number(sample.value)}" for sample in series.samples)
        spoken.append(f"{title}{f' of {series.name}' if series.name else ''}: {values_text}")
    spoken += [f"{title} {t.sign} {plain_number(t.value)}: {t.label}" for t in one.thresholds if t.label]
    spoken += [f"{title} is {one.plateau}"] if one.plateau else []
    return _below(canvas, axes, max(found, key=lambda series: len(series.samples)).samples, several=len(found) > 1)


def _thresholds(canvas: Canvas, axes: _Axes, one: Watched) -> list[float]:
    """Draw the numbers that conditions compare with; return the places of their words."""
    taken: list[float] = []
    for threshold in one.thresholds:
        at = axes.y(threshold.value)
        sign = _SIGNS.get(threshold.sign, threshold.sign)
        words = f"{sign} {plain_number(threshold.value)}" + (f"  {threshold.label}" if threshold.label else "")
        with canvas.said(f"{one.text} {words}"):
            canvas.line((axes.left, at), (axes.left + _PLOT, at), Paint("none", "fell-line", 1.4, "6 4"))
            text_at = _free(at, taken)
            fitted = fit(words, _LABELS - 8, SMALL)
            canvas.text(axes.left + _PLOT + 8, text_at + 4, fitted, ink="fell-line", size=SMALL)
    return taken


def _free(at: float, taken: list[float]) -> float:
    """Return the nearest free place for a line of words."""
    places = sorted((at + 14 * offset for offset in range(-8, 9)), key=lambda place: (abs(place - at), -place))
    found = next((place for place in places if all(abs(place - other) >= 13 for other in taken)), at)  # noqa: PLR2004
    taken.append(found)
    return found


def _line(canvas: Canvas, axes: _Axes, series: Series, index: int) -> None:
    fill, line, dash = _LINES[index] if index < len(_LINES) else _GREY
    points = [(axes.x(number), axes.y(sample.value)) for number, sample in enumerate(series.samples)]
    if len(points) > 1:
        canvas.path(points, Paint("none", line, 2.0, dash))
    small = len(points) > _DOTS
    for (x, y), sample in zip(points, series.samples, strict=True):
        with canvas.said(f"{_named(sample)} at step {sample.seq}: {plain_number(sample.value)}"):
            canvas.dot(x, y, 1.5 if small else 4, Paint(fill, line, 1.0 if small else 1.6))


def _names(canvas: Canvas, axes: _Axes, found: Sequence[Series], taken: list[float]) -> None:
    """Draw the last number of each line, with its series' name if there are several."""
    for index, series in enumerate(found[: len(_LINES)]):
        last = plain_number(series.samples[-1].value)
        x, y = axes.x(len(series.samples) - 1), axes.y(series.samples[-1].value)
        if not series.name and len(found) == 1:
            canvas.text(x, y - 9 if y > axes.top + 14 else y + 18, last, anchor="middle", strong=True)
            continue
        words = fit(f"{last} {series.name}", _LABELS - 8, SMALL)
        canvas.text(axes.left + _PLOT + 8, _free(y, taken) + 4, words, ink=_LINES[index][1], size=SMALL)
    if len(found) > len(_LINES):
        words = f"{len(found) - len(_LINES)} more, grey"
        canvas.text(axes.left + _PLOT + 8, _free(axes.top + _HIGH, taken) + 4, words, ink="soft", size=SMALL)


def _below(canvas: Canvas, axes: _Axes, samples: Sequence[Sample], *, several: bool) -> float:
    """Draw the names of the iterations; return where the panel ends."""
    nodes = dict.fromkeys(sample.node.rpartition("/")[2] if several else sample.node for sample in samples)
    one = len(nodes) == 1
    at = axes.top + _HIGH + 16
    free = 0.0
    each = nice_count(len(samples) / _NAMED)
    for index, sample in enumerate(samples):
        text = fit(str(sample.visit or sample.node) if one else _named(sample), 90, SMALL)
        wide = measure(text, SMALL)
        x = axes.x(index)
        if x - wide / 2 >= free and (index == 0 or (index + 1) % each == 0):
            canvas.text(x, at, text, ink="soft", size=SMALL, anchor="middle")
            free = x + wide / 2 + 6
    if one:
        node = next(iter(nodes))
        words = f"visit of {node}" if samples[0].visit else node
        canvas.text(axes.left + _PLOT / 2, at + 16, fit(words, _PLOT, SMALL), ink="soft", size=SMALL, anchor="middle")
        at += 16
    if len(samples) > _DOTS:
        count = counted(len(samples), "sample")
        canvas.text(axes.left + _PLOT, at, count, ink="soft", size=SMALL, anchor="end")
    return at + _GAP


def _named(sample: Sample) -> str:
    """Return the iteration of a sample."""
    return f"{sample.node} {sample.visit}" if sample.visit else sample.node


def _marks_of(values: Sequence[float]) -> list[float]:
    """Return round numbers from below the least value to above the greatest."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    least, most = min(finite), max(finite)
    span = (most - least) or abs(most) or 1.0
    size = 10.0 ** math.floor(math.log10(span / 4))
    step = next(size * part for part in (1, 2, 2.5, 5, 10, 20) if size * part * 5 >= span)
    first, last = math.floor(least / step), math.ceil(most / step)
    if first == last:
        first, last = first - 1, last + 1
    return [round(number * step, 12) for number in range(first, last + 1)]
