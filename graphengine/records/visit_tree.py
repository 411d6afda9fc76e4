"""The classes that describe the course of a run: tracks, visits, edges, waits, attempts and driven time.

Every position at which a run executes nodes is a *frame*: the run itself, each arm of a fork, each item of a map, and
each graph inside a node has a frame of its own. `graphengine.records.visits` creates these objects from recorded steps,
and updates them with each further step. The objects form a tree: a `Track` is the history of one frame and contains
`Visit`s, a visit that enters a map or a graph contains a `Nested`, and a `Nested` contains the tracks of the items or
of the graph.
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
"""The status of a visit.

`open` until the visit ends. `done` if it ended with a result. `failed` if it failed; a resume can open the visit again.
`dropped` if its frame went away or left the node before the visit ended.
"""


class TakenEdge(Struct, eq=False):
    """An edge that a run took: from a node, from START, or from the join of a fork.

    Attributes:
        track: The track that took the edge.
        source: The node that the edge leaves; START where a graph begins, "" at a join.
        to: The target of the edge, or the targets of a fork's arms.
        label: The label of the edge.
        outcome: The decision as the step records it.
        ways: The edges among which the graph chose, from the graph spec that was in force; empty if the spec is not
            known.
        is_failure: Whether the edge is an edge for failures.
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
        """Why this edge was taken: the comparisons of its conditions, in words."""
        return why_of(self.outcome, self.ways)


class WaitTime(Struct, eq=False):
    """One wait of a node, such as a question to a person, with its beginning and its end.

    Attributes:
        name: The name of the wait.
        kind: `ask`, `receive`, `sleep`, `pause` or `crash`.
        question: The question, in words.
        since: When the wait began, epoch seconds.
        seq: The number of the step with which the wait began.
        until: When the wait ended, epoch seconds; None while the visit still waits.
        end: The number of the step with which the wait ended; 0 while the visit still waits.
        by: How the wait ended: `answer`, `message`, `time` or `default`; "" if the visit or the wait ended in another
            way.
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
    """The map or the nested graph that a visit of a node executed, together with the tracks inside.

    A track is the list of visits that one item of a map, or the nested graph, made. A visit has several objects of this
    class if a later attempt entered the map or graph again.

    Attributes:
        kind: `map` or `graph`.
        count: The number of items of a map; 0 for a graph.
        since: When the map or graph began, epoch seconds.
        seq: The number of the step with which the map or graph began.
        until: When the map or graph ended, epoch seconds; None while it runs.
        end: The number of the step with which the map or graph ended; 0 while it runs.
        tracks: The tracks of the items that began, by the index of the item. The only track of a graph has the index 0.
    """

    kind: Literal["map", "graph"]
    count: int
    since: float
    seq: int
    until: float | None = None
    end: int = 0
    tracks: dict[int, Track] = {}


class Track(Struct, eq=False):
    """The visits that one frame of a run made, in order.

    A frame is a position of the run in a graph. The run itself has a frame, and so has each arm of a fork, each item of
    a map, and each graph inside a node.

    Attributes:
        frame: The id of the frame.
        kind: The kind of the frame.
        parent: The track from which this track started; None for the track of the run itself.
        around: The visit whose map or graph contains this track. For an arm, the visit at which the fork happened; None
            if the fork is at START.
        index: The index of an item; 0 for other kinds.
        choice: The choice that `choose` made, if the track is a graph.
        edge: The edge out of START, if the track walks a graph of its own.
        visits: The visits of the track, in order.
        live: The frame, as long as it exists; None afterwards.
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
        """The last visit of the track. While the track has not ended, this is the present visit."""
        return self.visits[-1] if self.visits else None

    @property
    def graph(self) -> Track:
        """The track of the graph in which this track visits nodes.

        That graph is the run's own graph, or a graph inside a node. An arm of a fork, or an item of a map, has a track
        of its own inside that graph.
        """
        track = self
        while track.kind in ("arm", "item") and track.parent is not None:
            track = track.parent
        return track

    @property
    def place(self) -> Place:
        """Where the graph whose nodes the track visits lies in the tree of nested graphs; see `Place`."""
        if self.parent is None:
            return ()
        graph = self.graph
        if graph.parent is None or graph.around is None:
            return ()
        return (*graph.parent.place, (graph.around.node, graph.choice))

    @property
    def path(self) -> str:
        """The path of the node that runs the track's graph, such as `article`; "" for the graph of the run."""
        around = self.graph.around
        return around.path if around is not None else ""


class Tried(Struct, frozen=True):
    """One ended attempt of a visit.

    Attributes:
        number: The number of the attempt, from 1.
        began: When the work of the attempt, or the map or graph at its node, began, epoch seconds; 0 if not known.
        ended: When the attempt ended, epoch seconds.
        seq: The number of the step with which the attempt ended.
        failure: The failure of the attempt. If the fallback gave the result, the failure that led to the fallback.
        is_fallback: Whether a fallback gave the result.
        is_retried: Whether another attempt or the fallback followed.
        due: When the next attempt was due, if the run had to sleep before the attempt.
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
    """One visit of a node, with all its attempts. A node in a loop has several visits, and so has each item of a map.

    Attributes:
        track: The track that made the visit.
        node: The name of the node.
        number: The number of the visit of this node, from 1.
        began: When the visit could begin, epoch seconds.
        ready: When the present attempt could begin, epoch seconds.
        ended: When the visit ended, epoch seconds; None while the visit is open.
        status: The status of the visit.
        completed: Whether the visit counts as completed: it ended with a result, or left along an edge for failures.
        edge: The edge along which the track left the node.
        waits: The waits of the visit, in order.
        insides: The maps and graphs that the visit entered, one for each attempt that entered one.
        entries: The steps of the visit.
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
        """The full path of the node in the run, such as `pieces[1]/write`."""
        track = self.track
        if track.kind == "item" and track.around is not None:
            return f"{track.around.path}[{track.index}]"
        return f"{track.path}/{self.node}" if track.path else self.node

    @property
    def waiting(self) -> Sequence[WaitTime]:
        """The waits of the visit that have not ended: questions, messages or times.

        Waits that began together also end together, so these are the last in `waits`.
        """
        return [*takewhile(lambda wait: wait.until is None, reversed(self.waits))][::-1] if self.waits else ()

    @property
    def nested(self) -> Nested | None:
        """The map or graph that the visit is executing now; None if it executes none."""
        return self.insides[-1] if self.insides and self.insides[-1].until is None else None

    @property
    def attempts(self) -> Sequence[Tried]:
        """The attempts of the visit that have ended."""
        return [each.tried for each in self.entries if isinstance(each.step.data, AttemptEnded)]

    @property
    def work(self) -> Sequence[Recorded]:
        """The results that were recorded during the visit, such as answers of models and results of tools."""
        return [each.step.data for each in self.entries if isinstance(each.step.data, Recorded)]

    @property
    def failure(self) -> FailureRecord | None:
        """The failure of the last attempt; None if it did not fail.

        If a fallback gave the result, this is the failure that led to the fallback.
        """
        return self.attempts[-1].failure if self.attempts else None


class Entry(Struct, frozen=True, eq=False):
    """A recorded step together with its place in the run: its track, its visit, its edge and its times.

    Attributes:
        step: The step.
        track: The track that the step belongs to or begins; None if the frame of the step no longer exists.
        visit: The visit that the step belongs to, if any.
        edge: The edge that the step records.
        began: When the work of the step, or the map or graph at its node, began, epoch seconds; 0 if not known.
        took: How many seconds a process drove the work. None if the step did no work, or if the work began before the
            first known step.
        waited: The seconds for which the question that the step answers was open.
        was_held: Whether the visit was waiting, or was executing a map or graph, just before the step.
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
        """The details of the attempt that this step ended, such as its failure.

        Only a step that ends an attempt has them.
        """
        step, facts = self.step, self.step.data
        retried = isinstance(facts, Attempt)
        due = facts.due_at if isinstance(facts, Attempt) else None
        fallback = isinstance(facts, Node) and facts.fallback
        return Tried(step.attempt, self.began, step.at, step.seq, step.data.error, fallback, retried, due)


class Milestone(Struct, frozen=True):
    """A step that starts, branches, resumes or stops the whole run, as timelines show it.

    Attributes:
        kind: The kind of the step: `started`, `branched`, `resumed` or `stopped`.
        seq: The number of the step.
        at: When the step was recorded, epoch seconds.
        since: When the previous step was recorded, epoch seconds.
        status: The status of the run before the step.
        run_id: The id of the run from this step on.
        crashed: Whether a process died while nodes of the run were executing, before this step.
    """

    kind: Kind
    seq: int
    at: float
    since: float
    status: RunStatus
    run_id: str
    crashed: bool = False


class DrivenTime:
    """Computes for how many seconds a process drove a run between two times, from the steps seen so far.

    The time between a stop and a resume does not count, and neither does the time during which the whole run waits or
    sleeps. The total time of a run excludes these times too. If a visit ended with an answer, the time until the answer
    belongs to the question. It does not count as work of the visit.

    Attributes:
        since: When the first step was seen, epoch seconds; infinite before that.
    """

    def __init__(self) -> None:
        self.since = inf
        self._idle: list[tuple[float, float]] = []

    def see(self, at: float, idle_since: float | None = None) -> None:
        """Note at which time the run recorded a step. Call this for each step, in order.

        Args:
            at: When the step was recorded, epoch seconds.
            idle_since: Since when no process drove the run before this step; None if a process drove the run.
        """
        if self.since == inf:
            self.since = at
        elif idle_since is not None:
            self._idle.append((idle_since, at))

    def took(self, began: float, ended: float) -> float | None:
        """Return how many seconds a process drove the run between two times; None if the first time is not known.

        The first time counts as not known if `began` is 0 or lies before the first step that was seen.
        """
        return self.between(began, ended) if began and began >= self.since else None

    def between(self, began: float, ended: float) -> float:
        """Return how many seconds a process drove the run between two epoch times."""
        idle = 0.0
        for start, end in reversed(self._idle):
            # All earlier idle times end before `began` too. A long run can have many idle times, so stop here.
            if end <= began:
                break
            idle += max(0.0, min(end, ended) - max(start, began))
        return max(0.0, ended - began - idle)


def is_by_answer(step: Step) -> bool:
    """Return whether a step ended a visit with an answer, or because no answer came in time.

    The time of such a visit counts as waiting time of the question, and not as work of the node.
    """
    failure = step.data.error
    return has_answer(step) or (failure is not None and failure.kind in _UNANSWERED)


def has_answer(step: Step) -> bool:
    """Return whether the step ended a wait: with an answer, a message, a time, or the default of a question."""
    return isinstance(step.data, (AttemptEnded, Answered)) and bool(step.data.by)


def open_seconds(step: Step) -> float | None:
    """Return how many seconds the wait that this step ended was open; None if the step ended no wait."""
    return step.at - step.began if has_answer(step) and step.began else None


def end_waits(visit: Visit, at: float, seq: int, ended: Mapping[str, str]) -> None:
    """Record that all open waits of a visit have ended. `ended` says how, by the name of the wait, if that is known."""
    for wait in visit.waiting if visit.waits else ():
        wait.until, wait.end, wait.by = at, seq, ended.get(wait.name, "")


def end_nested(visit: Visit, at: float, seq: int) -> None:
    """Record that the map or graph that the visit was executing has ended, if there is one."""
    nested = visit.nested
    if nested is not None:
        nested.until, nested.end = at, seq


def leave(visit: Visit, at: float, seq: int, ended: Mapping[str, str]) -> None:
    """Mark a visit as ended, with all its waits and the map or graph in it, because the run has left the node."""
    end_waits(visit, at, seq, ended)
    end_nested(visit, at, seq)
    if visit.status == "open":
        visit.status, visit.ended = "dropped", at
