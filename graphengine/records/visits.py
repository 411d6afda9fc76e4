"""Turn the recorded steps of a run into visits of nodes, one step at a time.

`graphengine.engine.fold.evolve` computes where a run is after a step. This module records how that changed the visits,
so that pictures, timelines, the command line and tests all show the same course of a run. A run is a tree of tracks,
with one track for each frame that the run ever had. A track is a list of visits, and a visit contains its steps.

Nodes always have their present names. If a step renames nodes, earlier visits and edges are renamed too.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from graphengine.errors import UnknownStep
from graphengine.kernel.extension import END, FAIL, START
from graphengine.kernel.inside import ROOT, Shift, unfoldable, ways_of
from graphengine.kernel.reader import (
    Answered,
    Attempt,
    AttemptEnded,
    Branched,
    Collecting,
    Decided,
    Ended,
    Entered,
    Failed,
    Forked,
    GivenUp,
    Inside,
    Item,
    Joined,
    Leaving,
    Left,
    Node,
    Removed,
    Resumed,
    Snapshot,
    Started,
    Stopped,
    load_snapshot,
    outcome_of,
    show,
)
from graphengine.kernel.store import evolve, is_removed, step_removed
from graphengine.records.visit_tree import (
    DrivenTime,
    Entry,
    Milestone,
    Nested,
    TakenEdge,
    Track,
    Visit,
    WaitTime,
    end_nested,
    end_waits,
    is_by_answer,
    leave,
    open_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphengine.kernel.reader import Frame, GraphSpec, Step
    from graphengine.kernel.store import RunStore

_NO_NODES: Final = frozenset(("", START, END, FAIL))
_PUT_BY_THE_ENGINE: Final = ("pause", "unknown")
"""Kinds of waits that the engine itself began. Their time does not count as time that an answer took."""

# The code looks up `type(facts)` in these sets instead of calling `isinstance`: an `isinstance` that fails costs
# 0.17 µs for a Struct, a lookup in a set costs 0.05 µs, and a run can have 100,000 steps.
_SHIFTS: Final = frozenset((Resumed, Branched))
_TURNS: Final = frozenset((Started, Branched, Resumed, Stopped))
_RESULTS: Final = frozenset((Node, Item, Failed))
_BY_WAIT: Final = frozenset((Answered, Node, Item, Attempt, Failed))
_WITH_EDGE: Final = frozenset((Started, Entered, Node, Failed, Left, Joined))
_DONE: Final = frozenset((Leaving, Forked))
_NONE: Final[Mapping[str, str]] = {}
_AROUND: Final = frozenset((Collecting, Inside))


class Visits:
    """The visits of nodes that a run made, built from its recorded steps.

    Call `feed` with one step after the other, or `of` with all steps at once.

    Args:
        start: The snapshot before the first step, which `feed` changes; by default the snapshot of a run that has not
            started. Visits that are open in this snapshot lack their earlier steps.
        keeps: Whether to keep visits and steps that have ended. A live display only needs the visits in progress.
        specs: The specs of the run's graph by fingerprint. They contain the conditions, with which the reasons for
            edges are put into words.

    Attributes:
        snapshot: The snapshot of the run after the last step.
        entries: The steps, each with its visit and its edge.
        visits: All visits, in the order in which they began.
        tracks: All tracks, in the order in which they began. The first track is the run itself.
        turns: The starts, branches, stops and resumes of the run.
        time: Computes how long a process drove the run.
    """

    def __init__(
        self, start: Snapshot | None = None, *, keeps: bool = True, specs: Mapping[str, GraphSpec] | None = None
    ) -> None:
        self.snapshot = start if start is not None else Snapshot()
        self.entries: list[Entry] = []
        self.visits: list[Visit] = []
        self.tracks: list[Track] = []
        self.turns: list[Milestone] = []
        self.time = DrivenTime()
        self.specs: Mapping[str, GraphSpec] = {} if specs is None else specs
        self._keeps = keeps
        self._live: dict[str, Track] = {}
        for frame in self.snapshot.frames.values():
            self._look(frame, self.snapshot.now, self.snapshot.seq)

    @classmethod
    def of(
        cls, steps: Iterable[Step], start: Snapshot | None = None, specs: Mapping[str, GraphSpec] | None = None
    ) -> Visits:
        """Build the visits of a run from all its steps.

        Raises:
            ValueError: The steps do not follow each other, or do not make a run.
            LookupError: The steps name a frame or a node that does not exist.
        """
        found = cls(start, specs=specs)
        for step in steps:
            found.feed(step)
        return found

    @property
    def live(self) -> Mapping[str, Track]:
        """The tracks that have not ended, by the ids of their frames."""
        return self._live

    def feed(self, step: Step) -> Entry:
        """Add the next step of the run, and return the step together with its visit, its edge and its times.

        Raises:
            ValueError: The step does not follow the previous step. The object cannot be used afterwards.
            LookupError: The step names a frame or a node that does not exist. The object cannot be used afterwards.
        """
        facts, kind, snapshot = step.data, type(step.data), self.snapshot
        track = self._live.get(step.frame)
        visit = track.visit if track is not None and step.node and kind is not Joined else None
        nested = visit.nested if visit is not None else None
        waiting = visit.waiting if visit is not None else ()
        since, driven, status = snapshot.now, snapshot.elapsed_seconds, snapshot.status
        if kind in _SHIFTS and isinstance(facts, Shift) and facts.renamed:
            self._rename(facts.renamed)
        has_typed = type(step) is Decided and step.typed is not None
        # Typed values belong to the process that drives the run, so the visits do not keep them.
        evolve(snapshot, replace(step, typed=None) if has_typed else step)
        self.time.see(step.at, since if step.at > since and snapshot.elapsed_seconds == driven else None)
        if visit is not None and kind in _RESULTS:
            visit.completed = not isinstance(facts, Failed) or not facts.has_failed
            visit.status, visit.ended = "failed" if kind is Failed else "done", step.at
        self._sync(step)
        began = _began(step, nested)
        track = track or self._live.get(step.frame)
        if kind is Entered and visit is not None and visit.nested is not None:
            track = visit.nested.tracks[0]
        edge = self._edge(step, track, visit) if kind in _WITH_EDGE else None
        took = self.time.took(began, step.at) if began and not is_by_answer(step) else None
        was_held = nested is not None or bool(waiting)
        entry = Entry(step, track, visit, edge, began, took, _seconds_waited(step, waiting), was_held)
        if visit is not None:
            visit.entries.append(entry)
        if self._keeps:
            self.entries.append(entry)
        if kind in _TURNS:
            crashed = isinstance(facts, Resumed) and facts.crashed
            self.turns.append(Milestone(step.kind, step.seq, step.at, since, status, snapshot.run_id, crashed))
        return entry

    def _sync(self, step: Step) -> None:
        """Update the tracks of all positions of the run (frames) that a step can have changed.

        These are the frame of the step, new frames, frames that no longer exist, and frames of items that start again
        because another item ended or gave up its slot.
        """
        frames, live, ended = self.snapshot.frames, self._live, _NONE
        kind = type(step.data)
        if kind in _BY_WAIT and isinstance(step.data, (AttemptEnded, Answered)):
            also = step.data.also if isinstance(step.data, Answered) else ()
            ended = dict.fromkeys((step.data.wait, *also), step.data.by or "")
        found: list[Frame] = []
        if kind in _SHIFTS or kind is Started or kind is Removed:
            live = self._live = {track.live.id: track for track in live.values() if track.live is not None}
            for key, track in live.items():
                track.frame = key
            found = list(frames.values())
        else:
            for frame in reversed(frames.values()):  # New frames are at the end.
                if not self._is_new(frame):
                    break
                found.append(frame)
            found.reverse()
            changed = (key for key in self.snapshot.changed if key in live and key[-1:] == "]")
            found[:0] = [frames[key] for key in dict.fromkeys((step.frame, *changed)) if key in frames]
            if step.frame not in frames and step.frame in live:
                self._close(step.frame, step.at, step.seq, ended)
        for frame in found:
            self._look(frame, step.at, step.seq, ended)
        if len(live) > len(frames):
            for key in [key for key in live if key not in frames]:
                self._close(key, step.at, step.seq)

    def _is_new(self, frame: Frame) -> bool:
        known = self._live.get(frame.id)
        return known is None or known.live is not frame

    def _look(self, frame: Frame, at: float, seq: int, ended: Mapping[str, str] = _NONE) -> None:
        """Update the track of a frame. If the frame has moved to another node, end its visit and begin a new one.

        `ended` contains how waits of the visit ended, by the names of the waits.
        """
        if self._is_new(frame):
            if frame.id in self._live:
                self._close(frame.id, at, seq)
            self._open(frame)
        track, phase = self._live[frame.id], frame.phase
        visit = track.visit
        is_here = type(phase) is not Ended and frame.at not in _NO_NODES
        if visit is not None and not (is_here and (visit.node, visit.number) == (frame.at, frame.visit)):
            leave(visit, at, seq, ended)
            visit = None
        if is_here:
            self._stay(visit or self._arrive(track, frame, at), frame, (at, seq), ended)

    def _arrive(self, track: Track, frame: Frame, at: float) -> Visit:
        visit = Visit(track, frame.at, frame.visit, frame.arrived, frame.arrived)
        if type(frame.phase) in _DONE:  # The visit was completed before the first step that is known.
            visit.status, visit.completed, visit.ended = "done", True, at
        if self._keeps:
            self.visits.append(visit)
        else:
            track.visits.clear()
        track.visits.append(visit)
        return visit

    def _stay(self, visit: Visit, frame: Frame, when: tuple[float, int], ended: Mapping[str, str]) -> None:
        """Update a visit that continues, because its position (frame) is still at the node.

        This concerns the visit's status, its waits, and its map or graph. `when` is the time and the number of the
        step.
        """
        (at, seq), phase = when, frame.phase
        visit.ready = max(frame.arrived, frame.due)
        has_failed = type(phase) is GivenUp or (frame.kind == "item" and frame.failing is not None)
        if visit.status == "open" and has_failed:
            visit.status, visit.ended = "failed", at
        elif visit.status == "failed" and not visit.completed and frame.failing is None:
            visit.status, visit.ended = "open", None
        if (visit.waits or frame.waits) and [wait.name for wait in visit.waiting] != list(frame.waits):
            end_waits(visit, at, seq, ended)
            visit.waits += [
                WaitTime(name, each.kind, show(each.question), frame.since, seq) for name, each in frame.waits.items()
            ]
        if type(phase) not in _AROUND:
            end_nested(visit, at, seq)
        elif visit.nested is None and isinstance(phase, Collecting):
            visit.insides.append(Nested("map", phase.count, phase.began, seq))
        elif visit.nested is None:
            visit.insides.append(Nested("graph", 0, self.snapshot.frames[frame.sub_id].since, seq))

    def _open(self, frame: Frame) -> None:
        """Begin a track, which lists visits, for a new position of the run (a frame).

        If a failed item of a map starts again, its earlier track is continued.
        """
        track = Track(ROOT, "root")
        if frame.up is not None:
            parent = self._live[frame.up.id]
            around = parent.visit
            index = int(frame.id[frame.id.rindex("[") + 1 : -1]) if frame.kind == "item" else 0
            track = Track(frame.id, frame.kind, parent, around, index, frame.up.choice)
            nested = around.nested if around is not None and frame.kind != "arm" else None
            if nested is not None:
                track = nested.tracks.setdefault(index, track)
        if self._keeps and not track.visits:
            self.tracks.append(track)
        track.live = frame
        self._live[frame.id] = track

    def _close(self, key: str, at: float, seq: int, ended: Mapping[str, str] = _NONE) -> None:
        """End the track of a position of the run (a frame) that a step has removed.

        For example, an item of a map has ended.
        """
        track = self._live.pop(key)
        track.live = None
        if track.visit is None:
            return
        leave(track.visit, at, seq, ended)
        nested = track.around.nested if track.around is not None and track.kind == "item" else None
        if nested is not None and track.visit.completed and not self._keeps:
            del nested.tracks[track.index]

    def _edge(self, step: Step, track: Track | None, visit: Visit | None) -> TakenEdge | None:
        """Return the edge that the run took with this step, and note it at the visit; None if no edge was taken."""
        outcome, kind = outcome_of(step), type(step.data)
        if not outcome.to or track is None:
            return None
        source = START if visit is None or kind is Entered else visit.node
        source = "" if kind is Joined else source
        ways = ways_of(self.specs.get(self.snapshot.fingerprint), step) if self.specs else ()
        edge = TakenEdge(track, source, outcome.to, outcome.edge, outcome, ways, kind is Failed)
        if track.live is not None and isinstance(track.live.phase, Forked):
            edge.arms = [self._live[key] for key in track.live.phase.arms]
        if source == START:
            track.edge = edge
        elif visit is not None:
            visit.edge = edge
        return edge

    def _rename(self, renamed: Mapping[str, Mapping[str, str]]) -> None:
        """Give nodes their new names in all earlier visits and edges.

        This is needed after a resume under a changed graph in which nodes have new names.
        """
        known = {self._live[frame].place: names for frame, names in renamed.items()}
        open_visits = [track.visit for track in self._live.values() if track.visit is not None]
        visits = [(each, known.get(each.track.place, {})) for each in self.visits or open_visits]
        edges = [each.edge for each in self.entries if each.edge is not None]
        for edge, names in [(edge, known.get(edge.track.place, {})) for edge in edges]:
            edge.source = names.get(edge.source, edge.source)
            edge.to = [names.get(target, target) for target in edge.to]
        for visit, names in visits:
            visit.node = names.get(visit.node, visit.node)


def _began(step: Step, nested: Nested | None) -> float:
    """Return when the work that the step ends began. For a node that runs a graph, this is the begin of the graph."""
    is_of_graph = nested is not None and nested.kind == "graph" and isinstance(step.data, AttemptEnded)
    return nested.since if nested is not None and is_of_graph else step.began


def _seconds_waited(step: Step, waiting: Sequence[WaitTime]) -> float:
    """Return for how many seconds a question was open before the answer that this step records; 0 without an answer."""
    kind = type(step.data)
    if kind is Answered and waiting and waiting[0].kind not in _PUT_BY_THE_ENGINE:
        return max(0.0, step.at - waiting[0].since)
    return (open_seconds(step) or 0.0) if kind is Node or kind is Failed else 0.0


async def load_visits(store: RunStore, run_id: str, seq: int | None = None) -> Visits:
    """Read the visits of a run from the store, up to a step or to the end of the log.

    Raises:
        UnknownRun: The run does not exist.
        UnknownStep: The run has no such step, or retention has removed its data.
        StoreCorrupt: The log is damaged: its steps do not follow each other.
    """
    steps = await store.steps(run_id, 0, seq)
    if steps and is_removed(steps[-1]):
        raise step_removed(run_id, steps[-1].seq)
    try:
        found = Visits.of(steps)
        found.snapshot.check_sound()
    except Exception as error:
        raise unfoldable(run_id, error) from error
    return found


async def load_start(store: RunStore, run_id: str, seq: int) -> Snapshot | None:
    """Load the snapshot of a run after the step `seq`, so that the steps after it can be read without the ones before.

    None means that reading must start at the first step. That is so if `seq` is 0, or if retention has removed the
    step. In that case only few earlier steps are left, so that reading from the beginning is cheap.

    Raises:
        UnknownRun: The run does not exist.
        StoreCorrupt: The log is damaged: its steps do not follow each other.
    """
    if seq > 0:
        with suppress(UnknownStep):
            return await load_snapshot(store, run_id, seq)
    return None
