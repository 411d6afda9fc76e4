"""The parts of a run's read model: tracks, visits, edges, waits, driven time, what is known about each step.

`graphengine.records.visits` builds them from recorded steps, and updates them with each further step.
"""

from __future__ import annotations

from itertools import takewhile
from math import inf
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from msgspec import Struct

from graphengine.errors import EffectUnknown, WaitTimeout
from graphengine.kernel.inside import why_of
from graphengine.kernel.reader import Answered, Attempt, AttemptEnded, Node, Recorded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel.inside import FrameKind
    from graphengine.kernel.reader import EdgeSpec, FailureRecord, Frame, Kind, Outcome, RunStatus, Step

_UNANSWERED: Final = (WaitTimeout.code, EffectUnknown.code)
Place: TypeAlias = tuple[tuple[str, str], ...]
"""The position of a graph: the nodes around it from the outermost in, each with the choice that selects it."""

Status: TypeAlias = Literal["open", "done", "failed", "dropped"]
"""`open` until it ends; `failed` for good, until a resume opens it again; `dropped` with the frame it was in."""


class TakenEdge(Struct, eq=False):
    """An outgoing edge that was taken, or a join's.

    Attributes:
        track: The track that took it.
        source: The node it leaves; START where a graph begins, "" at a join.
        to: Its target, or the targets of a fork's arms.
        label: Its label.
        outcome: What its step recorded of it.
        ways: The edges of its graph, as the spec under the fingerprint in force has them; empty if that is not known.
        is_failure: Whether it is an edge for failures.
        arms: The tracks of a fork's arms, in declared order.
    """

    track: Track
    source: str
    to: Sequence[str]
    label: str
    outcome: Outcome
    ways: Sequence[EdgeSpec]
    is_failure: bool
    arms: Sequence[Track] = ()

    @property
    def why(self) -> str:
        """What its conditions found, in words."""
        return why_of(self.outcome, self.ways)


class WaitTime(Struct, eq=False):
    """One thing that a visit waited for.

    Attributes:
        name: Its name.
        kind: `ask`, `receive`, `sleep`, `pause` or `crash`.
        question: The question, in words.
        since: When it began, epoch seconds.
        seq: The step it began with.
        until: When it ended; None if it has not.
        end: The step it ended with, 0 if it has not.
        by: What ended it: `answer`, `message`, `time` or `default`; "" if something else ended the visit or the wait.
    """

    name: str
    kind: str
    question: str
    since: float
    seq: int
    until: float | None = None
    end: int = 0
    by: str = ""


class Nested(Struct, eq=False):
    """The map or graph that a visit was inside.

    Attributes:
        kind: `map` or `graph`.
        count: How many items a map has.
        since: When it began, epoch seconds.
        seq: The step it began with.
        until: When it ended; None if it has not.
        end: The step it ended with, 0 if it has not.
        tracks: The items that began, by index; a graph's only track is 0.
    """

    kind: Literal["map", "graph"]
    count: int
    since: float
    seq: int
    until: float | None = None
    end: int = 0
    tracks: dict[int, Track] = {}


class Track(Struct, eq=False):
    """One frame from its beginning to its end.

    Attributes:
        frame: The frame's id.
        kind: The frame's kind.
        parent: The track that made it; None for the run's own.
        around: The visit of the map or graph that it is a part of; for an arm, the visit that forked, None at START.
        index: An item's index, else 0.
        choice: What `choose` picked for a graph.
        edge: The edge out of START, where it walks a graph of its own.
        visits: Its visits, in order.
        live: The frame, as long as it exists.
    """

    frame: str
    kind: FrameKind
    parent: Track | None = None
    around: Visit | None = None
    index: int = 0
    choice: str = ""
    edge: TakenEdge | None = None
    visits: list[Visit] = []
    live: Frame | None = None

    @property
    def visit(self) -> Visit | None:
        """The visit that it is at, or was at last."""
        return self.visits[-1] if self.visits else None

    @property
    def graph(self) -> Track:
        """The track of the graph that it walks: the run's own or a subgraph's, itself if it is one."""
        track = self
        while track.kind in ("arm", "item") and track.parent is not None:
            track = track.parent
        return track

    @property
    def place(self) -> Place:
        """Where the graph is that it walks."""
        if self.parent is None:
            return ()
        graph = self.graph
        if graph.parent is None or graph.around is None:
            return ()
        return (*graph.parent.place, (graph.around.node, graph.choice))

    @property
    def path(self) -> str:
        """The path of the graph that it walks, "" for the run's own."""
        around = self.graph.around
        return around.path if around is not None else ""


class Tried(Struct, frozen=True):
    """An attempt of a visit that ended.

    Attributes:
        number: Which attempt it was, from 1.
        began: When its work, or the map or graph at its node, began, epoch seconds; 0 if that is not known.
        ended: When it ended.
        seq: The step it ended with.
        failure: What it failed with, or the failure that its fallback replaced.
        is_fallback: Whether a fallback gave its result.
        is_retried: Whether another attempt or the fallback followed.
        due: When the next attempt was due, if it had to sleep until then.
    """

    number: int
    began: float
    ended: float
    seq: int
    failure: FailureRecord | None
    is_fallback: bool
    is_retried: bool
    due: float | None


class Visit(Struct, eq=False):
    """A visit of a node; one item of a map is a visit too.

    Attributes:
        track: The track it is on.
        node: The node's name.
        number: Which visit of the node this is, from 1.
        began: When it could begin, epoch seconds.
        ready: When its present attempt could begin.
        ended: When it ended; None while it is open.
        status: Its status.
        completed: Whether it counts as completed: with a result, or along a failure edge.
        edge: The edge it was left by.
        waits: What it waited for, in order.
        insides: The maps and graphs that it was inside, one for each attempt that entered any.
        entries: Its steps.
    """

    track: Track
    node: str
    number: int
    began: float
    ready: float
    ended: float | None = None
    status: Status = "open"
    completed: bool = False
    edge: TakenEdge | None = None
    waits: list[WaitTime] = []
    insides: list[Nested] = []
    entries: list[Entry] = []

    @property
    def path(self) -> str:
        """Its place in the run, as `pieces[1]/write`."""
        track = self.track
        if track.kind == "item" and track.around is not None:
            return f"{track.around.path}[{track.index}]"
        return f"{track.path}/{self.node}" if track.path else self.node

    @property
    def waiting(self) -> Sequence[WaitTime]:
        """What it waits for: its last waits, since those that began together end together."""
        return [*takewhile(lambda wait: wait.until is None, reversed(self.waits))][::-1] if self.waits else ()

    @property
    def nested(self) -> Nested | None:
        """The map or graph that it is inside."""
        return self.insides[-1] if self.insides and self.insides[-1].until is None else None

    @property
    def attempts(self) -> Sequence[Tried]:
        """The attempts that ended."""
        return [each.tried for each in self.entries if isinstance(each.step.data, AttemptEnded)]

    @property
    def work(self) -> Sequence[Recorded]:
        """The work that was recorded."""
        return [each.step.data for each in self.entries if isinstance(each.step.data, Recorded)]

    @property
    def failure(self) -> FailureRecord | None:
        """What its last attempt failed with, or the failure that its fallback replaced."""
        return self.attempts[-1].failure if self.attempts else None


class Entry(Struct, frozen=True, eq=False):
    """A step, and what is known about it once it is folded.

    Attributes:
        step: The step.
        track: The track it belongs to, or begins; None for a step of a frame that is gone.
        visit: The visit it belongs to, if any.
        edge: The edge that it records.
        began: When its work, or the map or graph at its node, began, epoch seconds; 0 if that is not known.
        took: Seconds of driven time that it took; None if it did no work, or began before the first step that is known.
        waited: Seconds for which the question that it answers was open.
        was_held: Whether its visit waited, or was inside a map or graph, until then.
    """

    step: Step
    track: Track | None
    visit: Visit | None
    edge: TakenEdge | None
    began: float
    took: float | None
    waited: float
    was_held: bool

    @property
    def tried(self) -> Tried:
        """The attempt that ended with it."""
        step, facts = self.step, self.step.data
        retried = isinstance(facts, Attempt)
        due = facts.due_at if isinstance(facts, Attempt) else None
        fallback = isinstance(facts, Node) and facts.fallback
        return Tried(step.attempt, self.began, step.at, step.seq, step.data.error, fallback, retried, due)


class Milestone(Struct, frozen=True):
    """A run began, branched off, was resumed, or stopped.

    Attributes:
        kind: The kind of its step: `started`, `branched`, `resumed` or `stopped`.
        seq: The step.
        at: When, epoch seconds.
        since: When the step before it was.
        status: The run's status before.
        run_id: The run from then on.
        crashed: Whether a process died in between, with nodes in flight.
    """

    kind: Kind
    seq: int
    at: float
    since: float
    status: RunStatus
    run_id: str
    crashed: bool = False


class DrivenTime:
    """When a run was driven, according to the steps seen so far.

    Time between a stop and a resume, and time that a whole run waited or slept, is not driven; the total of a run
    excludes it too. A visit that ended with an answer did no work, so it took no time: that time is the question's.

    Attributes:
        since: When the first step was seen, epoch seconds; infinite before that.
    """

    def __init__(self) -> None:
        self.since = inf
        self._idle: list[tuple[float, float]] = []

    def see(self, at: float, idle_since: float | None = None) -> None:
        """Note the next step: its time, and since when the run was not driven before it."""
        if self.since == inf:
            self.since = at
        elif idle_since is not None:
            self._idle.append((idle_since, at))

    def took(self, began: float, ended: float) -> float | None:
        """Return the driven seconds between two epoch times; None if it began before the first step, or at 0."""
        return self.between(began, ended) if began and began >= self.since else None

    def between(self, began: float, ended: float) -> float:
        """Return the driven seconds between two epoch times."""
        idle = 0.0
        for start, end in reversed(self._idle):
            if end <= began:  # earlier ones end before it too, and a long run can have many
                break
            idle += max(0.0, min(end, ended) - max(start, began))
        return max(0.0, ended - began - idle)


def is_by_answer(step: Step) -> bool:
    """Return whether an answer or its timeout ended the visit, so that its time is the question's."""
    failure = step.data.error
    return has_answer(step) or (failure is not None and failure.kind in _UNANSWERED)


def has_answer(step: Step) -> bool:
    """Return whether an answer or its default ended the visit."""
    return isinstance(step.data, (AttemptEnded, Answered)) and bool(step.data.by)


def open_seconds(step: Step) -> float | None:
    """Return how many seconds the question was open whose answer ended a visit; None if there was none."""
    return step.at - step.began if has_answer(step) and step.began else None


def end_waits(visit: Visit, at: float, seq: int, ended: Mapping[str, str]) -> None:
    """End everything that a visit waits for; `ended` are the waits that were answered, and by what."""
    for wait in visit.waiting if visit.waits else ():
        wait.until, wait.end, wait.by = at, seq, ended.get(wait.name, "")


def end_nested(visit: Visit, at: float, seq: int) -> None:
    """End the map or graph that a visit is inside."""
    nested = visit.nested
    if nested is not None:
        nested.until, nested.end = at, seq


def leave(visit: Visit, at: float, seq: int, ended: Mapping[str, str]) -> None:
    """End what is in progress in a visit that its frame has left."""
    end_waits(visit, at, seq, ended)
    end_nested(visit, at, seq)
    if visit.status == "open":
        visit.status, visit.ended = "dropped", at
