"""Count the visits, taken edges, times and costs of a recorded run on its graphs, and find its present state.

`graphengine.records.visits` reads the visits. All visits of a node in a nested graph are counted together, in whichever
visit, arm or item the nested graph was entered.

A step records a taken edge by the edge's index in the graph spec that was in force. To find this edge in the spec that
is drawn, the declarations of the edges are compared. If the drawn spec has no edge with this declaration, the edge
belongs to another version of the graph: it is counted in `Trace.earlier` and not drawn.
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
    """What a picture of a graph shows about a run: the visits to nodes, the taken edges, and the present state.

    Attributes:
        run_id: The id of the run.
        summary: The status of the run and the reason for its end, in words.
        visits: The number of completed visits by node. For START, the number of times its graph began.
        facts: Other events at a node, such as retries, in words.
        standings: The state of the run at the nodes where the run is now.
        taken: The number of times each edge was taken, in the order of the edges, by graph.
        reasons: The recorded reason for the last time each edge was taken, by the graph and the index of the edge; ""
            if the edge has no condition.
        picked: The number of times a node with `choose` picked each of its choices.
        forked: The number of times each fork was taken, by its graph, its node and its index among the node's edges.
        used_at: The driven time and the usage of models by node.
        used: The driven time and the usage of models of the whole run.
        earlier: The number of times the run took an edge that the drawn graph does not have.
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
    """Read the steps of a run, and count what a picture of the run's graph shows, such as the visits to each node.

    The steps are read one by one and not kept, so that a long run needs little memory.

    Args:
        graph_spec: The description of the drawn graph.
        scopes: The graphs in this description.
        steps: All steps of the run from seq 1 on, including the steps that it shares with its parents.
        specs: The other versions of the run's graph under which steps were recorded, by fingerprint. They are looked up
            while steps are read, so entries may be added during the iteration.
        status: The status of the run from the store, if it says more than the steps.

    Raises:
        RenderError: The steps do not follow each other from 1 on.
    """
    all_specs = ChainMap({fingerprint_of(graph_spec): graph_spec}, {} if specs is None else specs)  # type: ignore[arg-type]
    tally = Tally(graph_spec, scopes, Visits(keeps=False, specs=all_specs))
    with _read_as_a_run():
        for step in steps:
            tally.feed(step)
    return tally.trace(status)


def visits_of(steps: Sequence[Step], seen: Callable[[Visits, Entry], None] | None = None) -> Visits:
    """Read the steps of a run, and return the visits of the run to its nodes.

    Args:
        steps: All steps of the run from seq 1 on, including the steps that it shares with its parents.
        seen: A function that is called after each step, with the visits so far and the entry of the step.

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
    """Raise a `RenderError` if code in the block finds that steps of the run are missing or in the wrong order."""
    try:
        yield
    except (ValueError, LookupError) as error:
        raise RenderError(
            f"the steps are not the steps of a run: {error}",
            where="steps=",
            repair="pass every step, from the step with seq 1; a branch begins with the steps of its parent",
        ) from error


def standing(snapshot: Snapshot, status: str = "") -> str:
    """Describe the status of a run and the reason for its end in words.

    `status` is the run's status in the store. It is used if the run is still running after its last step.
    """
    if not snapshot.frames:
        return "not begun"
    why = ending(snapshot)
    status = status if snapshot.status == "running" and status else snapshot.status
    return f"{status} after {counted(snapshot.steps, 'visit')}" + (f": {why}" if why else "")


def ending(snapshot: Snapshot) -> str:
    """Return a short reason for the end of a run; "" if its status says enough."""
    why = (snapshot.ending.label or snapshot.ending.why) if snapshot.ending is not None else ""
    return "" if why == "otherwise" else why  # An edge without a condition explains nothing.


class Counted(NamedTuple):
    """What one step of a run adds to the counts in a picture: visits that ended and edges that were taken.

    Attributes:
        visits: The nodes to which a visit ended with this step. START is included if the step begins a graph.
        edges: The edges that were taken at this step, each by its graph and its index.
    """

    visits: Sequence[Spot]
    edges: Sequence[tuple[Place, int]]


class _At(Struct):
    """The counts of one node."""

    visits: int = 0
    picked: Counter[str] = msgspec.field(default_factory=Counter)
    events: Counter[str] = msgspec.field(default_factory=Counter)
    used: Used = Used()

    def add(self, other: _At) -> None:
        """Add the counts that were made under an earlier name of the same node."""
        self.visits += other.visits
        self.picked += other.picked
        self.events += other.events
        self.used = self.used.plus(other.used)


class _EdgeKey(NamedTuple):
    """The key under which a picture of a run counts how often an edge was taken.

    It consists of the place of the graph, the declaration of the edge, and the targets.
    """

    place: Place
    declared: Declaration | None
    to: tuple[str, ...]


class _Taken(Struct):
    """How often a run took one edge, and why the run took it the last time.

    Attributes:
        indices: The indexes of the drawn edges that stand for this edge; empty if the drawn graph does not contain the
            edge.
        times: How often the edge was taken.
        last: The last step that took the edge.
        reasons: The reasons for which the edge was taken at that step. The key "" contains the reason for the edge
            itself. If the edge is a fork, the other keys are the targets of its arms, with the reasons for the arms.
    """

    indices: Sequence[int]
    times: int = 0
    last: int = 0
    reasons: Mapping[str, str] = {}


class Tally:
    """Counts what a picture of a graph shows about a run, such as visits, taken edges and failures.

    The method `feed` receives the steps of the run one by one.

    `Trace` describes the counts. If a step renames nodes, the earlier counts are moved to the new names.

    Args:
        graph_spec: The description of the drawn graph.
        scopes: The graphs in this description.
        run: The visits of the run, to which each step is passed. They must know the versions of the run's graph.
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
        """Count one more step of the run.

        Returns:
            The place of the step in the run's history, and what the step added to the counts.

        Raises:
            ValueError, LookupError: The step does not follow the previous step; see `Visits.feed`.
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
        """Count the events, the time and the usage of a step at its node.

        - The time of an item is not counted, because it is included in the time of its map.
        - The failure of a map or a graph is not counted, because the failure inside it is counted.
        - Asking a question takes no time of work. When the question is answered, its waiting time is counted.
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
        """Return whether a node asks a question, so that its waiting time is counted separately."""
        scope = self.scopes.get(spot[0])
        facts = scope.nodes.get(spot[1]) if scope is not None else None
        return facts is not None and facts.get("kind") == "ask"

    def _take(self, place: Place, edge: TakenEdge, seq: int) -> Sequence[int]:
        """Count that a run took an edge, and return which of the drawn edges stand for this edge.

        Joins are not counted, because each arm of the fork counts the edges that it took.

        Returns:
            Which of the drawn edges stand for the edge, as indexes.
        """
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
        cached = self._declared.get(id(edge.ways))
        if cached is None:
            # The list is kept together with its declarations, so that no other object can get the same id.
            cached = self._declared[id(edge.ways)] = edge.ways, declarations(edge.ways)
        declared = cached[1][edge.outcome.way] if 0 <= edge.outcome.way < len(cached[1]) else None
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
        """Prepare for a step that renames nodes: return a function that moves all counts to the nodes' new names.

        Call the returned function after the step was passed to `Visits`, because only then the new names are in use.
        """
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
        """Return what the run is doing now at each node where it stands, after the last counted step."""
        places = {frame: track.place for frame, track in self.run.live.items()}
        moves = {frame: (source, target) for frame, (_, source, target) in self._moves.items()}
        return states_of(self.run.snapshot, places, moves)

    def trace(self, status: str = "") -> Trace:
        """Return everything that a picture shows about the run, as counted from the steps so far.

        Args:
            status: The status of the run from the store, if it says more than the steps.
        """
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
        moves = f"{counted(earlier, 'move')} along edges of another version" if earlier else ""
        return Trace(
            run_id=snapshot.run_id,
            summary="; ".join(filter(None, (standing(snapshot, status), whole.in_words(), moves))),
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
        """Describe in words what happened at each node: retries, fallbacks, failures, refused answers and ended items.

        A failure or a progress of items is left out if the picture already shows it as the node's present state.
        """
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
    """Yield what a step recorded about its node besides a visit, such as a retry or a fallback, to count it."""
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


class Tried(NamedTuple):
    """One of the edges among which a run chose at a step, with the result of its condition.

    Attributes:
        edge: The edge.
        why: The result of the edge's condition, in words; "" if the edge has no condition or was not evaluated.
        is_taken: Whether the edge was taken.
        is_earlier: Whether only an earlier version of the graph has the edge, so that it is not drawn.
        plain: The result of the condition as sentences for people who do not read code.
    """

    edge: DrawnEdge
    why: str
    is_taken: bool
    is_earlier: bool
    plain: Sequence[str] = ()


def list_tried_edges(scope: Scope, edge: TakenEdge) -> list[Tried]:
    """Return the edges of a node among which a run chose at a step, in the order in which they are tried.

    The edges come from the version of the graph under which the step was recorded. Edges after the taken edge have no
    reason, because their conditions were not evaluated.
    """
    if not 0 <= edge.outcome.way < len(edge.ways):
        return []
    reasons = {(each.way, each.arm): each for each in reasons_of(edge.outcome, edge.ways)}
    by_way = declarations(edge.ways)
    source = edge.ways[edge.outcome.way]["from"]
    found: list[Tried] = []
    for drawn in edges_of({"ways": edge.ways}):
        if (drawn.source, drawn.failure) == (source, edge.is_failure):
            reason = reasons.get((drawn.way, drawn.target if drawn.fork else "")) or reasons.get((drawn.way, ""))
            is_taken = drawn.way == edge.outcome.way and drawn.target in edge.outcome.to
            is_own = reason is not None and (not drawn.fork or bool(reason.arm)) and reason.words != OTHERWISE
            is_earlier = by_way[drawn.way] not in scope.ways
            words, plain = (reason.words, reason.plain) if reason is not None and is_own else ("", ())
            found.append(Tried(drawn, words, is_taken, is_earlier, plain))
    return found
