"""The check that something forces every loop of a graph to end.

A run that loops forever leaves some nodes by the same edges again and again. Some quantities only grow with each round:

- the number of visits
- the time or money that was spent
- the length of a list to which each round appends
- the number of samples without an improvement of a score, if the score is never missing and cannot improve forever

If the growth of such a quantity finally makes the condition of an edge false, or makes the condition of an earlier edge
true, a run cannot take the edge forever. The check removes such edges until it finds no more. A loop of the edges that
remain may never end. A node that waits for an answer or a message also ends a loop, because it is controlled from
outside. The condition `value("score") >= 7` does not force a loop to end.

For example, `a` has three edges: to `b` if `score < 7`, to END if `iterations("a") >= 3`, and otherwise to `c`. Both
`b` and `c` lead back to `a`. The second edge limits the visits. It removes the edge to `c`, which is tried after it,
but it does not remove the edge to `b`, which is tried before it.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args, get_origin

from graphengine.checks.reachability import components, reachable_from
from graphengine.kernel.extension import END, START, Fork, Switch
from graphengine.kernel.inside import members
from graphengine.reducers import Replace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from graphengine.kernel.extension import AnyEdge, Call, Condition, NodePlan, Plan, StateType
    from graphengine.kernel.inside import GrowingQuantity


class _Arrow(NamedTuple):
    """An edge of a loop, with what must grow so that a run cannot take the edge forever.

    For example, an edge whose condition holds only while a list has fewer than three items can be taken only a few
    times, if the list grows in each round of the loop.

    Attributes:
        source: The node that the edge leaves.
        target: The node that the edge enters.
        ends: Alternatives. Each is a set of counts and lists. If all members of one set grow, a run cannot take the
            edge forever.
    """

    source: str
    target: str
    ends: Sequence[frozenset[GrowingQuantity]]


def find_unbounded_loops(nodes: Mapping[str, NodePlan], state: StateType[Any]) -> Iterator[Sequence[str]]:
    """Yield loops that may run forever, because nothing forces them to end.

    Each loop is the list of its nodes, and the first node is repeated at the end.

    Args:
        nodes: The nodes whose edges are checked. The edges have their conditions.
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
    reported: set[int] = set()
    for name in nodes:
        if name in graph.out and graph.group[name] not in reported:
            reported.add(graph.group[name])
            yield _loop_from(name, graph.out)


class _Rounds:
    """The loops of a graph, to answer questions such as whether every loop with a certain edge visits a certain node.

    Args:
        nodes: The compiled nodes, by name.
        arrows: The edges.
    """

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

    def all_grow(self, arrow: _Arrow, needs: Iterable[GrowingQuantity]) -> bool:
        """Return whether certain counts or lists grow in every loop that contains this edge.

        If so, a condition on them must end each of these loops.
        """
        return all(self._grows(arrow, growth) for growth in needs)

    def _grows(self, arrow: _Arrow, growth: GrowingQuantity) -> bool:
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
        """Return whether every loop that contains an edge visits at least one of the nodes in `names`."""
        if arrow.source in names or arrow.target in names:
            return True
        others = {name: [t for t in targets if t not in names] for name, targets in self.out.items()}
        return arrow.source not in reachable_from(arrow.target, others)


def _waits(node: NodePlan) -> bool:
    """Return whether a node cannot complete without an answer or a message from outside."""
    return bool(node.calls) and node.each is None and all(map(_call_waits, node.calls))


def _call_waits(call: Call) -> bool:
    if call.graph is not None:
        return _graph_waits(call.graph)
    if call.body.kind == "ask":
        return True
    code = getattr(inspect.unwrap(call.function), "__code__", None)
    return "ctx" in call.extras and code is not None and not {"ask", "receive"}.isdisjoint(code.co_names)


def _graph_waits(plan: Plan[Any]) -> bool:
    """Return whether every path through a graph waits for an answer or a message."""
    out = {name: _targets((*node.edges, *node.failure_edges)) for name, node in plan.nodes.items() if not _waits(node)}
    return END not in reachable_from(START, {START: _targets(plan.start), **out})


def _targets(edges: Iterable[AnyEdge]) -> list[str]:
    return [target for edge in edges for target in edge.targets]


def _arrows(source: str, edges: Iterable[AnyEdge], state: StateType[Any]) -> Iterator[_Arrow]:
    """Yield the edges that leave a node, in declared order, each with what must grow so that a loop over it ends.

    A loop over an edge ends if the condition of the edge must fail some day, or if the condition of an earlier edge of
    the node must hold some day.
    """
    before: list[frozenset[GrowingQuantity]] = []
    for edge in edges:
        condition = None if isinstance(edge, Switch) else edge.condition
        ends = [*before, *_growth_until(condition, state, holds=False)]
        arms = dict(edge.arms) if isinstance(edge, Fork) else {}
        for target in edge.targets:
            yield _Arrow(source, target, [*ends, *_growth_until(arms.get(target), state, holds=False)])
        if condition is not None:
            before += _growth_until(condition, state, holds=True)


def _growth_until(
    condition: Condition | None, state: StateType[Any], *, holds: bool
) -> Sequence[frozenset[GrowingQuantity]]:
    return () if condition is None else condition.growth_until(state, holds=holds)


def _appends(node: NodePlan, field: str) -> bool:
    """Return whether every visit of a node writes a field as a whole.

    This is not certain for a map, which may have no items, and for a node with failure edges, whose visits may fail.
    """
    written = [target.field for target in node.writer.whole]
    return written == [field] and node.each is None and not node.failure_edges


def _may_replace(node: NodePlan, field: str) -> bool:
    """Return whether the types of a node's results allow the node to replace a list instead of appending to it.

    A loop that waits for the list to grow might then not end.
    """
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
    found = [call.body.returns for call in node.calls]
    if node.fallback is not None:
        given = node.fallback.call
        found.append(type(node.fallback.value) if given is None else given.body.returns)
    return found


def _may_be_replacement(annotation: object) -> bool:
    """Return whether a result of this type may be a `Replace`, which replaces a list instead of appending to it."""
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
