"""When a run did what: the times that its steps tell, as spans in rows, one row a path.

Where a frame waits, or is inside a map or a graph, is what the core's fold says of it after each step; nothing of that
is worked out anew here. What a step itself was at work on, it says: from `began` to `at`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from graphengine.engine.fold import evolve
from graphengine.engine.frame_tree import add_usage
from graphengine.engine.phases import Collecting, Fallback, Inside, Ready, Waiting
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import (
    Attempt,
    Branched,
    Failed,
    Resumed,
    failure_of,
    falls_back,
    outcome_of,
    path_of,
    usage_of,
    without_items,
)
from graphengine.graph.options import END, FAIL, START
from graphengine.render.errors import RenderError
from graphengine.render.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from graphengine.engine.phases import Phase
    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Step

What: TypeAlias = Literal["work", "failed", "fallback", "wait", "pause", "inside", "begun"]
"""`work` that ended well, a `failed` attempt, a `fallback` that stood in, a `wait` for a person, a message or a time,
the `pause` before another attempt, the time a map or graph took (`inside`), what has `begun` and not ended yet."""

_TIMED: Final = ("node", "item", "attempt", "failed", "waiting")
_SHOWN: Final = (*_TIMED, "recorded")
_WORKED: Final = 0.0005
"""Seconds. A question is put in no time; only a node that worked longer before it waited is shown at work."""


class Span(NamedTuple):
    """Some time in a row.

    Attributes:
        start: Epoch seconds.
        end: The same; not before `start`.
        seq: The step that ended it; 0 if none did.
        said: What is to be told of it.
    """

    what: What
    start: float
    end: float
    seq: int
    said: str

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


class Gap(NamedTuple):
    """A time at which nobody drove the run, and why."""

    start: float
    end: float
    why: str


class Branching(NamedTuple):
    """A run branched off: its id, the step at which it did, and when."""

    run_id: str
    seq: int
    at: float


@dataclass(slots=True)
class Row:
    """What was done at a path.

    Attributes:
        path: The node's path, with the items around it: `pieces[1]/write`.
        spans: In the order they ended.
        visits: How many visits, or items, came to their end.
        usage: What models were paid there.
        marks: When a piece of its work was recorded, epoch seconds.
    """

    path: str
    spans: list[Span] = field(default_factory=list)
    visits: int = 0
    usage: Mapping[str, float | None] = field(default_factory=dict)
    marks: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run over time.

    Attributes:
        snapshot: Where it stands.
        began: Epoch seconds.
        ended: The time of its last step.
        rows: In the order of the tree: each path behind the one around it.
        gaps: When nobody drove it.
        branched: Where it, and the runs it comes from, branched off: what lies before is shared.
        steps: How many steps it has.
    """

    snapshot: Snapshot
    began: float
    ended: float
    rows: Sequence[Row]
    gaps: Sequence[Gap]
    branched: Sequence[Branching]
    steps: int


def timeline_of(steps: Sequence[Step]) -> Timeline:
    """Lay out a run in time.

    Args:
        steps: All steps of the run from seq 1 on, a parent's included.

    Raises:
        RenderError: There is none, or they do not follow each other from 1 on.
    """
    if not steps:
        raise RenderError("a run without steps has no timeline", where="steps=", repair="give the steps of a run")
    reader = _Reader()
    try:
        for step in steps:
            reader.add(step)
    except (ValueError, LookupError) as error:
        raise no_run(error) from error
    reader.close()
    began = min([steps[0].at, *(span.start for row in reader.rows.values() for span in row.spans)])
    rows = sorted(reader.rows.values(), key=_in_the_tree(list(reader.rows)))
    return Timeline(
        reader.snapshot, began, max(began, reader.snapshot.now), rows, reader.gaps, reader.branched, len(steps)
    )


def no_run(error: Exception) -> RenderError:
    """What is told of steps that do not fold."""
    return RenderError(
        f"the steps do not make a run: {error}",
        where="steps=",
        repair="give every step from seq 1 on; a branch begins with its parent's",
    )


class _Standing(NamedTuple):
    """A frame that waits or is inside something, since when."""

    what: What
    path: str
    since: float
    said: str


class _Reader:
    """Reads a run step by step."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.rows: dict[str, Row] = {}
        self.gaps: list[Gap] = []
        self.branched: list[Branching] = []
        self._standing: dict[str, _Standing] = {}

    def add(self, step: Step) -> None:
        """Take a step."""
        frame = self.snapshot.frames.get(step.frame)
        stood = frame is not None and _standing(frame.phase) is not None
        if step.kind in ("resumed", "branched") and step.at > self.snapshot.now:
            self.gaps.append(Gap(self.snapshot.now, step.at, _why(self.snapshot, step)))
        if isinstance(step.data, Branched):
            self.branched.append(Branching(step.data.run_id, step.seq - 1, step.at))
        evolve(self.snapshot, step)
        if step.node and step.kind != "started":
            self._at(step, stood=stood)
        self._stand(step)

    def close(self) -> None:
        """End what is under way with the last step."""
        now = self.snapshot.now
        for stands in self._standing.values():
            self._row(stands.path).spans.append(Span(stands.what, stands.since, now, 0, f"{stands.said}, not over yet"))
        if self.snapshot.status != "running":
            return
        for frame in self.snapshot.frames.values():
            if isinstance(frame.phase, (Ready, Fallback)) and frame.at not in (START, END, FAIL):
                start = min(now, max(frame.arrived, frame.due))
                path = path_of(frame.id, frame.at)
                self._row(path).spans.append(Span("begun", start, now, 0, f"visit {frame.visit} has not ended yet"))

    def _row(self, path: str) -> Row:
        return self.rows.setdefault(path, Row(path))

    def _at(self, step: Step, *, stood: bool) -> None:
        """What a step says of the time before it; its frame may have waited, or been inside something."""
        usage = usage_of(step)
        if step.kind not in _SHOWN and not usage:
            return
        row = self._row(step.path)
        row.usage = add_usage(row.usage, usage) if usage else row.usage
        if step.kind == "recorded":
            row.marks.append(step.at)
        ends = step.kind in ("node", "item") or (isinstance(step.data, Failed) and not step.data.has_failed)
        row.visits += ends
        if step.kind not in _TIMED:
            return
        start = min(step.began or step.at, step.at)
        said = _said(step)
        if stood:  # how long that took, its own span tells
            if step.kind in ("attempt", "failed"):
                row.spans.append(Span("failed", step.at, step.at, step.seq, said))
        elif step.kind == "waiting":
            if step.at - start > _WORKED:
                row.spans.append(Span("work", start, step.at, step.seq, f"{said}, then it waited"))
        else:
            failed = step.kind in ("attempt", "failed")
            what: What = "failed" if failed else "fallback" if falls_back(step) else "work"
            row.spans.append(Span(what, start, step.at, step.seq, said))
        due = step.data.due_at if isinstance(step.data, Attempt) else None
        if due is not None and due > step.at:
            row.spans.append(Span("pause", step.at, due, step.seq, "pause before another attempt"))

    def _stand(self, step: Step) -> None:
        """See which frames wait, or are inside something, since this step, and which are not any more."""
        if not self._standing and step.kind not in _MAY_STAND and not self.snapshot.pause:
            return
        found: dict[str, tuple[What, Frame]] = {}
        for frame in self.snapshot.frames.values():
            what = _standing(frame.phase)
            if what is not None:
                found[frame.id] = (what, frame)
        for key in [key for key in self._standing if key not in found]:
            self._end(key, step)
        for key, (what, frame) in found.items():
            path = path_of(frame.id, frame.at)
            stands = self._standing.get(key)
            if stands is not None and (stands.what, stands.path) != (what, path):
                self._end(key, step)
                stands = None
            if stands is None:
                self._standing[key] = _Standing(what, path, step.at, _told(frame))
                self._row(path)

    def _end(self, key: str, step: Step) -> None:
        stands = self._standing.pop(key)
        self._row(stands.path).spans.append(Span(stands.what, stands.since, step.at, step.seq, stands.said))


_MAY_STAND: Final = (
    "started",
    "node",
    "left",
    "failed",
    "joined",
    "mapped",
    "entered",
    "waiting",
    "resumed",
    "branched",
)


def _standing(phase: Phase) -> What | None:
    """As what a frame in this phase is shown for as long as it is in it; None if it is not."""
    if isinstance(phase, Waiting):
        return "wait"
    return "inside" if isinstance(phase, (Collecting, Inside)) else None


def _why(snapshot: Snapshot, step: Step) -> str:
    """Why nobody drove a run until this step."""
    if step.kind == "branched":
        return "branched off"
    if isinstance(step.data, Resumed) and step.data.crashed:
        return "interrupted"
    return {"stopped": "stopped", "failed": "failed", "waiting": "waiting"}.get(snapshot.status, "not driven")


def _told(frame: Frame) -> str:
    """What a frame waits for, or is inside."""
    if isinstance(frame.phase, Collecting):
        return f"a map over {frame.phase.count} items"
    if isinstance(frame.phase, Inside):
        return f"a graph, visit {frame.visit}"
    told = [f"waits {_for(wait.kind)}: {one_line(wait.question or name)}" for name, wait in frame.waits.items()]
    return "; ".join(told) or "waits"


def _for(kind: str) -> str:
    return {"ask": "for an answer", "receive": "for a message", "sleep": "for a time"}.get(kind, "for a decision")


def _said(step: Step) -> str:
    """What a step did, in words."""
    visit = f"visit {step.visit}" if step.kind != "item" else "done"
    if step.attempt > 1:
        visit += f", attempt {step.attempt}"
    failure = failure_of(step)
    if failure is not None and step.kind in ("attempt", "failed"):
        visit += f" failed: {failure.kind}: {one_line(failure.message)}"
    elif falls_back(step):
        visit += ", the fallback stood in"
    to = ", ".join(outcome_of(step).to)
    return f"step {step.seq}, {visit}" + (f", then {to}" if to and step.kind != "item" else "")


def _in_the_tree(paths: Sequence[str]) -> Callable[[Row], tuple[int, ...]]:
    """Sorts rows as a tree is read: each path behind the one around it, sisters in the order they first came.

    Items stand in the order of their list.
    """
    first: dict[str, int] = {}
    for path in paths:
        for around in _around(path):
            first.setdefault(around, _index(around) if around.endswith("]") else len(first))
    return lambda row: tuple(first[around] for around in _around(row.path))


def _index(path: str) -> int:
    return int(path[path.rindex("[") + 1 : -1])


def _around(path: str) -> Iterator[str]:
    """The paths around a path, itself the last: `pieces`, `pieces[1]`, `pieces[1]/write`."""
    at = 0
    for part in path.split("/"):
        node = without_items(part)
        yield path[: at + len(node)]
        if node != part:
            yield path[: at + len(part)]
        at += len(part) + 1
