"""What the log of a program may be: a second, independent account of what each part does, as a regular expression.

It knows nothing of crashes, stops, branches or other processes: whatever happens to a run, what it did at its end is
the same. What may differ are fallbacks, which stand in for nodes that can fail, items that are lost, arms that are
cancelled, and results that somebody knew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.crossing import program as p
from tests.crossing.build import KNOWN, word


def pattern(spec: p.Graph, place: str = "", item: int | None = None) -> str:
    """Return what the log of a graph may be, its words each followed by a blank."""
    return "".join(
        _stage(stage, f"{place}{number}", visit, item)
        for visit in range(1, spec.rounds + 1)
        for number, stage in enumerate(spec.stages)
    )


def _stage(stage: p.Node | p.Fork, place: str, visit: int, item: int | None) -> str:
    if isinstance(stage, p.Node):
        return _node(stage, place, visit, item)
    places = [(f"{place}x{arm}", node) for arm, node in enumerate(stage.arms)]
    if not stage.need:
        return "".join(_node(node, at, visit, item) for at, node in places)
    visits = range(1, visit + 1)  # one that was cancelled does not count
    return "".join(_maybe("|".join(_node(node, at, each, item) for each in visits)) for at, node in places)


def _node(node: p.Node, place: str, visit: int, item: int | None) -> str:
    if not node.width:
        return _once(node, place, visit, item)
    items = [_once(node, place, visit, each) for each in range(node.width)]
    return "".join(map(_maybe, items) if node.keep and can_fail(node) else items)


def _once(node: p.Node, place: str, visit: int, item: int | None) -> str:
    if isinstance(node.does, p.Graph):
        found = pattern(node.does, f"{place}i", item)
    elif isinstance(node.does, p.Talk):
        found = re.escape(f"a{place} ")
    else:
        found = _ops(node.does, place, visit, item)
    if node.effect:
        found = _either(found, f"{KNOWN} ")
    return _either(found, _ops(node.fallback, f"{place}f", visit, item)) if node.fallback else found


def _ops(ops: Iterable[p.Op], place: str, visit: int, item: int | None) -> str:
    said = ""
    for number, op in enumerate(ops):
        said += re.escape(f"{word(place, visit, item, number, op)} ")
        if isinstance(op, p.Start):
            said += pattern(op.graph) * op.wide
    return said


def _either(one: str, other: str) -> str:
    return f"(?:{one}|{other})"


def _maybe(one: str) -> str:
    return f"(?:{one})?"


def can_fail(node: p.Node) -> bool:
    """Return whether a node may fail for good."""
    return any(isinstance(part, (p.Fail, p.Call, p.Talk, p.Start)) for part in p.parts(node)) or bool(node.effect)
