"""Questions about a graph's shape, asked of plain adjacency lists."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


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
