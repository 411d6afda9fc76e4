"""Draw how numbers of a run changed over its iterations: a small line chart for each path of the state.

The charts also show the thresholds with which conditions compare the numbers. By default, all paths are drawn that the
graph's conditions compare with a number or watch for a plateau, as the graph spec says; the user can also name one
path. If a condition watches the value of a function for a plateau, the value is read from the run's marks, the recorded
values that conditions remember. No code is called.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from math import ceil, floor, isfinite
from sys import float_info
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.errors import DefinitionError
from graphengine.kernel.extension import did_you_mean
from graphengine.kernel.inside import ROOT, leaves_of, parse
from graphengine.records.step_queries import marks_in
from graphengine.render.amounts import nice, plain_number
from graphengine.render.charts.canvas import MARGIN, SMALL, Canvas, Ink, Paint, fit, measure
from graphengine.render.files import RenderError
from graphengine.render.scopes import path_at, scopes_of
from graphengine.render.text import one_line
from graphengine.render.trace import standing, visits_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.kernel.inside import Path
    from graphengine.kernel.reader import ConditionSpec, GraphSpec, Snapshot, Step
    from graphengine.records.visit_tree import Entry, Place, Track
    from graphengine.records.visits import Visits
    from graphengine.render.charts.canvas import Chart
    from graphengine.render.scopes import Scope

PANELS: Final = 6
"""The maximum number of drawn paths. Further paths are only named."""

_PLOT: Final = 520.0
_HIGH: Final = 150.0
_LEFT: Final = MARGIN + 40
_LABELS: Final = 190.0
_NAMED: Final = 20
"""The approximate number of iterations whose names are written below a panel, if there is room."""
_DOTS: Final = 60
"""If a line has more samples, its dots are small."""
_GROUPS: Final = 240
"""The maximum number of points of a line. If there are more samples, a point shows the median and the range of several.
"""
_SIGNS: Final = {">=": "\N{GREATER-THAN OR EQUAL TO}", "<=": "\N{LESS-THAN OR EQUAL TO}", "==": "="}
_LINES: Final[Sequence[tuple[Ink, Ink, str]]] = (
    ("work", "work-line", ""),
    ("other", "other-line", "6 3"),
    ("fell", "fell-line", "2 3"),
    ("wait", "wait-line", "8 3 2 3"),
    ("bad", "bad-line", "12 3"),
    ("grid", "soft", "1 2"),
)
"""The colours and dashes of the lines of one panel. All further lines look like the last one."""
_PATH: Final = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[[^\[\]]+\])*"
_ORDERED: Final = frozenset((">=", "<=", ">", "<", "=="))
_SHOWN_PATHS: Final = 4


class Threshold(NamedTuple):
    """A limit that a condition of an edge compares with a number, such as the 8 in `score >= 8`.

    A chart of the number shows the limit as a line.

    `sign` is the sign of the comparison, and `label` is the label of the edge.
    """

    sign: str
    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Watched:
    """A number in the state of a run that a chart follows from step to step.

    A condition of the graph compares this number, or the user has asked for it.

    Attributes:
        place: The nodes that lead to the nested graph whose state contains the number; () for the run's own graph.
        text: The path of the number in the state, such as `history[-1].score`, or the name of a function of the state.
        thresholds: The numbers with which the value is compared.
        plateau: A note for the chart if a condition watches whether the number stops improving (a plateau); otherwise
            "".
        by_function: Whether the number is the result of a function. Such a number is recorded only when a condition
            watches for a plateau.
    """

    place: Place
    text: str
    thresholds: tuple[Threshold, ...] = ()
    plateau: str = ""
    by_function: bool = False


class Sample(NamedTuple):
    """One number in a chart, with the step of the run that wrote this number into the state.

    Attributes:
        seq: The number of the step.
        node: The path of the node.
        visit: The number of the visit of the node.
        value: The number.
    """

    seq: int
    node: str
    visit: int
    value: float


@dataclass(slots=True)
class Series:
    """The numbers that a chart shows as one line.

    They are the values at one path of the state during one visit of a graph, in the order in which they were written.

    Attributes:
        watched: The number that is followed.
        name: The name of the line, if the graph was visited several times and has a line for each visit.
        samples: The numbers.
    """

    watched: Watched
    name: str
    samples: list[Sample] = field(default_factory=list)

    def points(self) -> list[_Point]:
        """Return the points to draw for a series. If there are many numbers, neighbours are drawn as one point."""
        size = ceil(len(self.samples) / _GROUPS) or 1
        return [_Point(start, self.samples[start : start + size]) for start in range(0, len(self.samples), size)]


class _Point(NamedTuple):
    """One point of a line in a chart of numbers.

    A long line has fewer points than numbers, so a point can stand for several neighbouring numbers. `start` is the
    index of the first of these numbers.
    """

    start: int
    samples: Sequence[Sample]

    @property
    def place(self) -> float:
        """Where the point is among the numbers of its series: the middle of the indexes for which it stands."""
        return self.start + (len(self.samples) - 1) / 2

    @property
    def range(self) -> tuple[float, float, float]:
        """The smallest number, the median and the greatest number for which the point stands."""
        ordered = sorted(sample.value for sample in self.samples)
        return ordered[0], ordered[len(ordered) // 2], ordered[-1]

    def words(self, *, with_step: bool) -> str:
        """Describe a point of a chart in words, such as the iteration and the value.

        Args:
            with_step: Whether the description includes the numbers of the steps.
        """
        first, last = self.samples[0], self.samples[-1]
        least, middle, most = map(plain_number, self.range)
        if len(self.samples) == 1:
            return f"{_iteration_of(first)}{f' at step {first.seq}' if with_step else ''}: {middle}"
        steps = f", steps {first.seq} to {last.seq}" if with_step else ""
        return f"{_iteration_of(first)} to {_iteration_of(last)}{steps}: {least} to {most}, median {middle}"


def scores(
    graph_spec: GraphSpec, steps: Sequence[Step], path: str = "", column: float = 0.0, status: str = ""
) -> Chart:
    """Draw how numbers of the state changed from step to step.

    Args:
        graph_spec: The graph's spec, from its plan or from a store.
        steps: All steps of the run from seq 1 on, including the steps that it shares with its parents.
        path: The path of a number, such as `history[-1].score`, or `article/score` for a number in the nested graph of
            the node `article`. "" draws all paths that conditions compare with a number or watch for a plateau.
        column: The width in pixels of the column of a page that will show the chart under its own heading; 0 for a
            chart that stands alone.
        status: The status of the run from the store, if it says more than the steps.

    Raises:
        RenderError: The path is invalid, no condition reads a number, the steps do not follow each other, or no step
            wrote a number.
    """
    watched = watched_of(graph_spec, path)
    snapshot, found = series_of(steps, watched)
    panels = [(one, mine) for one in watched if (mine := [series for series in found if series.watched == one])]
    canvas, plot = Canvas(), max(100.0, column - _LEFT - _LABELS) if column else _PLOT
    across, y = _LEFT + plot + _LABELS, 8.0 if column else 66.0
    name, status_text = one_line(snapshot.graph) or "graph", f"run {snapshot.run_id}: {standing(snapshot, status)}"
    if not column:
        canvas.heading(across, name, status_text)
    for one, mine in panels[:PANELS]:
        y = _Panel(canvas, one, mine, y, plot).draw()
    if len(panels) > PANELS:
        more = f"not drawn: {', '.join(path_at(one.place, one.text) for one, _ in panels[PANELS:])}; name one to see it"
        canvas.soft(MARGIN, y + 4, fit(more, across - 2 * MARGIN, SMALL))
        canvas.spoken.append(more)
        y += 18
    return canvas.done(f"Scores of {name}, {status_text}", across, y + 8)


@dataclass(slots=True)
class _Panel:
    """One panel of a chart, which shows the numbers at one path of the state.

    Attributes:
        canvas: The canvas of the chart.
        one: The number that is followed.
        found: The lines to draw.
        y: The top of the panel, in pixels.
        plot: The width of the lines, in pixels.
        marks: Round numbers from below the smallest value to above the greatest value.
        taken: The heights of the labels beside the panel.
    """

    canvas: Canvas
    one: Watched
    found: Sequence[Series]
    y: float
    plot: float
    marks: Sequence[float] = ()
    taken: tuple[float, ...] = ()

    def draw(self) -> float:
        """Draw this panel of the chart, and return the height at which the next panel begins, in pixels."""
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
            with canvas.title_group(f"{one.text} {words}"):
                y = self._at(threshold.value)
                canvas.line((_LEFT, y), (right, y), Paint("none", "fell-line", 1.4, "6 4"))
                self._label(y, words.strip(), "fell-line")
        for index, series in reversed(list(enumerate(self.found))):  # The first series is drawn last, on top.
            self._line(series, _LINES[min(index, len(_LINES) - 1)])
            samples = ", ".join(point.words(with_step=False) for point in series.points())
            canvas.spoken.append(f"{title}{f' of {series.name}' if series.name else ''}: {samples}")
        canvas.spoken += [f"{title} {t.sign} {plain_number(t.value)}: {t.label}" for t in one.thresholds if t.label]
        canvas.spoken += [f"{title} is {one.plateau}"] if one.plateau else []
        return self._iterations(max(self.found, key=lambda series: len(series.samples)).samples)

    def _at(self, value: float) -> float:
        """Return where a number is drawn in the panel, in pixels from the top."""
        least, most = self.marks[0], self.marks[-1]
        return self.y + 22 + _HIGH * (most - value) / (most - least)

    def _x(self, index: float) -> float:
        """Return where the number with this index is drawn in the panel, in pixels from the left."""
        count, inset = max(len(series.samples) for series in self.found), 18.0
        return _LEFT + inset + (self.plot - 2 * inset) * (index / (count - 1) if count > 1 else 0.5)

    def _label(self, y: float, words: str, ink: Ink) -> None:
        """Write a label at the right end of a line in the chart.

        If another label is already at this height, the nearest free height is used.
        """
        places = sorted((y + 14 * offset for offset in range(-8, 9)), key=lambda place: abs(place - y))
        free = next((place for place in places if all(abs(place - other) >= 13 for other in self.taken)), y)  # noqa: PLR2004
        self.taken += (free,)
        self.canvas.text(_LEFT + self.plot + 8, free + 4, fit(words, _LABELS - 8, SMALL), ink=ink, size=SMALL)

    def _line(self, series: Series, look: tuple[Ink, Ink, str]) -> None:
        """Draw one line of the chart, with its last number at the end.

        If the panel has several lines, the name of the line is written next to the number.
        """
        canvas, samples, (fill, line, dash) = self.canvas, series.samples, look
        drawn = series.points()
        points = [(self._x(point.place), self._at(point.range[1])) for point in drawn]
        for (x, _), point in zip(points, drawn, strict=True):
            if len(point.samples) > 1:
                least, _, most = point.range
                canvas.line((x, self._at(least)), (x, self._at(most)), Paint("none", line, 0.7))
        if len(points) > 1:
            canvas.path(points, Paint("none", line, 2.0, dash))
        radius = 1.5 if len(points) > _DOTS else 4.0
        for (x, y), point in zip(points, drawn, strict=True):
            with canvas.title_group(point.words(with_step=True), point.samples[-1].seq):
                canvas.dot(x, y, radius, Paint(fill, line, radius / 2.5))
        (x, y), last = points[-1], plain_number(samples[-1].value)
        if len(self.found) > 1:
            self._label(y, f"{last} {series.name}", line)
        else:
            canvas.text(x, y - 9 if y > self.y + 36 else y + 18, last, anchor="middle", strong=True)

    def _iterations(self, samples: Sequence[Sample]) -> float:
        """Write the names of the iterations below the panel, and return the height at which the panel ends."""
        names = [sample.node if len(self.found) == 1 else sample.node.rpartition("/")[2] for sample in samples]
        is_one = len({*names}) == 1
        y, free, each = self.y + _HIGH + 38, 0.0, max(1.0, nice(len(samples) / _NAMED))
        for index, sample in enumerate(samples):
            if index and (index + 1) % each:
                continue
            text = fit(str(sample.visit or sample.node) if is_one else _iteration_of(sample), 90, SMALL)
            half, x = measure(text, SMALL) / 2, self._x(index)
            if x - half >= free:
                self.canvas.soft(x, y, text, "middle")
                free = x + half + 6
        if is_one:
            y += 16
            words = f"visit of {names[0]}" if samples[0].visit else names[0]
            self.canvas.soft(_LEFT + self.plot / 2, y, fit(words, self.plot, SMALL), "middle")
        return y + 22


def _iteration_of(sample: Sample) -> str:
    return f"{sample.node} {sample.visit}" if sample.visit else sample.node


def _marks_of(values: Sequence[float]) -> list[float]:
    """Return round numbers for the marks of a vertical axis.

    They begin below the smallest of the values and end above the greatest.
    """
    finite = [value for value in values if isfinite(value)] or [0.0]
    least, most = min(finite), max(finite)
    step = nice(((most - least) or abs(most) or 1.0) / 5)
    first, last = floor(least / step), ceil(most / step)
    if first == last:
        first, last = first - 1, last + 1
    return [round(number * step, 12) for number in range(first, last + 1)]


def watched_of(graph_spec: GraphSpec, path: str = "") -> list[Watched]:
    """Return the numbers in the state of a run that a chart should follow.

    Args:
        graph_spec: The description of the graph.
        path: A path of the state, or `article/score` for a path of the nested graph at the node `article`. "" for all
            numbers that conditions of the graph compare.

    Raises:
        RenderError: The path is invalid or does not name a field, or no condition reads a number.
    """
    scopes = scopes_of(graph_spec)
    found = _conditions(scopes)
    if path:
        place, text = _locate_path(scopes, path)
        existing = next((one for one in found if (one.place, one.text) == (place, text)), None)
        return [existing or Watched(place, text)]
    if not found:
        raise RenderError(
            "the graph has no score to draw: no condition compares a field with a number, or looks for a plateau",
            where=f"graph {scopes[()].name}",
            repair="name the path of a number, as in --scores 'history[-1].score'; the fields of the state are "
            + ", ".join(sorted(scopes[()].fields)),
        )
    return found


def series_of(steps: Sequence[Step], watched: Sequence[Watched]) -> tuple[Snapshot, list[Series]]:
    """Read from the steps of a run how the numbers that a chart shows changed.

    Args:
        steps: All steps of the run from seq 1 on, including the steps that it shares with its parents.
        watched: The numbers to read.

    Returns:
        The last snapshot of the run, and a series of values for each line of the chart.

    Raises:
        RenderError: The steps do not follow each other, or no step wrote a number at these paths.
    """
    paths = [parse(one.text) for one in watched]
    found: dict[tuple[int, Track], list[Sample]] = {}

    def look(run: Visits, entry: Entry) -> None:
        step = entry.step
        if entry.track is None or step.kind in ("started", "entered", "joined"):
            return
        for index, (one, path) in enumerate(zip(watched, paths, strict=True)):
            value = _read_mark(step, one.text) if one.by_function else _read_written_number(run.snapshot, step, path)
            if value is not None:
                sample = Sample(step.seq, step.path or "branch", step.visit, value)
                found.setdefault((index, entry.track.graph), []).append(sample)

    run = visits_of(steps, look)
    names = _name_tracks(run)
    series = [
        Series(watched[index], names[graph], samples)
        for (index, graph), samples in found.items()
        if graph.place == watched[index].place
    ]
    if not series:
        raise _without_numbers(run.snapshot, watched)
    return run.snapshot, series


def _conditions(scopes: Mapping[Place, Scope]) -> list[Watched]:
    """Return the numbers in the state that the conditions of a graph compare with a limit or watch for a plateau.

    The numbers are in the order of the graphs and edges.
    """
    found: dict[tuple[Place, str], Watched] = {}
    for place, scope in sorted(scopes.items(), key=lambda pair: len(pair[0])):
        for edge in scope.edges:
            for text, threshold, plateau in _find_compared_paths(edge.when, edge.label):
                by_function = parse(text).root not in scope.fields
                if by_function and not plateau:
                    continue  # The value is a count or a cost and not a field of the state.
                have = found.get((place, text), Watched(place, text, by_function=by_function))
                more = () if threshold is None or threshold in have.thresholds else (threshold,)
                thresholds, note = (*have.thresholds, *more), have.plateau or plateau
                found[place, text] = Watched(place, text, thresholds, note, by_function)
    return list(found.values())


def _find_compared_paths(condition: ConditionSpec | None, label: str) -> Iterator[tuple[str, Threshold | None, str]]:
    """Yield the paths of the numbers in the state that a condition compares with a limit or watches for a plateau.

    Yields:
        The path, the limit, and the note about the plateau.
    """
    for part in leaves_of(condition) if condition is not None else ():
        of, than = part.get("of"), part.get("than")
        name = of.get("function", "") if isinstance(of, dict) else of or ""
        if not re.fullmatch(_PATH, name):
            continue
        if (
            part["is"] in _ORDERED
            and isinstance(of, str)
            and isinstance(than, (int, float))
            and not isinstance(than, bool)
        ):
            yield name, Threshold(part["is"], float(than), label), ""
        elif part["is"] == "plateau":
            times = part.get("patience", 1)
            note = "watched for a plateau" + (f" of {times}" if times > 1 else "")
            yield name, None, f"{note}: {label}" if label else note


def _locate_path(scopes: Mapping[Place, Scope], path: str) -> tuple[Place, str]:
    """Find the graph to which a path such as `article/score` leads.

    Returns:
        The place of the nested graph, and the path of the number in its state, such as `score`.
    """
    around, _, text = path.rpartition("/")
    try:
        root = parse(text).root
    except DefinitionError as error:
        raise RenderError(error.message, where=f"path {path!r}", repair=error.repair) from error
    places = {path_at(place): place for place in scopes}
    if around:
        if around not in places:
            near = (
                did_you_mean(around, filter(None, places)) or "none of its nodes is one; name a path of its own state"
            )
            raise RenderError(f"there is no node {around!r} with a nested graph", where=f"path {path!r}", repair=near)
        inside = [places[around]]
    else:
        inside = sorted(scopes, key=len)
    having = [place for place in inside if root in scopes[place].fields]
    if not having:
        fields = {name for place in inside for name in scopes[place].fields}
        raise RenderError(f"the state has no field {root!r}", where=f"path {path!r}", repair=did_you_mean(root, fields))
    return having[0], text


def _name_tracks(run: Visits) -> dict[Track, str]:
    """Return a name for each visit of a nested graph, by which people can tell the lines of a chart apart.

    The run's own graph has the name "".
    """
    names: dict[Track, str] = {}
    visits: Counter[str] = Counter()
    for track in run.tracks:
        visits[track.path] += track.kind == "sub"
        again = f", visit {visits[track.path]}" if visits[track.path] > 1 else ""
        names[track] = track.path + again
    return names


def _read_written_number(snapshot: Snapshot, step: Step, path: Path) -> float | None:
    """Return the number at a path of the state, if this step wrote the field that contains it; otherwise None."""
    frame = snapshot.frames.get(step.frame)
    if frame is None or not any(op[1] == path.root for op in step.update):
        return None
    return _as_finite(path.walk(frame.held(path.root)))


def _as_finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) <= float_info.max else None  # NaN and integers too large for a float are skipped.


def _read_mark(step: Step, text: str) -> float | None:
    """Return the number that a function of the state returned at a step; None if the step has no such record.

    The number is recorded when a condition watches whether the function's result stops improving.
    """
    for key, mark in marks_in(step).items():
        if key.startswith(f"plateau:{text}:") and isinstance(mark, list) and len(mark) == 3:  # noqa: PLR2004 - no trouble
            sample: object = mark[1]
            return _as_finite(float(sample)) if isinstance(sample, str) else _as_finite(sample)
    return None


def _without_numbers(snapshot: Snapshot, watched: Sequence[Watched]) -> RenderError:
    """Return the error for a chart for which no step of the run wrote a number.

    The error suggests other paths of the state that contain numbers.
    """
    names = ", ".join(path_at(one.place, one.text) for one in watched)
    values = snapshot.frames[ROOT].values if ROOT in snapshot.frames else {}
    watched_texts = {
        one.text for one in watched
    }  # The state may contain a number there with which the run only started.
    numbers = [path for name, value in values.items() for path in _numeric(name, value) if path not in watched_texts]
    several = len(watched) == 1 and numbers
    near = did_you_mean(watched[0].text, numbers) if several else ""
    candidates = ", ".join(numbers[:_SHOWN_PATHS]) if numbers else "its state has none"
    return RenderError(
        f"no step of the run wrote a number at {names}",
        where=f"run {snapshot.run_id}" if snapshot.run_id else "steps=",
        repair=near or f"name the path of a number: {candidates}",
    )


def _numeric(path: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - a JSON value
    """Yield the paths of all numbers inside a value of the state, as suggestions for a chart.

    In a list, only the last element is searched.
    """
    if _as_finite(value) is not None:
        yield path
    elif isinstance(value, dict):
        for key, below in value.items():
            if re.fullmatch(r"[A-Za-z_]\w*", str(key)):
                yield from _numeric(f"{path}.{key}", below)
    elif isinstance(value, list) and value:
        yield from _numeric(f"{path}[-1]", value[-1])
