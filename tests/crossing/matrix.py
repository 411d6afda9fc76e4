"""Which features of runs were crossed how often: both happened in one run, or to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from typing import Any, Final

from tests.crossing import program as p

FEATURES: Final = (
    "act", "call", "tool", "idempotent", "once", "reconcile", "ask", "message", "sleep", "approval", "map", "narrow",
    "keep", "fork", "need", "graph", "child", "deep", "rounds", "retry", "fallback", "flaky", "visits", "cost",
    "budget", "chat", "stop", "branch", "migrate", "deploy", "trim", "prune", "post", "kill", "full", "close", "two",
    "file",
)  # fmt: skip
"""What is crossed, in the order of the matrix; `narrow` is a map wider than its concurrency, `two` are processes,
`file` is a SQLite file."""
_NOT_IN_CHATS: Final = frozenset(FEATURES[FEATURES.index("map") : FEATURES.index("fallback") + 1]) | {
    "act", "call", "ask", "message", "sleep", "visits", "cost", "branch", "migrate",
}  # fmt: skip
"""A chat is one agent, driven by `runner.run`."""


def can_cross(one: str, other: str) -> bool:
    """Return whether two features can be crossed at all."""
    return not ("chat" in (one, other) and {one, other} & _NOT_IN_CHATS)


PAIRS: Final = tuple(pair for pair in combinations(FEATURES, 2) if can_cross(*pair))


def features_of(program: p.Program) -> set[str]:
    """Return the features that a program has."""
    found = {type(event).__name__.lower() for event in program.events} | happenings(program)
    for part in p.parts(program):
        found |= {type(part).__name__.lower(), NAMES.get(type(part), ""), getattr(part, "effect", "")}
        found |= {name for name, has in HAVE.items() if has(part)}
    return found & {*FEATURES}


NAMES: Final[Mapping[type, str]] = {
    p.Receive: "message", p.Send: "message", p.Fail: "retry", p.Start: "child",
}  # fmt: skip
"""What operations are called in the matrix, if not by their names."""
HAVE: Final[Mapping[str, Callable[[Any], bool]]] = {
    "deep": lambda part: isinstance(part, p.Start) and part.deep > 1,
    "approval": lambda part: isinstance(part, p.Tool) and bool(part.approve),
    "flaky": lambda part: bool(getattr(part, "flaky", 0)) or getattr(part, "how", "") == "flaky",
    "map": lambda part: isinstance(part, p.Node) and part.width > 0,
    "narrow": lambda part: isinstance(part, p.Node) and part.width > part.concurrency,
    "keep": lambda part: isinstance(part, p.Node) and part.width > 0 and part.keep,
    "fallback": lambda part: isinstance(part, p.Node) and bool(part.fallback),
    "graph": lambda part: isinstance(part, p.Node) and isinstance(part.does, p.Graph),
    "need": lambda part: isinstance(part, p.Fork) and part.need > 0,
    "rounds": lambda part: isinstance(part, p.Graph) and part.rounds > 1,
}
"""Which parts of a program have a feature that a part of their kind may lack."""


def happenings(program: p.Program) -> set[str]:
    """Return what holds for all runs of a program."""
    wanted = {
        "visits": program.visits,
        "cost": program.quarters,
        "budget": program.budget,
        "two": program.processes > 1,
        "file": program.disk,
    }
    return {name for name, is_there in wanted.items() if is_there}


def crossed(found: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Return the pairs of these features."""
    there = {*found}
    return (pair for pair in PAIRS if there.issuperset(pair))


def table(counts: Mapping[tuple[str, str], int]) -> str:
    """Return the matrix as text."""
    width = max(map(len, FEATURES))
    lines = [" " * width + "".join(f"{number:5}" for number in range(len(FEATURES) - 1))]
    for row, one in enumerate(FEATURES[1:], 1):
        cells = [f"{counts.get((other, one), 0):5}" if can_cross(other, one) else "    -" for other in FEATURES[:row]]
        lines.append(f"{one:{width}}{''.join(cells)}")
    names = ", ".join(f"{number} {name}" for number, name in enumerate(FEATURES[:-1]))
    return "\n".join([*lines, names])


def empty(counts: Counter[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs that were never crossed."""
    return [pair for pair in PAIRS if not counts[pair]]


__all__ = ["FEATURES", "PAIRS", "can_cross", "crossed", "empty", "features_of", "happenings", "table"]
