"""What a recorded run did on its graphs, as a picture needs it: visits, edges taken, and where it is.

Visits are read by `graphengine.history.visits`. Visits in a nested graph count at its place, regardless of the visit,
arm or item to which they belong. The edge that a step took is identified by its source, target and label. If several
edges share these, the number of conditions checked before one held distinguishes them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.engine.steps import Attempt, Entered, Failed, Node, Started, falls_back, usage_of
from graphengine.graph.options import START
from graphengine.history.visits import Visits
from graphengine.render.accounts import Account
from graphengine.render.errors import RenderError
from graphengine.render.standings import standings_of
from graphengine.render.words import counted, times_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Step
    from graphengine.history.visit_tree import Edge, Entry, Place
    from graphengine.render.edges import DrawnEdge
    from graphengine.render.scopes import Scope, Spot
    from graphengine.render.standings import Move, Standing

_ITEMS: Final = ("done", "failed for good")
_MOVES: Final = ("started", "entered", "node", "failed", "left", "joined")


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
    standings: Mapping[Spot, Standing]
    taken: Mapping[Place, Sequence[int]]
    reasons: Mapping[tuple[Place, int], str]
    picked: Mapping[tuple[Spot, str], int]
    forked: Mapping[tuple[Spot, int], int]
    accounts: Mapping[Spot, Account]
    account: Account


def trace_of(scopes: Mapping[Place, Scope], steps: Sequence[Step]) -> Trace:
    """Trace these steps on the graphs of an outline.

    Args:
        scopes: The graphs of the outline.
        steps: All steps of the run from seq 1 on, including those of its parents.

    Raises:
        RenderError: The steps do not follow each other from 1 on.
    """
    run = visits_of(steps)
    tally = Tally(scopes)
    for entry in run.entries:
        tally.add(entry)
    snapshot = run.snapshot
    standings = standings_of(snapshot, {frame: track.place for frame, track in run.live.items()}, tally.moves)
    whole = Account(snapshot.elapsed_seconds if snapshot.frames else None, snapshot.usage)
    return Trace(
        run_id=snapshot.run_id,
        summary="; ".join(part for part in (_summary(snapshot), whole.in_words()) if part),
        visits=tally.visits,
        facts=tally.facts(standings),
        standings=standings,
        taken=tally.taken,
        reasons=tally.reasons,
        picked=tally.picked,
        forked=tally.forked,
        accounts=tally.accounts,
        account=whole,
    )


def visits_of(steps: Sequence[Step], seen: Callable[[Visits, Entry], None] | None = None) -> Visits:
    """Return the visits of a run.

    Args:
        steps: All steps of the run from seq 1 on, including those of its parents.
        seen: Called after each step, with the visits as of then.

    Raises:
        RenderError: The steps do not follow each other from 1 on.
    """
    run = Visits()
    try:
        for step in steps:
            entry = run.feed(step)
            if seen is not None:
                seen(run, entry)
    except (ValueError, LookupError) as error:
        raise RenderError(
            f"the steps do not make a run: {error}",
            where="steps=",
            repair="pass every step from seq 1 on; a branch begins with its parent's",
        ) from error
    return run


def _summary(snapshot: Snapshot) -> str:
    if not snapshot.frames:
        return "not begun"
    stop = snapshot.stop
    why = (stop.label or stop.explanation) if stop is not None else ""
    why = "" if why == "otherwise" else why  # an edge without a condition explains nothing
    return f"{snapshot.status} after {counted(snapshot.steps, 'visit')}" + (f": {why}" if why else "")


class Counted(NamedTuple):
    """What one step adds: the completed visits, START for a graph that begins, and the edges taken by their places."""

    visits: Sequence[Spot]
    edges: Sequence[tuple[Place, int]]


class Tally:
    """The counts of a run's steps, one step at a time; see `Trace` for what it counts."""

    def __init__(self, scopes: Mapping[Place, Scope]) -> None:
        self.scopes = scopes
        self.moves: dict[str, Move] = {}
        self.visits: Counter[Spot] = Counter()
        self.taken = {place: [0] * len(scope.edges) for place, scope in scopes.items()}
        self.reasons: dict[tuple[Place, int], str] = {}
        self.picked: Counter[tuple[Spot, str]] = Counter()
        self.forked: Counter[tuple[Spot, int]] = Counter()
        self.accounts: dict[Spot, Account] = {}
        self._events: Counter[tuple[Spot, str]] = Counter()

    def add(self, entry: Entry) -> Counted:
        """Count one step; return the visits and edges that it added."""
        step, facts, visit, track, edge = entry.step, entry.step.data, entry.visit, entry.track, entry.edge
        begins = isinstance(facts, (Started, Entered))
        visited: list[Spot] = []
        if begins and track is not None:
            visited.append((track.place, START))
        if visit is not None:
            spot = (visit.track.place, visit.node)
            if step.kind == "node" or (isinstance(facts, Failed) and not facts.has_failed):
                visited.append(spot)
            if isinstance(facts, Node) and facts.choice:
                self.picked[spot, facts.choice] += 1
            self._pay(spot, entry)
            for what in _what(entry):
                self._events[spot, what] += 1
        self.visits.update(visited)
        taken = self._take(edge) if edge is not None else ()
        if track is not None and step.kind in _MOVES:
            source = START if begins else visit.node if visit is not None else ""
            self.moves[track.frame] = (edge.source, edge.to[0]) if edge is not None else (source, "")
        return Counted(visited, taken)

    def facts(self, standings: Mapping[Spot, Standing]) -> dict[Spot, list[str]]:
        """Return retries, fallbacks, failures, refusals and items by node, in words, unless its standing has them."""
        facts: dict[Spot, list[str]] = {}
        for (spot, what), times in self._events.items():
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

    def _pay(self, spot: Spot, entry: Entry) -> None:
        """Count how long a step took, and what it spent; the time of items is in the time of their map.

        Asking a question is not work: its node reports how long it was open, once it is answered.
        """
        scope, kind = self.scopes.get(spot[0]), entry.step.kind
        facts = scope.nodes.get(spot[1]) if scope is not None else None
        asks = facts is not None and facts.get("kind") == "ask"
        timed = kind in ("node", "attempt", "failed") or (kind == "waiting" and not asks)
        took = entry.took if timed else None
        usage = usage_of(entry.step)
        if took is not None or usage or entry.waited:
            self.accounts[spot] = self.accounts.get(spot, Account()).plus(took, usage, entry.waited)

    def _take(self, edge: Edge) -> Sequence[tuple[Place, int]]:
        """Count the drawn edges of a taken edge; a fork's arms count for themselves, so that a join counts none."""
        place = edge.track.place
        scope = self.scopes.get(place)
        if scope is None or not edge.source:
            return ()
        found = {index for target in edge.to if (index := _index_of(scope.edges, edge, target)) is not None}
        for index in found:
            self.taken[place][index] += 1
            self.reasons[place, index] = _reason(scope.edges[index], edge.why)
        drawn = (scope.edges[index] for index in found)
        self.forked.update({((place, edge.source), each.order) for each in drawn if each.fork})
        return [(place, index) for index in sorted(found)]


def _what(entry: Entry) -> Iterator[str]:
    """Yield what happened in a step in addition to the visit."""
    step = entry.step
    if isinstance(step.data, Attempt) and step.data.due_at is not None:
        yield "tried again"
    elif step.kind == "item":
        yield "done"
    elif step.kind == "failed":
        yield "failed for good" if step.frame.endswith("]") else "failed"
    elif step.kind == "refused":
        yield "refused an answer"
    if falls_back(step):
        yield "fell back"


def _index_of(edges: Sequence[DrawnEdge], edge: Edge, target: str) -> int | None:
    """Return the index of the drawn edge of a taken edge to a target; None if the graph has none (any longer)."""
    found = [
        index
        for index, drawn in enumerate(edges)
        if (drawn.source, drawn.target, drawn.failure) == (edge.source, target, edge.is_failure)
        and edge.label in drawn.recorded
    ]
    order = edge.why.count("; ")
    return next((index for index in found if edges[index].order == order), found[0] if found else None)


class Tried(NamedTuple):
    """An outgoing edge of a node, the explanation of its condition, "" if it has none, and whether it was taken."""

    edge: DrawnEdge
    why: str
    is_taken: bool


def tried_edges(scope: Scope, edge: Edge) -> list[Tried]:
    """Return the edges among which a recorded one was chosen, in the order in which they are tried.

    Those after the one that was taken have no explanation: their conditions were not evaluated.
    """
    indices = {_index_of(scope.edges, edge, target) for target in edge.to}
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
