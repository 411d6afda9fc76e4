"""Questions about a graph's shape, asked of plain adjacency lists."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


def reachable_from(start: str, out: Mapping[str, Sequence[str]]) -> set[str]:
    """Every node that can be reached, the start included."""
    seen = {start}
    waiting = [start]
    while waiting:
        for target in out.get(waiting.pop(), ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def can_reach(goals: Iterable[str], out: Mapping[str, Sequence[str]]) -> set[str]:
    """Every node from which a goal can be reached, the goals included."""
    back: dict[str, list[str]] = defaultdict(list)
    for source, targets in out.items():
        for target in targets:
            back[target].append(source)
    return {node for goal in goals for node in reachable_from(goal, back)}


def unbounded_loop(
    out: Mapping[str, Sequence[str]], forced: Mapping[str, Sequence[tuple[str, Sequence[str]]]]
) -> list[str]:
    """The nodes of a loop that nothing forces to end; empty if there is none.

    Args:
        out: Every way, node to targets.
        forced: The ways that are bound to be taken in the end, each with the nodes whose visits it counts. A node ends
            its loop with one that leaves the loop and counts nodes of the loop alone.
    """
    left = {node: list(targets) for node, targets in out.items()}
    while True:
        reach = {node: reachable_from(node, left) for node in left}

        def together(a: str, b: str, reach: Mapping[str, set[str]] = reach) -> bool:
            return b in reach.get(a, ()) and a in reach.get(b, ())

        ends = {
            node
            for node, ways in forced.items()
            if node in left
            and any(not together(node, target) and _counts_here(node, counted, together) for target, counted in ways)
        }
        if not ends:
            break
        left = {node: [t for t in targets if t not in ends] for node, targets in left.items() if node not in ends}
    loops = {node: [t for t in targets if together(node, t)] for node, targets in left.items()}
    return next((path for path in (_loop_from(node, loops) for node in loops) if path), [])


def _counts_here(node: str, counted: Sequence[str], together: Callable[[str, str], bool]) -> bool:
    """Whether a cap counts a node of this loop, since one outside it: then it is reached in the end."""
    return not counted or (together(node, counted[0]) and not any(together(node, since) for since in counted[1:]))


def _loop_from(node: str, out: Mapping[str, Sequence[str]]) -> list[str]:
    before: dict[str, str] = {}
    waiting = [node]
    while waiting:
        here = waiting.pop(0)
        for target in out.get(here, ()):
            if target == node:
                path = [here]
                while path[-1] != node:
                    path.append(before[path[-1]])
                return [*reversed(path), node]
            if target not in before:
                before[target] = here
                waiting.append(target)
    return []
