"""The picture of an evaluation: a panel for each scorer, a row for each case, a dot for each version.

A filled dot is the graph, a ring the other version; the line between them shows the change. A cross is a case whose
graph failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.render.charts.canvas import MARGIN, SMALL, Canvas, Ink, Paint, fit
from graphengine.render.words import counted

if TYPE_CHECKING:
    from graphengine.render.charts.canvas import Chart
    from graphengine.testing.evaluation.report import Report, TrialReport

_NAMES: Final = 220.0
_PLOT: Final = 420.0
_VALUES: Final = 110.0
_ROW: Final = 20.0
_DOT: Final = 5.0
MOST_ROWS: Final = 200
"""The most cases of a panel; those with the greatest change, or the lowest scores, are drawn."""


def picture(report: Report) -> Chart:
    """Draw the scores of all cases, and how they differ between two versions.

    Args:
        report: The report.

    Returns:
        The chart; `graphengine.render.charts.write_chart` writes it to a file.
    """
    canvas = Canvas()
    width = 2 * MARGIN + _NAMES + _PLOT + _VALUES
    title = f"Evaluation of {report.graph}"
    cases = counted(len(report.subject.trials), "case")
    names = " against ".join(version.name for version in report.versions)
    canvas.heading(width, title, f"{cases}, {names}")
    y = _key(canvas, report, 64.0)
    for scorer in report.scorers:
        y = _panel(canvas, report, scorer, y + 14)
    return canvas.done(title, width, y + 10)


def _key(canvas: Canvas, report: Report, y: float) -> float:
    if report.against is None:
        return y
    x = MARGIN + _DOT
    for index, version in enumerate(report.versions):
        name = fit(version.name, 220, SMALL)
        _dot(canvas, x, y, index)
        canvas.text(x + 12, y + 4, name, size=SMALL)
        x += 250
    return y + 12


def _panel(canvas: Canvas, report: Report, scorer: str, y: float) -> float:
    """Draw one scorer; return where the next begins."""
    canvas.text(MARGIN, y + 8, fit(scorer, _NAMES, strong=True), strong=True)
    left = MARGIN + _NAMES
    heads = " → ".join(_shown(version.means[scorer]) for version in reversed(report.versions))
    canvas.text(left + _PLOT + 14, y + 8, heads, size=SMALL, strong=True)
    canvas.spoken.append(f"{scorer}: mean {heads}")
    rows = _rows(report, scorer)
    top, bottom = y + 18, y + 18 + _ROW * len(rows)
    for tenth in (0, 0.25, 0.5, 0.75, 1):
        x = left + _PLOT * tenth
        canvas.line((x, top), (x, bottom), Paint("none", "grid"))
        canvas.text(x, bottom + 14, f"{tenth:g}", ink="soft", size=SMALL, anchor="middle")
    for index, version in enumerate(report.versions):
        mean = version.means[scorer]
        if mean is not None:
            x = left + _PLOT * mean
            canvas.line((x, top), (x, bottom), Paint("none", _inks(index)[1], 1.4, "6 3" if index else ""))
    for number, trials in enumerate(rows):
        _row(canvas, scorer, trials, top + _ROW * (number + 0.5))
    left_out = len(report.subject.trials) - len(rows)
    if left_out:
        canvas.text(MARGIN, bottom + 14, f"{counted(left_out, 'case')} not drawn", ink="soft", size=SMALL)
    return bottom + 22


def _rows(report: Report, scorer: str) -> list[list[TrialReport]]:
    """Return the trials of each case to draw, in the order of the cases."""
    rows = [list(trials) for trials in zip(*(version.trials for version in report.versions), strict=True)]
    if len(rows) <= MOST_ROWS:
        return rows

    def weight(row: list[TrialReport]) -> float:
        values = [trial.value(scorer) or 0.0 for trial in row]
        return -abs(values[0] - values[-1]) if len(row) > 1 else values[0]

    kept = set(sorted(range(len(rows)), key=lambda index: weight(rows[index]))[:MOST_ROWS])
    return [row for index, row in enumerate(rows) if index in kept]


def _row(canvas: Canvas, scorer: str, trials: list[TrialReport], y: float) -> None:
    left = MARGIN + _NAMES
    values = [trial.value(scorer) for trial in trials]
    words = " → ".join("failed" if trial.failure else _shown(trial.value(scorer)) for trial in reversed(trials))
    canvas.text(MARGIN, y + 4, fit(trials[0].case, _NAMES - 16, SMALL), size=SMALL)
    canvas.text(left + _PLOT + 14, y + 4, fit(words, _VALUES - 6, SMALL), ink="soft", size=SMALL)
    canvas.spoken.append(f"{trials[0].case}: {words}")
    places = [left + _PLOT * value for value in values if value is not None]
    with canvas.said(f"{trials[0].case}, {scorer}: {words}"):
        if len(places) > 1:
            canvas.line((places[1], y), (places[0], y), Paint("none", "soft", 1.6))
        for index, (trial, value) in reversed(list(enumerate(zip(trials, values, strict=True)))):
            if value is None:
                continue
            x = left + _PLOT * value
            if trial.failure:
                canvas.cross(x, y, _DOT, Paint("none", "bad-line", 2.0))
            else:
                _dot(canvas, x, y, index)


def _dot(canvas: Canvas, x: float, y: float, index: int) -> None:
    fill, line = _inks(index)
    canvas.dot(x, y, _DOT, Paint("paper" if index else fill, line, 1.8))


def _inks(index: int) -> tuple[Ink, Ink]:
    return ("other", "other-line") if index else ("work-line", "work-line")


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


__all__ = ["picture"]
