"""Numbers of a run's state over time: the value at a path after each step that wrote there.

The paths are those that the user names, or those that the graph's conditions compare with a number or watch for a
plateau, according to the outline. If a plateau is of a function's value, the run's marks have it; no code is called.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.engine.field_ops import held
from graphengine.engine.snapshot import ROOT
from graphengine.engine.steps import marks_in
from graphengine.errors import DefinitionError
from graphengine.render.files import RenderError
from graphengine.render.scopes import path_at, scopes_of
from graphengine.render.trace import visits_of
from graphengine.state.path import did_you_mean, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.engine.outline import Outline
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Step
    from graphengine.history.visit_tree import Entry, Place, Track
    from graphengine.history.visits import Visits
    from graphengine.render.scopes import Scope
    from graphengine.state.path import Path

_PATH: Final = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[[^\[\]]+\])*"
_COMPARED: Final = re.compile(rf"({_PATH}) (>=|<=|>|<|==) (-?\d+(?:\.\d+)?(?:e-?\d+)?)")
_PLATEAU: Final = re.compile(rf"({_PATH}) no longer improves(?: for (\d+))?")
_BETWEEN: Final = re.compile(r" and | or ")
_SHOWN_PATHS: Final = 4


class Threshold(NamedTuple):
    """A number that a condition compares with, and the label of its edge."""

    sign: str
    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Watched:
    """A path of one graph's state that is drawn.

    Attributes:
        place: The graph, as the nodes around it; () for the outermost.
        text: The path, or the name of the function, as in the condition.
        thresholds: The numbers that it is compared with.
        plateau: The note of its plateau, "" if none is watched for.
        by_function: Whether it is a function's value, which only the marks of its plateau have.
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
        name: The path of the graph's visit, if there are several.
    """

    watched: Watched
    name: str
    samples: list[Sample] = field(default_factory=list)


def watched_of(outline: Outline, path: str = "") -> list[Watched]:
    """Return what to draw.

    Args:
        outline: The graph's outline.
        path: A path of the state, or of a nested graph's state after that graph's node: `article/score`. "" for those
            of the conditions.

    Raises:
        RenderError: The path is invalid, or names no field; or no condition has a number to draw.
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


def series_of(steps: Sequence[Step], watched: Sequence[Watched]) -> tuple[Snapshot, list[Series]]:
    """Return the last snapshot of a run, and its numbers.

    Args:
        steps: All steps of the run from seq 1 on, including those of its parents.
        watched: The paths to read.

    Raises:
        RenderError: The steps make no run, or no step wrote a number there.
    """
    paths = [parse(one.text) for one in watched]
    found: dict[tuple[int, Track], list[Sample]] = {}

    def look(run: Visits, entry: Entry) -> None:
        """Take the numbers that a step wrote, unless it is a start, or a join, whose arms gave theirs."""
        step = entry.step
        if entry.track is None or step.kind in ("started", "entered", "joined"):
            return
        for index, (one, path) in enumerate(zip(watched, paths, strict=True)):
            value = _marked(step, one.text) if one.by_function else _written(run.snapshot, step, path)
            if value is not None:
                sample = Sample(step.seq, step.path or "branch", step.visit, value)
                found.setdefault((index, entry.track.graph), []).append(sample)

    run = visits_of(steps, look)
    names = _names(run)
    series = [
        Series(watched[index], names[graph], samples)
        for (index, graph), samples in found.items()
        if graph.place == watched[index].place
    ]
    if not series:
        raise _without_numbers(run.snapshot, watched)
    return run.snapshot, series


def _conditions(scopes: Mapping[Place, Scope]) -> list[Watched]:
    """Return what the conditions compare with numbers, in the order of the graph."""
    found: dict[tuple[Place, str], Watched] = {}
    for place, scope in sorted(scopes.items(), key=lambda pair: len(pair[0])):
        for edge in scope.edges:
            for text, threshold, plateau in _numbers(edge.condition, edge.label):
                by_function = parse(text).root not in scope.fields
                if by_function and not plateau:
                    continue  # a count or a cost: no field
                have = found.get((place, text), Watched(place, text, by_function=by_function))
                more = () if threshold is None or threshold in have.thresholds else (threshold,)
                thresholds, note = (*have.thresholds, *more), have.plateau or plateau
                found[place, text] = Watched(place, text, thresholds, note, by_function)
    return list(found.values())


def _numbers(condition: str, label: str) -> Iterator[tuple[str, Threshold | None, str]]:
    """Yield the paths and numbers in a condition's text."""
    for part in _BETWEEN.split(condition):
        bare = part.strip().removeprefix("not ").strip("()")
        compared, plateau = _COMPARED.fullmatch(bare), _PLATEAU.fullmatch(bare)
        if compared:
            yield compared[1], Threshold(compared[2], float(compared[3]), label), ""
        elif plateau:
            times = int(plateau[2] or 1)
            note = "watched for a plateau" + (f" of {times}" if times > 1 else "")
            yield plateau[1], None, f"{note}: {label}" if label else note


def _placed(scopes: Mapping[Place, Scope], path: str) -> tuple[Place, str]:
    """Return the graph to whose state a path belongs, and the path in it."""
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


def _names(run: Visits) -> dict[Track, str]:
    """Return the readable name of each track's graph visit; "" for the outermost graph."""
    names: dict[Track, str] = {}
    begun: Counter[str] = Counter()
    for track in run.tracks:
        begun[track.path] += track.kind == "sub"
        again = f", visit {begun[track.path]}" if begun[track.path] > 1 else ""
        names[track] = track.path + again
    return names


def _written(snapshot: Snapshot, step: Step, path: Path) -> float | None:
    """Return the number at a path, if the step wrote there."""
    frame = snapshot.frames.get(step.frame)
    if frame is None or not any(op[1] == path.root for op in step.update):
        return None
    return _number(path.walk(held(frame, path.root)))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _marked(step: Step, text: str) -> float | None:
    """Return the sample that a step took of a function's value, according to its marks."""
    for key, mark in marks_in(step).items():
        if key.startswith(f"plateau:{text}:") and isinstance(mark, list) and len(mark) == 3:  # noqa: PLR2004 - no trouble
            return _number(mark[1])
    return None


def _without_numbers(snapshot: Snapshot, watched: Sequence[Watched]) -> RenderError:
    """Return the error for a path without numbers, with the paths that have some."""
    names = ", ".join(path_at(one.place, one.text) for one in watched)
    values = snapshot.frames[ROOT].values if ROOT in snapshot.frames else {}
    begun = {one.text for one in watched}  # paths where the run started with a number, and no step wrote another
    numbers = [path for name, value in values.items() for path in _numeric(name, value) if path not in begun]
    several = len(watched) == 1 and numbers
    near = did_you_mean(watched[0].text, numbers) if several else ""
    known = ", ".join(numbers[:_SHOWN_PATHS]) if numbers else "its state has none"
    return RenderError(
        f"no step of the run wrote a number at {names}",
        where=f"run {snapshot.run_id}" if snapshot.run_id else "steps=",
        repair=near or f"name the path of a number: {known}",
    )


def _numeric(path: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - a JSON value
    """Yield the paths of numbers below a value; for a list, of its last element."""
    if _number(value) is not None:
        yield path
    elif isinstance(value, dict):
        for key, below in value.items():
            if re.fullmatch(r"[A-Za-z_]\w*", str(key)):
                yield from _numeric(f"{path}.{key}", below)
    elif isinstance(value, list) and value:
        yield from _numeric(f"{path}[-1]", value[-1])
