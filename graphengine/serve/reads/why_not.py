"""Explain why a run did not take an edge: what its condition compared, and how often other runs took the edge.

The explanation suggests a branch of the run in which the edge would be taken. The choices of a run are read from its
`Book`. How often other runs took each edge is counted in one pass over the newest runs, whose result is kept for a
while. The number of steps in this pass is limited.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from graphengine.errors import GraphEngineError
from graphengine.kernel.extension import START
from graphengine.kernel.inside import InForce, load_specs
from graphengine.kernel.reader import outcome_of
from graphengine.records.declared_edges import declarations
from graphengine.render.scopes import path_at
from graphengine.render.trace import list_tried_edges
from graphengine.serve.read_documents import AsIf, Decision, WhyNot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel.reader import ConditionSpec, EdgeSpec, GraphSpec, Step
    from graphengine.kernel.store import Store
    from graphengine.records.declared_edges import Declaration
    from graphengine.records.visit_tree import Entry, Place
    from graphengine.render.edges import DrawnEdge
    from graphengine.render.scopes import Scope
    from graphengine.serve.reads.run_cache import Book

_RUNS: Final = 100
_STEPS: Final = 20_000
"""The maximum number of steps that are read of all counted runs together. `_RUNS` is the maximum number of runs."""
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Taken:
    """Counts of how many of the newest runs of a graph took each edge.

    Attributes:
        runs: The number of runs that were examined.
        took: The number of runs that took each edge. An edge is identified by the place of its graph, by its
            declaration, and by its target.
        known: The number of runs whose version of the graph contains the edge, whether or not they took it.
    """

    runs: int
    took: Mapping[tuple[Place, Declaration, str], int]
    known: Mapping[tuple[Place, Declaration], int]


async def taken_in(store: Store, graph: str) -> Taken:
    """Read the newest runs of a graph, and count for each edge of the graph how many of these runs took it."""
    took: Counter[tuple[Place, Declaration, str]] = Counter()
    known: Counter[tuple[Place, Declaration]] = Counter()
    runs, left, specs = 0, _STEPS, _Specs({}, {})
    for info in await store.runs(limit=_RUNS, graph=graph):
        if info.seq <= left:
            with suppress(GraphEngineError):  # the run was removed, or cannot be read in this process
                steps = await store.steps(info.id, 0, info.seq)
                specs.add(await load_specs(store, steps))
                took.update(specs.taken(steps))
                known.update(specs.declared(info.fingerprint))
                runs, left = runs + 1, left - info.seq
    return Taken(runs, took, known)


@dataclass(frozen=True, slots=True)
class _Specs:
    """The versions of a graph under which its runs were recorded, in a form in which edges can be looked up by a step.

    With them, `taken` finds out which edges a run took.

    Attributes:
        specs: The recorded description of each version, by fingerprint.
        places: The place and the edges of each inner graph. A key is the `id()` of the list of edges in the description
            of the graph: `InForce.ways` returns exactly this list for a step, so the list itself identifies the graph.
    """

    specs: dict[str, GraphSpec]
    places: dict[int, tuple[Place, Sequence[Declaration]]]

    def add(self, more: Mapping[str, GraphSpec]) -> None:
        for fingerprint, spec in more.items():
            if fingerprint not in self.specs:
                self.specs[fingerprint] = spec
                self.places.update(_list_graph_places(spec))

    def taken(self, steps: Sequence[Step]) -> set[tuple[Place, Declaration, str]]:
        """Return the edges that a run took, as its recorded steps show.

        Each edge is looked up in the version of the graph that the run had at that step.
        """
        force = InForce(self.specs)
        found: set[tuple[Place, Declaration, str]] = set()
        for step in steps:
            ways, outcome = force.ways(step), outcome_of(step)
            place, declared = self.places.get(id(ways), ((), ()))
            if 0 <= outcome.way < len(declared):
                found.update((place, declared[outcome.way], target) for target in outcome.to)
        return found

    def declared(self, fingerprint: str) -> set[tuple[Place, Declaration]]:
        """Return the edges that a version of the graph contains, including the edges of its inner graphs.

        Args:
            fingerprint: The fingerprint of the version.
        """
        spec = self.specs.get(fingerprint)
        return (
            set()
            if spec is None
            else {(place, each) for place, found in _list_graph_places(spec).values() for each in found}
        )


def _list_graph_places(spec: GraphSpec) -> Mapping[int, tuple[Place, Sequence[Declaration]]]:
    """Return the place and the edges of a graph and of each of its inner graphs, for looking up edges by a step.

    A key is the `id()` of the list of edges in the description of the graph: `InForce.ways` returns exactly this list
    for a step, so the list itself identifies the graph.
    """
    found: dict[int, tuple[Place, Sequence[Declaration]]] = {}
    left: list[tuple[Place, GraphSpec]] = [((), spec)]
    while left:
        place, inner = left.pop()
        ways = inner.get("ways", ())
        found[id(ways)] = place, declarations(ways)
        for node in inner.get("nodes", ()):
            left += [((*place, (node["name"], choice)), each) for choice, each in node.get("graphs", {}).items()]
    return found


def why_not(book: Book, number: int, at: int, taken: Taken) -> WhyNot | None:
    """Explain why a run had not taken a certain edge of its graph when the run had recorded the step `at`.

    The result is None if the graph has no edge with this number.

    Args:
        book: The run.
        number: The number of the edge in the picture.
        at: The step.
        taken: How many of the newest runs of the graph took each edge.
    """
    spot = next((key for key, each in book.atlas.edges.items() if each == number), None)
    if spot is None:
        return None
    place, index = spot
    scope = book.atlas.scopes[place]
    edge = scope.edges[index]
    declared = next(key for key, way in scope.ways.items() if way == edge.way)
    versions: dict[int, bool] = {}

    def has_it(ways: Sequence[EdgeSpec]) -> bool:
        contains = versions.get(id(ways))  # the id stays valid, because the book holds the lists
        if contains is None:
            contains = versions[id(ways)] = any(scope.ways.get(each) == edge.way for each in declarations(ways))
        return contains

    chosen = (
        entry
        for entry in reversed(book.visits.entries[:at])
        if entry.edge is not None and entry.edge.source == edge.source
        if entry.edge.track.place == place and entry.edge.is_failure == edge.failure and has_it(entry.edge.ways)
    )
    decisions = ((entry, _find_edge_decision(entry, scope, edge)) for entry in chosen)
    found = [*islice(((entry, each) for entry, each in decisions if each is not None), _SHOWN)]
    return WhyNot(
        edge=number,
        source=path_at(place, edge.source),
        to=edge.target,
        label=edge.label,
        condition=edge.condition or edge.fork,
        taken=sum(row.edges.count(number) for row in book.rows[:at]),
        decisions=[each for _, each in found],
        runs=taken.runs,
        took=taken.took.get((place, declared, edge.target), 0),
        unmapped=taken.runs - taken.known.get((place, declared), 0),
        as_if=_suggest_branch(found[0], scope, edge) if found else None,
    )


def _find_edge_decision(entry: Entry, scope: Scope, edge: DrawnEdge) -> Decision | None:
    """Explain for one step of a run whether the run took a certain edge at this step, and why.

    The result is None if the run did not choose among the edges of the edge's node at this step, or if the graph did
    not contain the edge yet.
    """
    if entry.edge is None:
        return None
    tried = list_tried_edges(scope, entry.edge)
    declared = declarations(entry.edge.ways)
    own = next(
        (
            each
            for each in tried
            if scope.ways.get(declared[each.edge.way]) == edge.way and each.edge.target == edge.target
        ),
        None,
    )
    if own is None:
        return None
    took = next((each for each in tried if each.is_taken), None)
    visit = entry.visit.number if entry.visit is not None else 1
    if own.is_taken:
        return Decision(entry.step.seq, visit, "taken", "; ".join(own.plain), "")
    if own.why or took is None or took.edge.order >= own.edge.order:
        return Decision(entry.step.seq, visit, "missed", "; ".join(own.plain), "")
    earlier = took.edge.label or f"to {took.edge.target}"
    return Decision(entry.step.seq, visit, "earlier", "; ".join(took.plain), earlier)


def _suggest_branch(last: tuple[Entry, Decision], scope: Scope, edge: DrawnEdge) -> AsIf | None:
    """Suggest a branch of the run in which an edge would be taken; None if no such branch is known.

    An edge cannot be forced. Instead, the branch begins before the last visit that chose among the node's edges, and
    changes the fields that the edge's condition compares. If the node itself writes such a field, it would overwrite
    the change. The suggestion then contains no values, but a note for the reader.
    """
    entry, decision = last
    at = entry.visit.entries[0].step.seq - 1 if entry.visit is not None and entry.visit.entries else 0
    if at < 1 or edge.source == START or decision.how == "taken":
        return None
    path = entry.step.frame.rstrip("/")
    node = scope.nodes.get(edge.source)
    writes = set(node.get("writes", ())) if node is not None else set[str]()
    update = dict(_find_satisfying_values(edge.when)) if edge.when is not None else {}
    rewritten = [name for name in update if name in writes]
    if decision.how == "earlier":
        note = f"The edge {decision.before!r} is tried before it, and held: change what it compares, too."
    elif not update:
        note = "No single value of a field makes its condition hold: change what the node reads."
    elif rewritten:
        note = f"{edge.source} writes {rewritten[0]} itself when it runs again: change what it reads."
    else:
        note = "With this its condition holds, unless the node changes it."
    return AsIf(at, path, {} if rewritten or decision.how == "earlier" else update, note)


_STEP: Final = {">": 1, "<": -1}


def _find_satisfying_values(condition: ConditionSpec) -> Sequence[tuple[str, Any]]:
    """Return values for state fields with which the condition of an edge becomes true.

    Example: the condition `score > 3` results in the field `score` with the value 4. The result is empty if no values
    can be derived from the condition.
    """
    if condition["is"] == "and":
        parts = [_find_satisfying_values(part) for part in condition.get("parts", ())]
        return [each for part in parts for each in part] if all(parts) else []
    if condition["is"] == "or":
        return next((found for part in condition.get("parts", ()) if (found := _find_satisfying_values(part))), [])
    test, of, than = condition["is"], condition.get("of"), condition.get("than")
    if not isinstance(of, str) or not of.isidentifier():
        return []
    wanted: object = None
    if isinstance(than, (int, float)) and not isinstance(than, bool):
        wanted = than + _STEP[test] if test in _STEP else than
    elif test == "==" and isinstance(than, (str, bool)):
        wanted = than
    is_supported = test in _STEP or test in (">=", "<=", "==")
    return [(of, True)] if test == "is true" else [(of, wanted)] if is_supported and wanted is not None else []


__all__ = ["Taken", "taken_in", "why_not"]
