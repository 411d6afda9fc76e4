"""What a recorded run did on its graphs, as a picture needs it: visits, edges taken, and where it is.

Visits are read by `graphengine.records.visits`. Visits in a nested graph count at its place, regardless of the visit,
arm or item to which they belong. The edge that a step took is identified by its place in the spec under the fingerprint
in force then, and found in the spec that is drawn by what is declared of it. One that is not declared there is an edge
of another version: it is counted, and drawn nowhere.
"""

from __future__ import annotations

from collections import ChainMap, Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct

from graphengine.kernel.extension import START
from graphengine.kernel.inside import OTHERWISE, Shift, fingerprint_of, reasons_of
from graphengine.kernel.reader import Attempt, Failed, Node, usage_of
from graphengine.records.declared_edges import declarations
from graphengine.records.step_queries import falls_back
from graphengine.records.visits import Visits
from graphengine.records.words import counted
from graphengine.render.amounts import Used
from graphengine.render.edges import edges_of
from graphengine.render.files import RenderError
from graphengine.render.place_states import states_of
from graphengine.render.words import times_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from graphengine.kernel.reader import EdgeSpec, GraphSpec, Snapshot, Step
    from graphengine.records.declared_edges import Declaration
    from graphengine.records.visit_tree import Entry, Place, TakenEdge
    from graphengine.render.edges import DrawnEdge
    from graphengine.render.place_states import PlaceState
    from graphengine.render.scopes import Scope, Spot

_ITEMS: Final = ("done", "failed for good")
_MOVES: Final = frozenset(("started", "entered", "node", "failed", "left", "joined"))
_BEGINNINGS: Final = frozenset(("started", "entered"))
_SHIFTS: Final = frozenset(("resumed", "branched"))
_TIMED: Final = frozenset(("node", "attempt", "failed"))


@dataclass(frozen=True, slots=True)
class Trace:
    """A run on its graphs.

    Attributes:
        run_id: The run.
        summary: Its status and why it stopped, in words.
        visits: Completed visits by node; those of START count how often its graph began.
        facts: What else happened at a node, in words.
        standings: Its state at the nodes where it is.
        taken: How often each edge was taken, in the order of the edges, by graph.
        reasons: The recorded explanation of the condition of each edge taken, of the last time, by its graph and its
            place; "" if it has none.
        picked: How often a node that chooses picked each of its choices.
        forked: How often each fork was taken, by its graph, its node and its place among that node's edges.
        used_at: How long each node was driven, and what it spent on models.
        used: The same for the whole run.
        earlier: How often an edge was taken that the graph which is drawn does not have.
    """

    run_id: str
    summary: str
    visits: Mapping[Spot, int]
    facts: Mapping[Spot, Sequence[str]]
    standings: Mapping[Spot, PlaceState]
    taken: Mapping[Place, Sequence[int]]
    reasons: Mapping[tuple[Place, int], str]
    picked: Mapping[tuple[Spot, str], int]
    forked: Mapping[tuple[Spot, int], int]
    used_at: Mapping[Spot, Used]
    used: Used
    earlier: int


def trace_of(
    graph_spec: GraphSpec,
    scopes: Mapping[Place, Scope],
    steps: Iterable[Step],
    specs: Mapping[str, GraphSpec] | None = None,
    status: str = "",
) -> Trace:
    """Trace these steps on the graphs of a graph spec. They are counted one by one, and none is kept.

    Args:
        graph_spec: The graph spec.
        scopes: Its graphs.
        steps: All steps of the run from seq 1 on, including those of its parents.
        specs: Other specs of the run's graph, by fingerprint: those under which steps were recorded. They are looked up
            as steps are read, and may be added meanwhile.
        status: The run's status, if the store knows more than its steps.

    Raises:
        RenderError: The steps do not follow each other from 1 on.
    """
    known = ChainMap({fingerprint_of(graph_spec): graph_spec}, {} if specs is None else specs)  # type: ignore[arg-type]
    tally = Tally(graph_spec, scopes, Visits(keeps=False, specs=known))
    with _read_as_a_run():
        for step in steps:
            tally.feed(step)
    return tally.trace(status)


def visits_of(steps: Sequence[Step], seen: Callable[[Visits, Entry], None] | None = None) -> Visits:
    """Return the visits of a run.

    Args:
        steps: All steps of the run from seq 1 on, including those of its parents.
        seen: Called after each step, with the visits as of then.

    Raises:
        RenderError: The steps do not follow each other from 1 on.
    """
    run = Visits()
    with _read_as_a_run():
        for step in steps:
            entry = run.feed(step)
            if seen is not None:
                seen(run, entry)
    return run


@contextmanager
def _read_as_a_run() -> Iterator[None]:
    """Raise a `RenderError` for steps that do not follow each other."""
    try:
        yield
    except (ValueError, LookupError) as error:
        raise RenderError(
            f"the steps do not make a run: {error}",
            where="steps=",
            repair="pass every step from seq 1 on; a branch begins with its parent's",
        ) from error


def standing(snapshot: Snapshot, status: str = "") -> str:
    """Return the status of a run, and why it stopped; of steps that go on, the status that the store knows."""
    if not snapshot.frames:
        return "not begun"
    why = ending(snapshot)
    status = status if snapshot.status == "running" and status else snapshot.status
    return f"{status} after {counted(snapshot.steps, 'visit')}" + (f": {why}" if why else "")


def ending(snapshot: Snapshot) -> str:
    """Return why a run stopped, in brief; "" if its status is enough."""
    why = (snapshot.ending.label or snapshot.ending.why) if snapshot.ending is not None else ""
    return "" if why == "otherwise" else why  # an edge without a condition explains nothing


class Counted(NamedTuple):
    """What one step adds: the completed visits, START for a graph that begins, and the edges taken by their places."""

    visits: Sequence[Spot]
    edges: Sequence[tuple[Place, int]]


class _At(Struct):
    """What happened at a node."""

    visits: int = 0
    picked: Counter[str] = msgspec.field(default_factory=Counter)
    events: Counter[str] = msgspec.field(default_factory=Counter)
    used: Used = Used()

    def add(self, other: _At) -> None:
        """Add what happened under another name of the node."""
        self.visits += other.visits
        self.picked += other.picked
        self.events += other.events
        self.used = self.used.plus(other.used)


class _EdgeKey(NamedTuple):
    """What identifies an edge in the steps that took it: what was declared of it, and which of its arrows it was."""

    place: Place
    declared: Declaration | None
    to: tuple[str, ...]


class _Taken(Struct):
    """How often an edge was taken, its drawn edges by their numbers, and its last step with the reasons there.

    The reasons are those of the edge itself, under "", and of the arms of a fork, by their targets.
    """

    indices: Sequence[int]
    times: int = 0
    last: int = 0
    reasons: Mapping[str, str] = {}


class Tally:
    """The counts of a run's steps, one step at a time; see `Trace` for what it counts.

    Nodes have their present names: where a step renames some, what was counted before is renamed too.

    Args:
        graph_spec: The graph spec that is drawn.
        scopes: The graphs of it.
        run: The visits, which the tally feeds; it needs the specs of the run's graph.
    """

    def __init__(self, graph_spec: GraphSpec, scopes: Mapping[Place, Scope], run: Visits) -> None:
        self.graph_spec = graph_spec
        self.scopes = scopes
        self.run = run
        self._declared: dict[int, tuple[Sequence[EdgeSpec], Sequence[Declaration]]] = {}
        self._spots: dict[Spot, _At] = {}
        self._edges: dict[_EdgeKey, _Taken] = {}
        self._moves: dict[str, tuple[Place, str, str]] = {}

    def feed(self, step: Step) -> tuple[Entry, Counted]:
        """Take the next step; return what is known about it, and what it added.

        Raises:
            ValueError, LookupError: As `Visits.feed`.
        """
        is_shift = step.kind in _SHIFTS and isinstance(step.data, Shift) and bool(step.data.renamed)
        rename = self._prepare_renaming(step.data) if is_shift and isinstance(step.data, Shift) else None
        entry = self.run.feed(step)
        if rename is not None:
            rename()
        return entry, self._add(entry)

    def _add(self, entry: Entry) -> Counted:
        """Count one step."""
        step, visit, track, edge = entry.step, entry.visit, entry.track, entry.edge
        kind, facts = step.kind, step.data
        place = track.place if track is not None else ()
        begins = kind in _BEGINNINGS and track is not None
        visited: list[Spot] = []
        if begins:
            visited.append((place, START))
        if visit is not None:
            spot = (place if visit.track is track else visit.track.place, visit.node)
            if kind == "node" or (kind == "failed" and isinstance(facts, Failed) and not facts.has_failed):
                visited.append(spot)
            self._note(spot, entry)
        for each in visited:
            self._at(each).visits += 1
        taken = self._take(place, edge, step.seq) if edge is not None and edge.source else ()
        if track is not None and kind in _MOVES:
            source = START if begins else visit.node if visit is not None else ""
            self._moves[track.frame] = (place, edge.source, edge.to[0]) if edge is not None else (place, source, "")
        return Counted(visited, [(place, index) for index in taken])

    def _note(self, spot: Spot, entry: Entry) -> None:
        """Count what a step did at its node, how long it took, and what it spent.

        The time of items is in the time of their map. A map or graph that fails is no attempt: what failed in it is
        counted there. Asking a question is not work: its node reports how long it was
        open, once it is answered.
        """
        step = entry.step
        kind, facts = step.kind, step.data
        is_timed = kind in _TIMED or (kind == "waiting" and not self._asks(spot))
        took, usage = entry.took if is_timed else None, usage_of(step)
        failures = int(facts.error is not None and not (entry.visit is not None and entry.visit.insides))
        if took is not None or usage or entry.waited or failures:
            at = self._at(spot)
            at.used = at.used.plus(Used(took, usage, entry.waited, failures))
        if isinstance(facts, Node) and facts.choice:
            self._at(spot).picked[facts.choice] += 1
        for what in _what(step):
            self._at(spot).events[what] += 1

    def _at(self, spot: Spot) -> _At:
        found = self._spots.get(spot)
        if found is None:
            found = self._spots[spot] = _At()
        return found

    def _asks(self, spot: Spot) -> bool:
        """Return whether a node is a question."""
        scope = self.scopes.get(spot[0])
        facts = scope.nodes.get(spot[1]) if scope is not None else None
        return facts is not None and facts.get("kind") == "ask"

    def _take(self, place: Place, edge: TakenEdge, seq: int) -> Sequence[int]:
        """Count a taken edge, and return its drawn edges; a fork's arms count for themselves, so a join counts none."""
        taken = self._edge(self._key_of(place, edge))
        taken.times += 1
        taken.last = seq
        taken.reasons = {
            each.arm: each.words
            for each in reasons_of(edge.outcome, edge.ways)
            if each.way == edge.outcome.way and each.words != OTHERWISE
        }
        return taken.indices

    def _key_of(self, place: Place, edge: TakenEdge) -> _EdgeKey:
        known = self._declared.get(id(edge.ways))
        if known is None:
            known = self._declared[id(edge.ways)] = edge.ways, declarations(edge.ways)  # held, so that the id stays its
        declared = known[1][edge.outcome.way] if 0 <= edge.outcome.way < len(known[1]) else None
        return _EdgeKey(place, declared, tuple(edge.to))

    def _edge(self, key: _EdgeKey) -> _Taken:
        found = self._edges.get(key)
        if found is None:
            scope = self.scopes.get(key.place)
            way = scope.ways.get(key.declared) if scope is not None and key.declared is not None else None
            edges = scope.edges if scope is not None and way is not None else ()
            indices = [index for index, each in enumerate(edges) if each.way == way and each.target in key.to]
            found = self._edges[key] = _Taken(indices)
        return found

    def _prepare_renaming(self, shift: Shift) -> Callable[[], None]:
        """Return a function that renames nodes and frames in what was counted; call it after the step is folded."""
        names = {self.run.live[frame].place: each for frame, each in shift.renamed.items() if frame in self.run.live}
        frames = {track.frame: track for track in self.run.live.values()}

        def name(place: Place, node: str) -> str:
            return names.get(place, {}).get(node, node)

        def moved(place: Place) -> Place:
            return tuple((name(place[:at], node), choice) for at, (node, choice) in enumerate(place))

        def rename() -> None:
            spots, edges, moves = self._spots, self._edges, self._moves
            self._spots, self._edges, self._moves = {}, {}, {}
            for (place, node), at in spots.items():
                self._at((moved(place), name(place, node))).add(at)
            for key, taken in edges.items():
                where = key.place
                now = names.get(where, {})
                declared = key.declared.renamed(now) if key.declared is not None and now else key.declared
                to = tuple(name(where, target) for target in key.to)
                found = self._edge(_EdgeKey(moved(where), declared, to))
                found.times += taken.times
                if taken.last > found.last:
                    found.last, found.reasons = taken.last, taken.reasons
            for frame, (place, source, target) in moves.items():
                there = frames[frame].frame if frame in frames else frame
                self._moves[there] = moved(place), name(place, source), name(place, target)

        return rename

    def standings(self) -> dict[Spot, PlaceState]:
        """Return where the run is after its last step."""
        places = {frame: track.place for frame, track in self.run.live.items()}
        moves = {frame: (source, target) for frame, (_, source, target) in self._moves.items()}
        return states_of(self.run.snapshot, places, moves)

    def trace(self, status: str = "") -> Trace:
        """Return what was counted."""
        snapshot, standings = self.run.snapshot, self.standings()
        whole = Used(snapshot.elapsed_seconds if snapshot.frames else None, snapshot.usage)
        taken = {place: [0] * len(scope.edges) for place, scope in self.scopes.items()}
        reasons: dict[tuple[Place, int], str] = {}
        forked: Counter[tuple[Spot, int]] = Counter()
        earlier = 0
        for key, edge in sorted(self._edges.items(), key=lambda each: each[1].last):
            earlier += 0 if edge.indices else edge.times
            drawn = {index: self.scopes[key.place].edges[index] for index in edge.indices}
            for index, each in drawn.items():
                taken[key.place][index] += edge.times
                reasons[key.place, index] = edge.reasons.get(each.target if each.fork else "", "")
            for source, order in {(each.source, each.order) for each in drawn.values() if each.fork}:
                forked[(key.place, source), order] += edge.times
        return Trace(
            run_id=snapshot.run_id,
            summary="; ".join(filter(None, (standing(snapshot, status), whole.in_words(), _of_earlier(earlier)))),
            visits={spot: at.visits for spot, at in self._spots.items()},
            facts=self._facts(standings),
            standings=standings,
            taken=taken,
            reasons=reasons,
            picked={(spot, choice): times for spot, at in self._spots.items() for choice, times in at.picked.items()},
            forked=forked,
            used_at={spot: at.used for spot, at in self._spots.items()},
            used=whole,
            earlier=earlier,
        )

    def _facts(self, standings: Mapping[Spot, PlaceState]) -> dict[Spot, list[str]]:
        """Return retries, fallbacks, failures, refusals and items by node, in words, unless its standing has them."""
        facts: dict[Spot, list[str]] = {}
        events = ((spot, what, times) for spot, at in self._spots.items() for what, times in at.events.items())
        for spot, what, times in events:
            standing = standings.get(spot)
            is_shown = standing is not None and standing.how == "failed" and what == "failed"
            count = times - is_shown
            if what in _ITEMS:
                mapping = standing is not None and any(" done" in note for note in standing.notes)
                if not mapping:
                    facts.setdefault(spot, []).append(f"{counted(times, 'item')} {what}")
            elif count:
                facts.setdefault(spot, []).append(f"{what} {times_in_words(count)}")
        return facts


def _what(step: Step) -> Iterator[str]:
    """Yield what happened in a step in addition to the visit."""
    kind = step.kind
    if kind == "item":
        yield "done"
    elif kind == "failed":
        yield "failed for good" if step.frame.endswith("]") else "failed"
    elif kind == "refused":
        yield "refused an answer"
    elif kind == "attempt" and isinstance(step.data, Attempt) and step.data.due_at is not None:
        yield "tried again"
    if falls_back(step):
        yield "fell back"


def _of_earlier(times: int) -> str:
    """Return how often an edge was taken that the graph does not have; "" for never."""
    return f"{counted(times, 'move')} along edges of another version" if times else ""


class Tried(NamedTuple):
    """An outgoing edge of a node as it was when a step chose among them.

    Attributes:
        edge: The edge.
        why: What its condition found, in words; "" if it has none, or was not evaluated.
        is_taken: Whether it was taken.
        is_earlier: Whether the graph that is shown no longer has it.
        plain: The same for who does not read code.
    """

    edge: DrawnEdge
    why: str
    is_taken: bool
    is_earlier: bool
    plain: Sequence[str] = ()


def list_tried_edges(scope: Scope, edge: TakenEdge) -> list[Tried]:
    """Return the edges among which a recorded one was chosen, in the order in which they are tried.

    They are those of the spec under which the step was recorded. Those after the one that was taken have no reason:
    their conditions were not evaluated.
    """
    if not 0 <= edge.outcome.way < len(edge.ways):
        return []
    reasons = {(each.way, each.arm): each for each in reasons_of(edge.outcome, edge.ways)}
    known = declarations(edge.ways)
    source = edge.ways[edge.outcome.way]["from"]
    found: list[Tried] = []
    for drawn in edges_of({"ways": edge.ways}):
        if (drawn.source, drawn.failure) == (source, edge.is_failure):
            reason = reasons.get((drawn.way, drawn.target if drawn.fork else "")) or reasons.get((drawn.way, ""))
            is_taken = drawn.way == edge.outcome.way and drawn.target in edge.outcome.to
            is_own = reason is not None and (not drawn.fork or bool(reason.arm)) and reason.words != OTHERWISE
            is_earlier = known[drawn.way] not in scope.ways
            words, plain = (reason.words, reason.plain) if reason is not None and is_own else ("", ())
            found.append(Tried(drawn, words, is_taken, is_earlier, plain))
    return found
