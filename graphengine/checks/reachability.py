"""Which nodes can be reached from which others, in plain lists of edges."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


def reachable_from(start: str, out: Mapping[str, Sequence[str]], *, without: Collection[str] = ()) -> set[str]:
    """Return all nodes that can be reached from `start`, including `start`, without passing a node in `without`."""
    seen = {start}.difference(without)
    waiting = list(seen)
    while waiting:
        for target in out.get(waiting.pop(), ()):
            if target not in seen and target not in without:
                seen.add(target)
                waiting.append(target)
    return seen


def can_reach(goals: Iterable[str], out: Mapping[str, Sequence[str]]) -> set[str]:
    back: dict[str, list[str]] = defaultdict(list)
    for source, targets in out.items():
        for target in targets:
            back[target].append(source)
    return {node for goal in goals for node in reachable_from(goal, back)}


def components(out: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Assign a number to each strongly connected component of a graph.

    Nodes that are in a loop together share a number.

    If one component leads to another, it has the higher number.

    Source: R. Tarjan, "Depth-first search and linear graph algorithms" (1972), here without recursion.
    """
    found: dict[str, int] = {}
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    number = 0
    for root in (*out, *(target for targets in out.values() for target in targets)):
        walk = [] if root in order else [(root, iter(out.get(root, ())))]
        if walk:
            order[root] = lowest[root] = len(order)
            stack.append(root)
        while walk:
            node, targets = walk[-1]
            target = next(targets, None)
            if target is None:
                walk.pop()
                if walk:
                    lowest[walk[-1][0]] = min(lowest[walk[-1][0]], lowest[node])
                if lowest[node] == order[node]:
                    while node not in found:
                        found[stack.pop()] = number
                    number += 1
            elif target not in order:
                order[target] = lowest[target] = len(order)
                stack.append(target)
                walk.append((target, iter(out.get(target, ()))))
            elif target not in found:
                lowest[node] = min(lowest[node], order[target])
    return found
