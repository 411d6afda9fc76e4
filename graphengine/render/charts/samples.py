"""Numbers of a run's state over time: what lies at a path after each step that wrote there.

Which paths: those the user names, or those that the graph's conditions compare with a number or watch for a plateau, as
the outline tells. Where a plateau is of a function's value, the run's marks have it; no code is called.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.engine.fold import evolve
from graphengine.engine.rebase import shifted
from graphengine.engine.snapshot import ROOT, Snapshot
from graphengine.engine.steps import Entered, Shift, marks_in, path_of
from graphengine.errors import DefinitionError
from graphengine.render.charts.spans import no_run
from graphengine.render.errors import RenderError
from graphengine.render.scopes import Places, path_at, scopes_of
from graphengine.state.path import did_you_mean, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Step
    from graphengine.render.scopes import Place, Scope
    from graphengine.state.json_values import JsonValue
    from graphengine.state.path import Path

_PATH: Final = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[[^\[\]]+\])*"
_COMPARED: Final = re.compile(rf"({_PATH}) (>=|<=|>|<|==) (-?\d+(?:\.\d+)?(?:e-?\d+)?)")
_PLATEAU: Final = re.compile(rf"({_PATH}) no longer improves(?: for (\d+))?")
_BETWEEN: Final = re.compile(r" and | or ")
_SHOWN_PATHS: Final = 4


class Threshold(NamedTuple):
    """A number that a condition compares with, and what the way is called that it leads to."""

    sign: str
    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Watched:
    """A path of one graph's state that is drawn.

    Attributes:
        place: The graph, as the nodes around it; () for the outermost.
        text: The path, or the name of the function, as the condition has it.
        thresholds: What it is compared with.
        plateau: What is said of its plateau, "" if none is watched for.
        by_function: Whether it is a function's value, which only the marks of its plateau tell.
    """

    place: Place
    text: str
    thresholds: tuple[Threshold, ...] = ()
    plateau: str = ""
    by_function: bool = False


class Sample(NamedTuple):
    """A number at a step.

    Attributes:
        seq: The step that wrote it.
        node: The node's path.
        visit: Which visit.
    """

    seq: int
    node: str
    visit: int
    value: float


@dataclass(slots=True)
class Series:
    """The numbers of one frame's path, in order.

    Attributes:
        name: Whose they are, where there are several: the path of the graph's visit.
    """

    watched: Watched
    name: str
    samples: list[Sample] = field(default_factory=list)


def watched_of(outline: Mapping[str, JsonValue], path: str = "") -> list[Watched]:
    """What is to be drawn.

    Args:
        outline: The graph's outline.
        path: A path of the state, or of the state of a graph inside behind that graph's node: `article/score`. "" for
            those of the conditions.

    Raises:
        RenderError: The path is none, or names no field; or no condition has a number to draw.
    """
    scopes = scopes_of(outline)
    found = _conditions(scopes)
    if path:
        place, text = _placed(scopes, path)
        known = next((one for one in found if (one.place, one.text) == (place, text)), None)
        return [known or Watched(place, text)]
    if not found:
        raise RenderError(
            "no condition of the graph compares a field with a number or watches one for a plateau",
            where=f"graph {scopes[()].name}",
            repair="name the path of a number, as in --scores 'history[-1].score'; fields are "
            + ", ".join(sorted(scopes[()].fields)),
        )
    return found


def series_of(steps: Sequence[Step], watched: Sequence[Watched]) -> list[Series]:
    """The numbers of a run.

    Args:
        steps: All steps of the run from seq 1 on, a parent's included.
        watched: What to look at.

    Raises:
        RenderError: The steps make no run, or no number ever lay there.
    """
    reader = _Reader(watched)
    try:
        for step in steps:
            reader.add(step)
    except (ValueError, LookupError) as error:
        raise no_run(error) from error
    found = reader.series()
    if not found:
        raise _without_numbers(reader.snapshot, watched)
    return found


def _conditions(scopes: Mapping[Place, Scope]) -> list[Watched]:
    """What the conditions compare with numbers, in the order they stand in the graph."""
    found: dict[tuple[Place, str], Watched] = {}
    for place, scope in sorted(scopes.items(), key=lambda pair: len(pair[0])):
        for way in scope.ways:
            for text, threshold, plateau in _numbers(way.condition, way.label):
                by_function = parse(text).root not in scope.fields
                if by_function and not plateau:
                    continue  # a count or a cost: no field
                have = found.get((place, text), Watched(place, text, by_function=by_function))
                more = () if threshold is None or threshold in have.thresholds else (threshold,)
                thresholds, told = (*have.thresholds, *more), have.plateau or plateau
                found[place, text] = Watched(place, text, thresholds, told, by_function)
    return list(found.values())


def _numbers(condition: str, label: str) -> Iterator[tuple[str, Threshold | None, str]]:
    """What a condition in words says of numbers."""
    for part in _BETWEEN.split(condition):
        bare = part.strip().removeprefix("not ").strip("()")
        compared, plateau = _COMPARED.fullmatch(bare), _PLATEAU.fullmatch(bare)
        if compared:
            yield compared[1], Threshold(compared[2], float(compared[3]), label), ""
        elif plateau:
            times = int(plateau[2] or 1)
            told = "watched for a plateau" + (f" of {times}" if times > 1 else "")
            yield plateau[1], None, f"{told}: {label}" if label else told


def _placed(scopes: Mapping[Place, Scope], path: str) -> tuple[Place, str]:
    """Which graph's state a path is of, and the path in it."""
    around, _, text = path.rpartition("/")
    try:
        root = parse(text).root
    except DefinitionError as error:
        raise RenderError(error.message, where=f"path {path!r}", repair=error.repair) from error
    places = {path_at(place): place for place in scopes}
    if around:
        if around not in places:
            near = did_you_mean(around, filter(None, places)) or "no node of it is one; give a path of its own state"
            raise RenderError(f"no node {around!r} is a graph", where=f"path {path!r}", repair=near)
        inside = [places[around]]
    else:
        inside = sorted(scopes, key=len)
    having = [place for place in inside if root in scopes[place].fields]
    if not having:
        fields = {name for place in inside for name in scopes[place].fields}
        raise RenderError(
            f"there is no field {root!r} in the state", where=f"path {path!r}", repair=did_you_mean(root, fields)
        )
    return having[0], text


class _Visit(NamedTuple):
    """A visit of a graph: its place, its frame, and the how manieth visit there it is."""

    place: Place
    frame: str
    number: int

    @property
    def name(self) -> str:
        """As people read it; "" for the outermost graph."""
        again = f", visit {self.number}" if self.number > 1 else ""
        return path_of(self.frame, "") + again if self.frame else ""


class _Reader:
    """Looks at the state after each step."""

    def __init__(self, watched: Sequence[Watched]) -> None:
        self.snapshot = Snapshot()
        self._places = Places()
        self._entered: Counter[str] = Counter()
        self._watched = [(one, parse(one.text)) for one in watched]
        self._found: dict[tuple[int, _Visit], list[Sample]] = {}

    def add(self, step: Step) -> None:
        """Take a step."""
        if isinstance(step.data, Shift) and step.data.renamed:
            self._rename(step.data.renamed)
        evolve(self.snapshot, step)
        if isinstance(step.data, Entered):
            _, entered = self._places.enter(step, step.data)
            self._entered[entered] += 1
        if step.kind in ("started", "entered", "joined"):  # the beginning is no sample; a join's arms gave theirs
            return
        frame = step.frame[: step.frame.rfind("/") + 1]  # arms and items are the graph's own
        visit = _Visit(self._places.of(step.frame), frame, self._entered[frame])
        for index, (one, path) in enumerate(self._watched):
            value = _marked(step, one.text) if one.by_function else self._written(step, path)
            if value is not None:
                sample = Sample(step.seq, step.path or "branch", step.visit, value)
                self._found.setdefault((index, visit), []).append(sample)

    def series(self) -> list[Series]:
        """What was found where it was looked for; only now all places have the names that the outline has."""
        return [
            Series(self._watched[index][0], visit.name, samples)
            for (index, visit), samples in self._found.items()
            if visit.place == self._watched[index][0].place
        ]

    def _written(self, step: Step, path: Path) -> float | None:
        """The number that lies at a path, if the step wrote there."""
        frame = self.snapshot.frames.get(step.frame)
        if frame is None or not any(op[1] == path.root for op in step.update):
            return None
        return _number(path.walk(_held(frame, path.root)))

    def _rename(self, renamed: Mapping[str, Mapping[str, str]]) -> None:
        """Keep what was found so far under the names that nodes have from now on."""
        frames = dict(zip(self.snapshot.frames, shifted(self.snapshot, Shift(renamed=renamed)).frames, strict=True))
        names = self._places.rename(renamed, frames)
        self._entered = Counter({frames.get(frame, frame): count for frame, count in self._entered.items()})
        self._found = {
            (index, _Visit(names.place(visit.place), frames.get(visit.frame, visit.frame), visit.number)): samples
            for (index, visit), samples in self._found.items()
        }


def _held(frame: Frame, name: str) -> JsonValue:
    """A field as a frame sees it: its own, or that of the frame it has its state from."""
    around: Frame | None = frame
    while around is not None:
        if name in around.values:
            return around.values[name]
        around = around.base
    return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _marked(step: Step, text: str) -> float | None:
    """The sample that a step took of a function's value, as its marks tell."""
    for key, mark in marks_in(step).items():
        if key.startswith(f"plateau:{text}:") and isinstance(mark, list) and len(mark) == 3:  # noqa: PLR2004 - no trouble
            return _number(mark[1])
    return None


def _without_numbers(snapshot: Snapshot, watched: Sequence[Watched]) -> RenderError:
    """What is told where there is no number, with the numbers that there are."""
    names = ", ".join(path_at(one.place, one.text) for one in watched)
    values = snapshot.frames[ROOT].values if ROOT in snapshot.frames else {}
    begun = {one.text for one in watched}  # where the run began with a number, and nothing wrote another
    numbers = [path for name, value in values.items() for path in _numeric(name, value) if path not in begun]
    several = len(watched) == 1 and numbers
    near = did_you_mean(watched[0].text, numbers) if several else ""
    known = ", ".join(numbers[:_SHOWN_PATHS]) if numbers else "nothing of its state is one"
    return RenderError(
        f"no step of the run wrote a number at {names}",
        where=f"run {snapshot.run_id}" if snapshot.run_id else "steps=",
        repair=near or f"name the path of a number: {known}",
    )


def _numeric(path: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - a JSON value
    """The paths below a value where numbers lie; of a list, its last."""
    if _number(value) is not None:
        yield path
    elif isinstance(value, dict):
        for key, below in value.items():
            if re.fullmatch(r"[A-Za-z_]\w*", str(key)):
                yield from _numeric(f"{path}.{key}", below)
    elif isinstance(value, list) and value:
        yield from _numeric(f"{path}[-1]", value[-1])
