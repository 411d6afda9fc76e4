"""Loops: whether something forces each one of a graph to end.

A way out is bound to be taken in the end where what it waits for only grows while the loop goes on: visits, spent time
or money, samples that are no better, and the length of a list to which every way round the loop appends. A hope, as
`value("score") >= 7`, forces nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args, get_origin

from graphengine.conditions import Comparison, Fact, Plateau, Value
from graphengine.paths import members
from graphengine.plan import EdgeWay
from graphengine.reducers import Replace
from graphengine.shape import reachable_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from graphengine.conditions import Condition
    from graphengine.plan import NodePlan
    from graphengine.state import StateType

_MORE: Final = (">=", ">")


@dataclass(frozen=True, slots=True)
class _Forced:
    """A way that is taken in the end, if a loop goes on and on.

    Attributes:
        target: Where it leads.
        counted: The node that must be visited again and again for it, and the one since which its visits are counted.
        appends: The field that must become longer and longer for it; "" if none.
    """

    target: str
    counted: Sequence[str] = ()
    appends: str = ""


def unbounded_loop(
    out: Mapping[str, Sequence[str]], nodes: Mapping[str, NodePlan], state: StateType[Any]
) -> Sequence[str]:
    """The nodes of a loop that nothing forces to end, the first one again as the last; empty if there is none.

    Args:
        out: Every way, node to targets.
        nodes: The nodes, with the conditions on their ways.
        state: The fields that conditions look at.
    """
    left = {node: list(targets) for node, targets in out.items()}
    forced = {name: list(_forced(node, state)) for name, node in nodes.items()}
    while True:
        reach = {node: reachable_from(node, left) for node in left}

        def together(a: str, b: str, reach: Mapping[str, set[str]] = reach) -> bool:
            return b in reach.get(a, ()) and a in reach.get(b, ())

        def ends_here(node: str, way: _Forced, left: Mapping[str, Sequence[str]] = left) -> bool:
            if together(node, way.target):
                return False
            if way.appends:
                loop = {name: each for name, each in nodes.items() if together(node, name)}
                return _grows(way.appends, loop, node, left)
            return _counts_here(node, way.counted, together)

        ends = {node for node, ways in forced.items() if node in left and any(ends_here(node, way) for way in ways)}
        if not ends:
            break
        left = {node: [t for t in targets if t not in ends] for node, targets in left.items() if node not in ends}
    loops = {node: [t for t in targets if together(node, t)] for node, targets in left.items()}
    return next((path for path in (_loop_from(node, loops) for node in loops) if path), [])


def _forced(node: NodePlan, state: StateType[Any]) -> Iterable[_Forced]:
    """The ways of a node that are bound to be taken in the end."""
    for way in node.ways:
        if isinstance(way, EdgeWay) and way.condition is not None:
            yield from _forcing(way.condition, way.target, state)


def _forcing(condition: Condition, target: str, state: StateType[Any]) -> Iterable[_Forced]:
    """What makes a condition come to hold: each part of it that must, where one is enough."""
    if isinstance(condition, Comparison) and condition.operator in _MORE:
        quantity = condition.quantity
        if isinstance(quantity, Fact) and quantity.grows:
            yield _Forced(target, quantity.names)
        elif isinstance(quantity, Value) and _is_number(condition.other):
            field = _measured(quantity, state)
            if field:
                yield _Forced(target, appends=field)
    elif isinstance(condition, Plateau):
        yield _Forced(target)
    elif getattr(condition, "word", "") == "or":
        for part in condition.parts():
            yield from _forcing(part, target, state)


def _is_number(bound: object) -> bool:
    return isinstance(bound, (int, float)) and math.isfinite(bound)


def _measured(quantity: Value, state: StateType[Any]) -> str:
    """The whole field of which this is the length, if it is a list that appending alone makes longer; else ""."""
    path = quantity.reading.path
    if quantity.measure != "length" or path is None or path.parts or state.whole:
        return ""
    field = state.fields.get(path.root)
    return path.root if field is not None and field.operation == "append" and not field.constrained else ""


def _counts_here(node: str, counted: Sequence[str], together: Callable[[str, str], bool]) -> bool:
    """Whether a cap counts a node of this loop, since one outside it: then it is reached in the end."""
    return not counted or (together(node, counted[0]) and not any(together(node, since) for since in counted[1:]))


def _grows(field: str, loop: Mapping[str, NodePlan], node: str, out: Mapping[str, Sequence[str]]) -> bool:
    """Whether a list is longer each time that a node of the loop is visited again."""
    if any(_may_replace(each, field) for each in loop.values()):
        return False
    writers = {name for name, each in loop.items() if _appends(each, field)}
    others = {name: [t for t in targets if t not in writers] for name, targets in out.items() if name not in writers}
    return not any(node in reachable_from(target, others) for target in others.get(node, ()))


def _appends(node: NodePlan, field: str) -> bool:
    """Whether each visit of a node writes to a field as a whole, also one that failed or has no items."""
    whole = node.writer.whole
    return whole is not None and whole.field == field and node.each is None and not node.failure_ways


def _may_replace(node: NodePlan, field: str) -> bool:
    """Whether a node may do anything to a list but append to it, so far as types tell."""
    writer, returns = node.writer, _returns(node)
    if field not in writer.fields:
        return False
    if writer.memory is not None and writer.memory.field == field:
        return True
    if writer.whole is not None:
        return writer.whole.key is not None or any(_may_be_replacement(kind) for kind in returns)
    if writer.keys is None:
        return True
    kinds = [kind for each in returns for kind in members(each) if kind not in (None, type(None))]
    return any(get_origin(kind) is not dict or _may_be_replacement(get_args(kind)[1]) for kind in kinds)


def _returns(node: NodePlan) -> Sequence[object]:
    """The types of what a node, or what stands in for it, may give."""
    calls = [call for call in (node.call, *node.choices.values()) if call is not None]
    if node.fallback is None:
        return [call.body.returns for call in calls]
    given = node.fallback.call
    return [*(call.body.returns for call in calls), type(node.fallback.value) if given is None else given.body.returns]


def _may_be_replacement(annotation: object) -> bool:
    """Whether a value of this type may be a `Replace`, which sets a list anew, and not an item of it."""
    kinds = [get_origin(kind) or kind for kind in members(annotation)]
    return any(kind in (Any, object, Replace) or isinstance(kind, (TypeVar, str)) for kind in kinds)


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
