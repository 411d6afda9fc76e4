"""Find out whether a changed value can have an effect, because a later node or condition reads its field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.kernel.extension import END, START, Fork, Switch
from graphengine.kernel.inside import plan_of
from graphengine.kernel.reader import Leaving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.kernel.extension import AnyEdge, Condition, NodePlan, Plan
    from graphengine.kernel.reader import Snapshot


def unread_changes(
    plan: Plan[Any], snapshot: Snapshot, path: str, fields: Sequence[str]
) -> Mapping[str, Sequence[str]]:
    """Return those changed fields that no later node or condition of a run can read.

    If the answer is not known, the field counts as read. For example, a graph with a validator for its whole state can
    read every field.

    Args:
        plan: The graph of the run.
        snapshot: The run at the step after which the fields are changed.
        path: The path of the state that is changed; "" for the state of the run.
        fields: The names of the changed fields.

    Returns:
        For each unread field: the nodes that replace the value before another node can read it.
    """
    changed = next((frame for frame in snapshot.frames.values() if frame.id.rstrip("/") == path.rstrip("/")), None)
    if changed is None:
        return {}
    inner = plan_of(plan, changed)
    # The arms of a fork and the items of a map read the fields of the frame that they belong to.
    places = [changed]
    for place in places:
        places += [frame for frame in snapshot.frames.values() if frame.base is place]
    starts = [(place.at, isinstance(place.phase, Leaving)) for place in places]
    if inner.state.whole or any(at not in inner.nodes and at != START for at, _ in starts):
        return {}
    found = {name: _find_replacing(inner, starts, name, is_root=changed.up is None) for name in fields}
    return {name: replacing for name, replacing in found.items() if replacing is not None}


def _find_replacing(
    plan: Plan[Any], starts: Sequence[tuple[str, bool]], field: str, *, is_root: bool
) -> Sequence[str] | None:
    """Return the nodes that replace a field before it is read; None if a node or a condition may read the field.

    The function follows all edges from the places in `starts`. Each place is a node, and whether the node is done.
    """
    answered = [rule.answered for rules in plan.rules.values() for rule in rules if rule.answered is not None]
    if any(_tests(condition, field) for condition in answered):
        return None
    replacing = set[str]()
    seen, waiting = set[str](), list(starts)
    while waiting:
        name, is_done = waiting.pop()
        if name == END:
            if not is_root or (plan.result is not None and not plan.result.roots.isdisjoint((field, "state"))):
                return None
            continue
        node = plan.nodes.get(name)
        edges: Sequence[AnyEdge] = plan.start if node is None else (*node.edges, *node.failure_edges)
        if node is not None and not is_done:
            if not {field, "state"}.isdisjoint(_list_read_fields(node)):
                return None
            if _replaces(plan, node, field):
                replacing.add(name)
                edges = node.failure_edges
        if any(_decides(edge, field) for edge in edges):
            return None
        targets = {target for edge in edges for target in edge.targets}
        targets |= {edge.join for edge in edges if isinstance(edge, Fork)}
        waiting += [(target, False) for target in sorted(targets - seen)]
        seen |= targets
    return sorted(replacing)


def _decides(edge: AnyEdge, field: str) -> bool:
    """Return whether it depends on a field whether and where an edge leads."""
    if isinstance(edge, Switch):
        return not edge.reading.roots.isdisjoint((field, "state"))
    arms = edge.arms if isinstance(edge, Fork) else ()
    conditions = [edge.condition, *(condition for _, condition in arms)]
    return any(_tests(condition, field) for condition in conditions if condition is not None)


def _tests(condition: Condition, field: str) -> bool:
    return any(not {field, "state"}.isdisjoint(leaf.roots) for leaf in condition.leaves())


def _list_read_fields(node: NodePlan) -> Iterator[str]:
    """Yield the fields that a node may read, including those that its fallback reads."""
    fallback = node.fallback.call if node.fallback is not None else None
    for call in (*node.calls, *([fallback] if fallback is not None else ())):
        yield from call.roots
    yield from node.writer.roots
    if node.writer.messages is not None:
        yield node.writer.messages.field  # an agent continues the conversation in this field
    if node.selector is not None:
        yield from node.selector.roots
    for _, reading, _ in node.each.sources if node.each is not None else ():
        yield from reading.roots


def _replaces(plan: Plan[Any], node: NodePlan, field: str) -> bool:
    """Return whether every successful visit of a node replaces the whole value of a field."""
    declared = plan.state.fields.get(field)
    is_whole = any(target.place == field and target.key is None for target, _ in node.writer.parts)
    return is_whole and node.writer.keys is None and declared is not None and declared.reducer is None


__all__ = ["unread_changes"]
