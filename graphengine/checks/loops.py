"""The check that something forces every loop of a graph to end.

A run that loops forever leaves some nodes by the same edges again and again. Some quantities only grow with each
round: visits, spent time or money, the length of a list to which each round appends, samples without improvement of a
score that is never missing and cannot get better for ever. If one of them makes the condition of an edge false in the
end, or that of an earlier edge true, the edge is not taken forever. Such edges are removed until no more are found. A
loop of the remaining edges may never end. A node that waits for an answer or a message ends a loop too, since it is
controlled from outside. `value("score") >= 7` does not guarantee termination.

Example: `a` has the edges to `b` when `score < 7`, to END when `iterations("a") >= 3`, else to `c`; `b` and `c` lead
back. The cap removes the edge to `c`, which is tried after it, but not the one to `b`, which is tried before.
"""

from __future__ import annotations

import inspect
import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar, get_args, get_origin

from graphengine.checks.reachability import components, reachable_from
from graphengine.kernel.extension import END, START, Fork, Switch
from graphengine.kernel.inside import Comparison, Composed, Fact, Negated, Plateau, Value, members
from graphengine.reducers import Replace
from graphengine.schemas.walking import kinds, variants

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from graphengine.kernel.extension import AnyEdge, Call, Condition, NodePlan, Plan, StateType
    from graphengine.schemas.walking import Schema

_RISES: Final = (">=", ">", "!=")
_FALLS: Final = ("<=", "<", "==")


@dataclass(frozen=True, slots=True)
class _Growth:
    """A quantity that must keep growing for a condition to hold, or not to hold, from some round on.

    Attributes:
        counted: The node whose visits count; "" if it is not a count.
        appends: The field that becomes longer; "" if it is not a length.
        samples: The fields that are sampled; empty if there are none.
        since: The node whose visits reset the quantity; "" if there is none.
    """

    counted: str = ""
    appends: str = ""
    samples: frozenset[str] = frozenset()
    since: str = ""


_Needs: TypeAlias = "list[frozenset[_Growth]]"
"""Alternatives, each a set of quantities that must all grow."""


class _Arrow(NamedTuple):
    """An edge, and needs; any one of them keeps it from being taken forever."""

    source: str
    target: str
    ends: _Needs


def find_unbounded_loops(nodes: Mapping[str, NodePlan], state: StateType[Any]) -> Iterator[Sequence[str]]:
    """Yield loops that nothing forces to end, each as its nodes with the first one again as the last.

    Args:
        nodes: The nodes whose edges are considered, with the conditions on them.
        state: The fields that conditions read.
    """
    waiting = {name for name, node in nodes.items() if _waits(node)}
    arrows = [
        arrow
        for name, node in nodes.items()
        for edges in (node.edges, node.failure_edges)
        for arrow in _arrows(name, edges, state)
        if not {name, arrow.target} & waiting and arrow.target in nodes
    ]
    while True:
        graph = _Rounds(nodes, arrows)
        kept = [arrow for arrow in graph.arrows if not any(graph.all_grow(arrow, needs) for needs in arrow.ends)]
        if len(kept) == len(arrows):
            break
        arrows = kept
    seen: set[int] = set()
    for name in nodes:
        if name in graph.out and graph.group[name] not in seen:
            seen.add(graph.group[name])
            yield _loop_from(name, graph.out)


class _Rounds:
    """The remaining edges that are part of a loop."""

    def __init__(self, nodes: Mapping[str, NodePlan], arrows: Sequence[_Arrow]) -> None:
        out: dict[str, list[str]] = defaultdict(list)
        for arrow in arrows:
            out[arrow.source].append(arrow.target)
        self.nodes = nodes
        self.group = components(out)
        self.arrows = [arrow for arrow in arrows if self.group[arrow.source] == self.group[arrow.target]]
        self.out: dict[str, list[str]] = defaultdict(list)
        for arrow in self.arrows:
            self.out[arrow.source].append(arrow.target)
        self.members: dict[int, list[str]] = defaultdict(list)
        for name in self.out:
            self.members[self.group[name]].append(name)

    def all_grow(self, arrow: _Arrow, needs: Iterable[_Growth]) -> bool:
        """Return whether all of these quantities grow in each loop that an edge is part of."""
        return all(self._grows(arrow, growth) for growth in needs)

    def _grows(self, arrow: _Arrow, growth: _Growth) -> bool:
        loop = self.members[self.group[arrow.source]]
        if growth.since in loop:
            return False
        if growth.counted:
            return self._passes(arrow, {growth.counted})
        if growth.appends:
            field = growth.appends
            replaced = any(_may_replace(self.nodes[name], field) for name in loop)
            return not replaced and self._passes(arrow, {name for name in loop if _appends(self.nodes[name], field)})
        if growth.samples:
            return self._passes(arrow, {name for name in loop if growth.samples & set(self.nodes[name].writer.fields)})
        return True

    def _passes(self, arrow: _Arrow, names: Collection[str]) -> bool:
        """Return whether each loop that an edge is part of passes one of these nodes."""
        if arrow.source in names or arrow.target in names:
            return True
        others = {name: [t for t in targets if t not in names] for name, targets in self.out.items()}
        return arrow.source not in reachable_from(arrow.target, others)


def _waits(node: NodePlan) -> bool:
    """Return whether every visit of a node needs an answer or a message from outside to finish."""
    return bool(node.calls) and node.each is None and all(map(_call_waits, node.calls))


def _call_waits(call: Call) -> bool:
    if call.graph is not None:
        return _graph_waits(call.graph)
    if call.body.kind == "ask":
        return True
    code = getattr(inspect.unwrap(call.function), "__code__", None)
    return "ctx" in call.extras and code is not None and not {"ask", "receive"}.isdisjoint(code.co_names)


def _graph_waits(plan: Plan[Any]) -> bool:
    """Return whether every path through a graph passes a node that waits."""
    out = {name: _targets((*node.edges, *node.failure_edges)) for name, node in plan.nodes.items() if not _waits(node)}
    return END not in reachable_from(START, {START: _targets(plan.start), **out})


def _targets(edges: Iterable[AnyEdge]) -> list[str]:
    return [target for edge in edges for target in edge.targets]


def _arrows(source: str, edges: Iterable[AnyEdge], state: StateType[Any]) -> Iterator[_Arrow]:
    """Yield the edges that leave a node, in the order in which they are tried, each with the needs that end its use."""
    before: _Needs = []
    for edge in edges:
        condition = None if isinstance(edge, Switch) else edge.condition
        ends = [*before, *_settles(condition, state, holds=False)]
        arms = dict(edge.arms) if isinstance(edge, Fork) else {}
        for target in edge.targets:
            yield _Arrow(source, target, [*ends, *_settles(arms.get(target), state, holds=False)])
        if condition is not None:
            before += _settles(condition, state, holds=True)


def _settles(condition: Condition | None, state: StateType[Any], *, holds: bool) -> _Needs:
    """Return what must grow for a condition to hold, or not to hold, from some round on."""
    if isinstance(condition, Negated):
        return _settles(condition.of, state, holds=not holds)
    if isinstance(condition, Composed):
        left, right = (_settles(part, state, holds=holds) for part in condition.parts())
        either = holds == (condition.word == "or")
        return [*left, *right] if either else [a | b for a, b in product(left, right)]
    if isinstance(condition, Plateau) and holds and not may_rise_for_ever(condition, state):
        return [frozenset([_Growth(samples=condition.reading.roots, since=condition.since or "")])]
    if isinstance(condition, Comparison) and condition.operator in (_RISES if holds else _FALLS):
        return [frozenset([growth]) for growth in _find_growing(condition, state)]
    return []


def may_rise_for_ever(plateau: Plateau, state: StateType[Any]) -> bool:
    """Return whether a plateau may never hold: its score can be missing, or get better and better, as far as known."""
    path = plateau.reading.path
    if path is None:
        return True
    try:
        root = state.model.model_json_schema(by_alias=False)
    except Exception:  # noqa: BLE001 - of types of the user's, which have no schema
        return True
    found = variants(root.get("properties", {}).get(path.root), root)
    for kind, key in path.parts:
        if any("null" in kinds(each) for each in found):
            return True
        found = [below for each in found for below in variants(_schema_of_part(each, kind, key), root)]
    return not found or not all(_has_end(each, plateau) for each in found)


def _schema_of_part(schema: Schema, kind: str, key: str | int) -> object:
    """Return the schema of a part of a value; None if it is not known."""
    if kind == "name":
        return schema.get("properties", {}).get(key, schema.get("additionalProperties"))
    return schema.get("items", schema.get("additionalProperties"))


def _has_end(schema: Schema, plateau: Plateau) -> bool:
    """Return whether a value of a schema is never missing, and can be better than before so many times only."""
    if "enum" in schema or "const" in schema:
        return None not in schema.get("enum", [schema.get("const")])
    names = ("maximum", "exclusiveMaximum") if plateau.mode == "max" else ("minimum", "exclusiveMinimum")
    is_bounded, allowed = any(name in schema for name in names), kinds(schema)
    steps = allowed == {"integer"} or (allowed == {"number"} and plateau.min_delta > 0)
    return allowed == {"boolean"} or (steps and is_bounded)


def _find_growing(comparison: Comparison, state: StateType[Any]) -> Iterator[_Growth]:
    """Yield the left side of a comparison if it grows without bound."""
    quantity, bound = comparison.quantity, comparison.other
    if not isinstance(bound, (int, float)) or not -math.inf < bound < math.inf:
        return
    if isinstance(quantity, Fact) and quantity.grows:
        counted, since = (*quantity.names, "", "")[:2]
        yield _Growth(counted, since=since)
    elif isinstance(quantity, Value):
        field = _field_measured_by(quantity, state)
        if field:
            yield _Growth(appends=field)


def _field_measured_by(quantity: Value, state: StateType[Any]) -> str:
    """Return the field whose length this is, if it is a whole list that is only appended to; else ""."""
    path = quantity.reading.path
    if quantity.measure != "length" or path is None or path.parts or state.whole:
        return ""
    field = state.fields.get(path.root)
    return path.root if field is not None and field.operation == "append" and not field.constrained else ""


def _appends(node: NodePlan, field: str) -> bool:
    """Return whether each visit of a node writes to a field as a whole, even if it failed or has no items."""
    written = [target.field for target in node.writer.whole]
    return written == [field] and node.each is None and not node.failure_edges


def _may_replace(node: NodePlan, field: str) -> bool:
    """Return whether a node may change a list other than by appending, as far as types show."""
    writer, returns = node.writer, _returns(node)
    if field not in writer.fields:
        return False
    if field in writer.also or (writer.messages is not None and writer.messages.field == field):
        return True
    if writer.keys is None:
        whole = [target for target, source in writer.parts if source is None and target.key is None]
        return len(whole) < len(writer.parts) or any(_may_be_replacement(kind) for kind in returns)
    kinds = [kind for each in returns for kind in members(each) if kind not in (None, type(None))]
    return any(get_origin(kind) is not dict or _may_be_replacement(get_args(kind)[1]) for kind in kinds)


def _returns(node: NodePlan) -> Sequence[object]:
    """Return the types that a node or its fallback can return."""
    found = [call.body.returns for call in node.calls]
    if node.fallback is not None:
        given = node.fallback.call
        found.append(type(node.fallback.value) if given is None else given.body.returns)
    return found


def _may_be_replacement(annotation: object) -> bool:
    """Return whether a value of this type can be a `Replace`, which replaces a list, instead of an item of it."""
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
