"""Numbers of a run over its iterations: a small line chart for each path, with the thresholds of the conditions."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, isfinite
from typing import TYPE_CHECKING, Final

from graphengine.render.amounts import nice, plain_number
from graphengine.render.charts.canvas import MARGIN, SMALL, Canvas, Ink, Paint, fit, measure
from graphengine.render.charts.samples import series_of, watched_of
from graphengine.render.scopes import path_at
from graphengine.render.text import one_line
from graphengine.render.trace import standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.outline import Outline
    from graphengine.engine.steps import Step
    from graphengine.render.charts.canvas import Chart
    from graphengine.render.charts.samples import Sample, Series, Watched

PANELS: Final = 6
"""The most paths that are drawn; others are only named."""

_PLOT: Final = 520.0
_HIGH: Final = 150.0
_LEFT: Final = MARGIN + 40
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
    ("grid", "soft", "1 2"),
)
"""How the lines of one panel differ; further ones are as the last."""


def scores(outline: Outline, steps: Sequence[Step], path: str = "", column: float = 0.0) -> Chart:
    """Draw how numbers of the state changed from step to step that wrote them.

    Args:
        outline: The graph's outline, from its plan or from a store.
        steps: All steps of the run from seq 1 on, including those of its parents.
        path: The path of a number, as `history[-1].score`, or `article/score` in the graph that is the node `article`.
            "" draws those that conditions compare with a number or watch for a plateau.
        column: The width of the part of a page that it is for, in pixels, which has a heading of its own; 0 for a
            picture by itself.

    Raises:
        RenderError: The path is invalid, no condition reads a number, the steps form no run, or none wrote a number.
    """
    watched = watched_of(outline, path)
    snapshot, found = series_of(steps, watched)
    panels = [(one, mine) for one in watched if (mine := [series for series in found if series.watched == one])]
    canvas, plot = Canvas(), max(100.0, column - _LEFT - _LABELS) if column else _PLOT
    across, y = _LEFT + plot + _LABELS, 8.0 if column else 66.0
    name, status = one_line(snapshot.graph) or "graph", f"run {snapshot.run_id}: {standing(snapshot)}"
    if not column:
        canvas.heading(across, name, status)
    for one, mine in panels[:PANELS]:
        y = _Panel(canvas, one, mine, y, plot).draw()
    if len(panels) > PANELS:
        more = f"not drawn: {', '.join(path_at(one.place, one.text) for one, _ in panels[PANELS:])}; name one to see it"
        canvas.soft(MARGIN, y + 4, fit(more, across - 2 * MARGIN, SMALL))
        canvas.spoken.append(more)
        y += 18
    return canvas.done(f"Scores of {name}, {status}", across, y + 8)


@dataclass(slots=True)
class _Panel:
    """The drawing of one path.

    Attributes:
        y: Where it begins, in pixels.
        plot: The width of the lines.
        marks: Round numbers from below the least value to above the greatest.
        taken: The places of the labels beside it.
    """

    canvas: Canvas
    one: Watched
    found: Sequence[Series]
    y: float
    plot: float
    marks: Sequence[float] = ()
    taken: tuple[float, ...] = ()

    def draw(self) -> float:
        """Draw it; return where the next begins."""
        canvas, one, right = self.canvas, self.one, _LEFT + self.plot
        title = path_at(one.place, one.text)
        canvas.text(MARGIN, self.y + 8, fit(title, self.plot, strong=True), strong=True)
        room = right + _LABELS - MARGIN - min(self.plot, measure(title, strong=True)) - 20
        canvas.soft(right + _LABELS, self.y + 8, fit(one.plateau, room, SMALL), "end")
        values = [sample.value for series in self.found for sample in series.samples]
        self.marks = _marks_of([*values, *(threshold.value for threshold in one.thresholds)])
        for value in self.marks:
            canvas.line((_LEFT, self._at(value)), (right, self._at(value)), Paint("none", "grid"))
            canvas.soft(_LEFT - 6, self._at(value) + 4, plain_number(value), "end")
        for threshold in one.thresholds:
            words = f"{_SIGNS.get(threshold.sign, threshold.sign)} {plain_number(threshold.value)}  {threshold.label}"
            with canvas.said(f"{one.text} {words}"):
                y = self._at(threshold.value)
                canvas.line((_LEFT, y), (right, y), Paint("none", "fell-line", 1.4, "6 4"))
                self._label(y, words.strip(), "fell-line")
        for index, series in reversed(list(enumerate(self.found))):  # the first is on top
            self._line(series, _LINES[min(index, len(_LINES) - 1)])
            samples = ", ".join(f"{_named(sample)}: {plain_number(sample.value)}" for sample in series.samples)
            canvas.spoken.append(f"{title}{f' of {series.name}' if series.name else ''}: {samples}")
        canvas.spoken += [f"{title} {t.sign} {plain_number(t.value)}: {t.label}" for t in one.thresholds if t.label]
        canvas.spoken += [f"{title} is {one.plateau}"] if one.plateau else []
        return self._iterations(max(self.found, key=lambda series: len(series.samples)).samples)

    def _at(self, value: float) -> float:
        """Return the height of a number."""
        least, most = self.marks[0], self.marks[-1]
        return self.y + 22 + _HIGH * (most - value) / (most - least)

    def _x(self, index: int) -> float:
        """Return the place of the sample with this index."""
        count, inset = max(len(series.samples) for series in self.found), 18.0
        return _LEFT + inset + (self.plot - 2 * inset) * (index / (count - 1) if count > 1 else 0.5)

    def _label(self, y: float, words: str, ink: Ink) -> None:
        """Write words beside a line, at the nearest free place."""
        places = sorted((y + 14 * offset for offset in range(-8, 9)), key=lambda place: abs(place - y))
        free = next((place for place in places if all(abs(place - other) >= 13 for other in self.taken)), y)  # noqa: PLR2004
        self.taken += (free,)
        self.canvas.text(_LEFT + self.plot + 8, free + 4, fit(words, _LABELS - 8, SMALL), ink=ink, size=SMALL)

    def _line(self, series: Series, look: tuple[Ink, Ink, str]) -> None:
        """Draw one series, and its last number, with its name if there are several."""
        canvas, samples, (fill, line, dash) = self.canvas, series.samples, look
        points = [(self._x(index), self._at(sample.value)) for index, sample in enumerate(samples)]
        if len(points) > 1:
            canvas.path(points, Paint("none", line, 2.0, dash))
        radius = 1.5 if len(points) > _DOTS else 4.0
        for (x, y), sample in zip(points, samples, strict=True):
            with canvas.said(f"{_named(sample)} at step {sample.seq}: {plain_number(sample.value)}", sample.seq):
                canvas.dot(x, y, radius, Paint(fill, line, radius / 2.5))
        (x, y), last = points[-1], plain_number(samples[-1].value)
        if len(self.found) > 1:
            self._label(y, f"{last} {series.name}", line)
        else:
            canvas.text(x, y - 9 if y > self.y + 36 else y + 18, last, anchor="middle", strong=True)

    def _iterations(self, samples: Sequence[Sample]) -> float:
        """Draw the names of the iterations; return where the panel ends."""
        names = [sample.node if len(self.found) == 1 else sample.node.rpartition("/")[2] for sample in samples]
        is_one = len({*names}) == 1
        y, free, each = self.y + _HIGH + 38, 0.0, max(1.0, nice(len(samples) / _NAMED))
        for index, sample in enumerate(samples):
            text = fit(str(sample.visit or sample.node) if is_one else _named(sample), 90, SMALL)
            half, x = measure(text, SMALL) / 2, self._x(index)
            if x - half >= free and (index == 0 or (index + 1) % each == 0):
                self.canvas.soft(x, y, text, "middle")
                free = x + half + 6
        if is_one:
            y += 16
            words = f"visit of {names[0]}" if samples[0].visit else names[0]
            self.canvas.soft(_LEFT + self.plot / 2, y, fit(words, self.plot, SMALL), "middle")
        return y + 22


def _named(sample: Sample) -> str:
    """Return the iteration of a sample."""
    return f"{sample.node} {sample.visit}" if sample.visit else sample.node


def _marks_of(values: Sequence[float]) -> list[float]:
    """Return round numbers from below the least value to above the greatest."""
    finite = [value for value in values if isfinite(value)] or [0.0]
    least, most = min(finite), max(finite)
    step = nice(((most - least) or abs(most) or 1.0) / 5)
    first, last = floor(least / step), ceil(most / step)
    if first == last:
        first, last = first - 1, last + 1
    return [round(number * step, 12) for number in range(first, last + 1)]
