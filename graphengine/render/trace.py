"""What a recorded run did on its graphs, as a picture needs it: visits, edges taken, and where it is.

Visits are read by `graphengine.records.visits`. Visits in a nested graph count at its place, regardless of the visit,
arm or item to which they belong. The edge that a step took is identified by its source, target and label. If several
edges share these, the number of conditions checked before one held distinguishes them.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct

from graphengine.kernel import Attempt, Failed, Node, Shift, usage_of
from graphengine.kernel.definitions import START
from graphengine.records.step_queries import falls_back
from graphengine.records.visits import Visits
from graphengine.render.amounts import Account
from graphengine.render.files import RenderError
from graphengine.render.place_states import states_of
from graphengine.render.words import counted, times_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from graphengine.kernel import Snapshot, Step
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
        accounts: How long each node was driven, and what it spent on models.
        account: The same for the whole run.
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
    accounts: Mapping[Spot, Account]
    account: Account


def trace_of(scopes: Mapping[Place, Scope], steps: Iterable[Step]) -> Trace:
    """Trace these steps on the graphs of a graph spec. They are counted one by one, and none is kept.

    Args:
        scopes: The graphs of the graph spec.
        steps: All steps of the run from seq 1 on, including those of its parents.

    Raises:
        RenderError: The steps do not follow each other from 1 on.
    """
    tally = Tally(scopes, Visits(keeps=False))
    with _read_as_a_run():
        for step in steps:
            tally.feed(step)
    return tally.trace()


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


def standing(snapshot: Snapshot) -> str:
    """Return the status of a run, and why it stopped."""
    if not snapshot.frames:
        return "not begun"
    why = ending(snapshot)
    return f"{snapshot.status} after {counted(snapshot.steps, 'visit')}" + (f": {why}" if why else "")


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
    account: Account = Account()

    def add(self, other: _At) -> None:
        """Add what happened under another name of the node."""
        self.visits += other.visits
        self.picked += other.picked
        self.events += other.events
        self.account = self.account.plus(other.account)


class _EdgeKey(NamedTuple):
    """What identifies an edge in the steps that took it; `order` is the number of conditions before its own."""

    place: Place
    source: str
    to: tuple[str, ...]
    label: str
    is_failure: bool
    order: int


def _key_of(place: Place, edge: TakenEdge) -> _EdgeKey:
    return _EdgeKey(place, edge.source, tuple(edge.to), edge.label, edge.is_failure, edge.why.count("; "))


class _Taken(Struct):
    """How often an edge was taken, its drawn edges by their numbers, and its last step with the explanation there."""

    indices: Sequence[int]
    times: int = 0
    last: int = 0
    why: str = ""


class Tally:
    """The counts of a run's steps, one step at a time; see `Trace` for what it counts.

    Nodes have their present names: where a step renames some, what was counted before is renamed too.

    Args:
        scopes: The graphs of the graph spec.
        run: The visits, which the tally feeds.
    """

    def __init__(self, scopes: Mapping[Place, Scope], run: Visits) -> None:
        self.scopes = scopes
        self.run = run
        self._spots: dict[Spot, _At] = {}
        self._edges: dict[_EdgeKey, _Taken] = {}
        self._moves: dict[str, tuple[Place, str, str]] = {}

    def feed(self, step: Step) -> tuple[Entry, Counted]:
        """Take the next step; return what is known about it, and what it added.

        Raises:
            ValueError, LookupError: As `Visits.feed`.
        """
        is_shift = step.kind in _SHIFTS and isinstance(step.data, Shift) and bool(step.data.renamed)
        rename = self._renaming(step.data) if is_shift and isinstance(step.data, Shift) else None
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
            at.account = at.account.plus(Account(took, usage, entry.waited, failures))
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
        taken = self._edge(_key_of(place, edge))
        taken.times += 1
        taken.last, taken.why = seq, edge.why
        return taken.indices

    def _edge(self, key: _EdgeKey) -> _Taken:
        found = self._edges.get(key)
        if found is None:
            scope = self.scopes.get(key.place)
            edges = scope.edges if scope is not None else ()
            indices = {index for target in key.to if (index := _index_of(edges, key, target)) is not None}
            found = self._edges[key] = _Taken(sorted(indices))
        return found

    def _renaming(self, shift: Shift) -> Callable[[], None]:
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
                to = tuple(name(where, target) for target in key.to)
                found = self._edge(key._replace(place=moved(where), source=name(where, key.source), to=to))
                found.times += taken.times
                found.last, found.why = max((found.last, found.why), (taken.last, taken.why))
            for frame, (place, source, target) in moves.items():
                now = frames[frame].frame if frame in frames else frame
                self._moves[now] = moved(place), name(place, source), name(place, target)

        return rename

    def standings(self) -> dict[Spot, PlaceState]:
        """Return where the run is after its last step."""
        places = {frame: track.place for frame, track in self.run.live.items()}
        moves = {frame: (source, target) for frame, (_, source, target) in self._moves.items()}
        return states_of(self.run.snapshot, places, moves)

    def trace(self) -> Trace:
        """Return what was counted."""
        snapshot, standings = self.run.snapshot, self.standings()
        whole = Account(snapshot.elapsed_seconds if snapshot.frames else None, snapshot.usage)
        taken = {place: [0] * len(scope.edges) for place, scope in self.scopes.items()}
        reasons: dict[tuple[Place, int], str] = {}
        forked: Counter[tuple[Spot, int]] = Counter()
        for key, edge in sorted(self._edges.items(), key=lambda each: each[1].last):
            drawn = {index: self.scopes[key.place].edges[index] for index in edge.indices}
            for index, each in drawn.items():
                taken[key.place][index] += edge.times
                reasons[key.place, index] = _reason(each, edge.why)
            for order in {each.order for each in drawn.values() if each.fork}:
                forked[(key.place, key.source), order] += edge.times
        return Trace(
            run_id=snapshot.run_id,
            summary="; ".join(part for part in (standing(snapshot), whole.in_words()) if part),
            visits={spot: at.visits for spot, at in self._spots.items()},
            facts=self._facts(standings),
            standings=standings,
            taken=taken,
            reasons=reasons,
            picked={(spot, choice): times for spot, at in self._spots.items() for choice, times in at.picked.items()},
            forked=forked,
            accounts={spot: at.account for spot, at in self._spots.items()},
            account=whole,
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


def _index_of(edges: Sequence[DrawnEdge], edge: _EdgeKey, target: str) -> int | None:
    """Return the index of the drawn edge of a taken edge to a target; None if the graph has none (any longer)."""
    found = [
        index
        for index, drawn in enumerate(edges)
        if (drawn.source, drawn.target, drawn.failure) == (edge.source, target, edge.is_failure)
        and edge.label in drawn.recorded
    ]
    return next((index for index in found if edges[index].order == edge.order), found[0] if found else None)


class Tried(NamedTuple):
    """An outgoing edge of a node, the explanation of its condition, "" if it has none, and whether it was taken."""

    edge: DrawnEdge
    why: str
    is_taken: bool


def tried_edges(scope: Scope, edge: TakenEdge) -> list[Tried]:
    """Return the edges among which a recorded one was chosen, in the order in which they are tried.

    Those after the one that was taken have no explanation: their conditions were not evaluated.
    """
    key = _key_of((), edge)
    indices = {_index_of(scope.edges, key, target) for target in edge.to}
    taken = [each for index, each in enumerate(scope.edges) if index in indices]
    last = min((each.order for each in taken), default=0)
    parts = edge.why.split("; ")
    found: list[Tried] = []
    for index, drawn in enumerate(scope.edges):
        if (drawn.source, drawn.failure) == (edge.source, edge.is_failure):
            before = parts[drawn.order] if drawn.order < last < len(parts) else ""
            is_taken = index in indices
            found.append(Tried(drawn, _reason(drawn, edge.why) if is_taken else before, is_taken))
    return found


def _reason(drawn: DrawnEdge, why: str) -> str:
    """Return the recorded explanation of an edge's own condition, "" if that is not certain.

    A step records one explanation for each edge that was tried, in order, and for each arm after that of its fork.
    """
    parts = why.split("; ")
    if drawn.fork:
        own = [part.removeprefix(f"{drawn.target}: ") for part in parts if part.startswith(f"{drawn.target}: ")]
        return own[0] if len(own) == 1 else ""
    own = parts[drawn.order :] if not drawn.order or len(parts) == drawn.order + 1 else []
    reason = "; ".join(own)
    return "" if reason == "otherwise" else reason
