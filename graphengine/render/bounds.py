"""How often nodes are visited at most, where the conditions on a graph's ways tell it: the bounds on its loops.

Only what is certain is said: a node has a way out at so many visits of its own, and nothing that it tries before, no
way after a failure among them, leads round to it again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphengine.render.ways import Way

_CAP: Final = re.compile(r"iterations of (\w+)(?: since (\w+))? (>=?) (\d+)")
"""How a condition that counts visits reads; `graphengine.graph.conditions.Fact` writes it."""

_NESTING: Final = frozenset("()'\"")
"""Where a condition has one of these, a part of its text may be no part of it."""


class _Cap(NamedTuple):
    """A way that is taken at so many visits of its own node."""

    node: str
    order: int
    since: str
    visits: int


def bounds_of(ways: Sequence[Way]) -> dict[str, str]:
    """What is certain of the nodes of loops, in words, by node.

    Args:
        ways: All ways of a graph in declared order.
    """
    out: dict[str, list[str]] = {}
    for way in ways:
        out.setdefault(way.source, []).append(way.target)
    found: dict[str, _Cap] = {}
    for cap in (cap for way in ways for cap in _caps(way) if _binds(cap, ways, out)):
        least = min(cap, found.get(cap.node, cap), key=lambda each: each.visits)
        found[cap.node] = least
    return {node: _in_words(cap) for node, cap in found.items()}


def _caps(way: Way) -> Iterable[_Cap]:
    """What a way says of the visits at which it is taken, whatever else holds."""
    simple = not (way.failure or way.fork or _NESTING & {*way.condition})
    for part in way.condition.split(" or ") if simple else ():
        cap = _CAP.fullmatch(part)
        if cap is not None and cap[1] == way.source != cap[2]:
            yield _Cap(way.source, way.order, cap[2] or "", int(cap[4]) + (cap[3] == ">"))


def _binds(cap: _Cap, ways: Sequence[Way], out: Mapping[str, Sequence[str]]) -> bool:
    """Whether a node in a loop comes round again by ways alone that are tried behind its cap."""
    if cap.node not in _reached(out.get(cap.node, ()), out):
        return False
    own = [way for way in ways if way.source == cap.node and (way.failure or way.order <= cap.order)]
    return all(cap.node not in _reached([way.target], out) for way in own)


def _reached(begin: Iterable[str], out: Mapping[str, Sequence[str]]) -> set[str]:
    """These nodes, and all that they lead to."""
    reached, left = set(begin), list(begin)
    while left:
        for target in out.get(left.pop(), ()):
            if target not in reached:
                reached.add(target)
                left.append(target)
    return reached


def _in_words(cap: _Cap) -> str:
    since = f" since {cap.since}" if cap.since else ""
    return f"{cap.visits} visit{'s' * (cap.visits != 1)}{since} at most"
