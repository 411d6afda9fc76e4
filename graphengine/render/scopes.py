"""List the graphs of a graph spec with their places: the run's own graph, the graphs inside its nodes, and so on.

Nested graphs can be folded. A folded graph is drawn as one box with a text about its nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeAlias

from graphengine.kernel.extension import END, START
from graphengine.records.declared_edges import declarations
from graphengine.records.visit_tree import Place
from graphengine.records.words import counted
from graphengine.render.edges import bounds_of, edges_of, joins_of
from graphengine.render.files import RenderError
from graphengine.render.place_states import SEVEREST
from graphengine.render.words import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from graphengine.kernel.reader import GraphSpec, NodeSpec
    from graphengine.records.declared_edges import Declaration
    from graphengine.render.edges import DrawnEdge
    from graphengine.render.place_states import How, PlaceState

Spot: TypeAlias = tuple[Place, str]
"""A node of the graph at a place."""


Fold: TypeAlias = "int | Collection[str] | None"
"""The nested graphs to fold: all graphs at a depth or deeper (0: all), the nodes with some paths, or None for none."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A graph that a picture shows, prepared for drawing: the run's own graph, or a graph nested in it.

    Attributes:
        name: The graph's own name.
        fields: The names of the fields of the graph's state.
        nodes: The recorded descriptions of the nodes, by name.
        edges: The graph's edges in declared order.
        ways: The index of each edge in the recorded description of the graph. A key is the declaration of an edge.
        joins: A note such as `joins 2 of 3 arms` for each node at which arms of a fork come together.
        bounds: A note such as `3 visits at most` for each node whose visits are limited.
    """

    name: str
    fields: frozenset[str]
    nodes: Mapping[str, NodeSpec]
    edges: Sequence[DrawnEdge]
    ways: Mapping[Declaration, int]
    joins: Mapping[str, str]
    bounds: Mapping[str, str]


def scopes_of(graph_spec: GraphSpec) -> dict[Place, Scope]:
    """Return all graphs in the description of a graph: the run's own graph, and the graphs nested in it.

    The key of each graph is its place: the nodes that lead to it. The run's own graph has the key `()`.

    Raises:
        RenderError: The value is not a description of a graph.
    """
    found: dict[Place, Scope] = {}
    left: list[tuple[Place, GraphSpec]] = [((), graph_spec)]
    try:
        while left:
            place, inner = left.pop(0)
            nodes = {str(facts["name"]): facts for facts in _node_specs_of(inner)}
            name = str(inner.get("graph", ""))
            fields, edges = frozenset(inner.get("state") or ()), edges_of(inner)
            ways = {declared: way for way, declared in enumerate(declarations(inner.get("ways", ())))}
            found[place] = Scope(name, fields, nodes, edges, ways, joins_of(inner), bounds_of(edges))
            for node, facts in nodes.items():
                for choice, graph in facts.get("graphs", {}).items():
                    left.append(((*place, (node, str(choice))), graph))
    except (KeyError, TypeError, AttributeError) as error:
        raise RenderError(
            f"the value is not the spec of a graph: {type(error).__name__}: {error}",
            where="graph_spec=",
            repair="pass `graph.compile().graph_spec`, or the graph spec that a store contains for a run",
        ) from error
    return found


def _node_specs_of(graph_spec: GraphSpec) -> Sequence[NodeSpec]:
    if "nodes" not in graph_spec:
        raise KeyError("nodes")
    return graph_spec["nodes"]


def path_at(place: Place, name: str = "") -> str:
    """Return the path of a node for people: `article/write`, or `teams (law)/write` if `teams` chooses among graphs."""
    around = [f"{node} ({choice})" if choice else node for node, choice in place]
    return "/".join([*around, name] if name else around)


def plain_start(scope: Scope) -> str:
    """Return the first node of a graph, if the picture can do without a START; otherwise "".

    This is so if a single edge without a label or a condition leads from START to the node, and no other edge leads to
    it.
    """
    first = [edge for edge in scope.edges if edge.source == START]
    if len(first) != 1 or first[0].label or first[0].condition or first[0].fork:
        return ""
    target = first[0].target
    return target if target in scope.nodes and sum(edge.target == target for edge in scope.edges) == 1 else ""


@dataclass(frozen=True, slots=True)
class Folding:
    """Decides which nested graphs a picture shows as a single box, instead of showing their nodes.

    A graph that is shown as a single box is called *folded*.

    Attributes:
        depth: Graphs at this depth or deeper are folded; None if no depth is given.
        paths: The paths of nodes whose graphs are folded.
    """

    depth: int | None = None
    paths: frozenset[str] = frozenset()

    @classmethod
    def of(cls, fold: Fold, scopes: Mapping[Place, Scope]) -> Folding:
        """Decide which nested graphs are drawn as a single box, from the argument `fold` of a function that draws.

        Raises:
            RenderError: A path does not name a node with a nested graph, or the depth is below 0.
        """
        if fold is None:
            return cls()
        if isinstance(fold, int):
            if fold < 0:
                message, repair = f"fold={fold} is not a depth", "give 0 or more; 0 folds every nested graph"
                raise RenderError(message, where="fold=", repair=repair)
            return cls(depth=fold)
        paths = [fold] if isinstance(fold, str) else list(fold)
        foldable = dict.fromkeys(path_at(place[:-1], place[-1][0]) for place in scopes if place)
        for path in paths:
            if path not in foldable:
                near = get_close_matches(path, foldable, 1)
                meant = f"did you mean {near[0]!r}? " if near else ""
                nested = (
                    f"the nested graphs are: {', '.join(foldable)}" if foldable else "this graph has no nested graphs"
                )
                message = f"there is no nested graph at the path {path!r}, so nothing can be folded there"
                raise RenderError(message, where="fold=", repair=f"{meant}{nested}")
        return cls(paths=frozenset(paths))

    def folds(self, spot: Spot) -> bool:
        """Return whether the nested graph of a node is drawn as a single box."""
        place, name = spot
        return (self.depth is not None and len(place) >= self.depth) or path_at(place, name) in self.paths


def contents_of(scopes: Mapping[Place, Scope], spot: Spot) -> list[str]:
    """Describe the inside of a node whose graph is drawn as a single box.

    Returns:
        The number and the names of the nodes inside, and the labels of the edges to END, in words.
    """
    inner = [scope for place, scope in scopes.items() if len(place) == len(spot[0]) + 1 and is_in(place, spot)]
    nodes = [name for scope in inner for name in scope.nodes]
    deep = sum(len(scope.nodes) for place, scope in scopes.items() if is_in(place, spot))
    more = f", {deep} with those in them" if deep > len(nodes) else ""
    notes = [f"{counted(len(nodes), 'node')} inside{more}: {listed(nodes)}"] if nodes else []
    ends = list(
        dict.fromkeys(edge.label for scope in inner for edge in scope.edges if edge.target == END and edge.label)
    )
    return [*notes, *([f"ends: {listed(ends)}"] if ends else [])]


def standing_in(standings: Mapping[Spot, PlaceState], spot: Spot) -> tuple[How | None, list[str]]:
    """Describe what a run is doing inside a node whose graph is drawn as a single box.

    Returns:
        The most severe state inside the node, None if the run is not there; and the notes about it with their nodes.
    """
    found = [(place, name, each) for (place, name), each in standings.items() if is_in(place, spot)]
    if not found:
        return None, []
    present = {each.how for _, _, each in found}
    severest: How = next(how for how in SEVEREST if how in present)
    notes = [
        f"{path_at(place[len(spot[0]) + 1 :], name)}: {note}"
        for place, name, each in found
        if each.how == severest
        for note in each.notes
    ]
    return severest, notes


def is_in(place: Place, spot: Spot) -> bool:
    """Return whether a graph is inside a node, directly or in a graph that is inside the node."""
    around, name = spot
    return len(place) > len(around) and place[: len(around)] == around and place[len(around)][0] == name
