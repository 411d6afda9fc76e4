"""The bounds on a graph's loops: how often nodes are visited at most, according to the conditions on edges.

Only certain bounds are reported: a node leaves along an edge after N visits of its own, and no edge that is tried
before it, or after a failure, leads back to the node.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.render.edges import reached_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphengine.render.edges import DrawnEdge

_CAP: Final = re.compile(r"iterations of (\w+)(?: since (\w+))? (>=?) (\d+)")
"""The text of a condition that counts visits, as `graphengine.graph.conditions.Fact` writes it."""

_NESTING: Final = frozenset("()'\"")
"""If a condition contains one of these, splitting its text may not split the condition."""


class _Cap(NamedTuple):
    """An edge that is taken at this number of visits of its own node."""

    node: str
    order: int
    since: str
    visits: int


def bounds_of(edges: Sequence[DrawnEdge]) -> dict[str, str]:
    """Return the certain bounds on nodes in loops, in words, by node.

    Args:
        edges: All edges of a graph in declared order.
    """
    out: dict[str, list[str]] = {}
    for edge in edges:
        out.setdefault(edge.source, []).append(edge.target)
    found: dict[str, _Cap] = {}
    for cap in (cap for edge in edges for cap in _caps(edge) if _binds(cap, edges, out)):
        least = min(cap, found.get(cap.node, cap), key=lambda each: each.visits)
        found[cap.node] = least
    return {node: _in_words(cap) for node, cap in found.items()}


def _caps(edge: DrawnEdge) -> Iterable[_Cap]:
    """Yield the numbers of visits at which an edge is taken whatever else holds."""
    simple = not (edge.failure or edge.fork or _NESTING & {*edge.condition})
    for part in edge.condition.split(" or ") if simple else ():
        cap = _CAP.fullmatch(part)
        if cap is not None and cap[1] == edge.source != cap[2]:
            yield _Cap(edge.source, edge.order, cap[2] or "", int(cap[4]) + (cap[3] == ">"))


def _binds(cap: _Cap, edges: Sequence[DrawnEdge], out: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a node in a loop is reached again only along edges that are tried after its cap."""
    if cap.node not in reached_from(out.get(cap.node, ()), out):
        return False
    own = [edge for edge in edges if edge.source == cap.node and (edge.failure or edge.order <= cap.order)]
    return all(cap.node not in reached_from([edge.target], out) for edge in own)


def _in_words(cap: _Cap) -> str:
    since = f" since {cap.since}" if cap.since else ""
    return f"{cap.visits} visit{'s' * (cap.visits != 1)}{since} at most"
