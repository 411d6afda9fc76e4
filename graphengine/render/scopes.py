"""The graphs of an outline, each with its place: the outermost one, those that are its nodes, and so on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from graphengine.graph.options import START
from graphengine.history.visit_tree import Place
from graphengine.render.edges import bounds_of, edges_of, joins_of
from graphengine.render.files import RenderError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.outline import NodeOutline, Outline
    from graphengine.render.edges import DrawnEdge

Spot: TypeAlias = tuple[Place, str]
"""A node of the graph at a place."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A graph of the outline.

    Attributes:
        name: The graph's own name.
        fields: The names of its state's fields.
        nodes: The facts of each node, by name.
        edges: Its edges in declared order.
        joins: The note of each node that joins arms.
        bounds: The note of each node whose visits are bounded.
    """

    name: str
    fields: frozenset[str]
    nodes: Mapping[str, NodeOutline]
    edges: Sequence[DrawnEdge]
    joins: Mapping[str, str]
    bounds: Mapping[str, str]


def scopes_of(outline: Outline) -> dict[Place, Scope]:
    """Return all graphs of an outline by place; the outermost is at `()`.

    Raises:
        RenderError: This is not an outline.
    """
    found: dict[Place, Scope] = {}
    left: list[tuple[Place, Outline]] = [((), outline)]
    try:
        while left:
            place, inner = left.pop(0)
            nodes = {str(facts["name"]): facts for facts in _nodes_of(inner)}
            name = str(inner.get("graph", ""))
            fields, edges = frozenset(inner.get("state") or ()), edges_of(inner)
            found[place] = Scope(name, fields, nodes, edges, joins_of(inner), bounds_of(edges))
            for node, facts in nodes.items():
                for choice, graph in facts.get("graphs", {}).items():
                    left.append(((*place, (node, str(choice))), graph))
    except (KeyError, TypeError, AttributeError) as error:
        raise RenderError(
            f"this is not the outline of a graph:  {type(error).__name__}: {error}",
            where="outline=",
            repair="pass `graph.compile().outline`, or the outline that a store has for a run's graph",
        ) from error
    return found


def _nodes_of(outline: Outline) -> Sequence[NodeOutline]:
    if "nodes" not in outline:
        raise KeyError("nodes")
    return outline["nodes"]


def path_at(place: Place, name: str = "") -> str:
    """Return a node's readable path: `article/write`, or `teams (law)/write` in one of several graphs."""
    around = [f"{node} ({choice})" if choice else node for node, choice in place]
    return "/".join([*around, name] if name else around)


def _bare(edge: DrawnEdge) -> bool:
    return not edge.label and not edge.condition and not edge.fork


def plain_start(scope: Scope) -> str:
    """Return the node with which a graph always begins and to which nothing else leads; "" if there is none."""
    first = [edge for edge in scope.edges if edge.source == START]
    if len(first) != 1 or not _bare(first[0]) or first[0].target not in scope.nodes:
        return ""
    return first[0].target if sum(edge.target == first[0].target for edge in scope.edges) == 1 else ""
