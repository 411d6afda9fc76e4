"""Checks of forks: their shape, effects that are cancelled, and fields that several arms would overwrite."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from graphengine.checks.fork_regions import breaches, region
from graphengine.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from graphengine.checks.fork_regions import Fork
    from graphengine.checks.shape import MeantShape
    from graphengine.kernel.extension import FieldType, NodePlan


@runtime_checkable
class KnowsEffects(Protocol):
    """An interface of what nodes run, such as an agent with tools, for listing the parts that must not be repeated."""

    def effects(self) -> Sequence[str]:
        """The names of the parts of the body, such as tools, that must not be repeated."""
        ...


def fork_problems(
    shape: MeantShape, nodes: Mapping[str, NodePlan], fields: Mapping[str, FieldType], undeclared: Collection[str]
) -> Iterator[Problem]:
    """Find all problems of the forks in a graph, such as an arm that an edge leaves before the join.

    Arms that write the same field are reported too.

    Args:
        shape: The nodes and edges of the graph.
        nodes: The compiled nodes.
        fields: The fields of its state.
        undeclared: The nodes that do not declare which fields they write.
    """
    for breach in breaches(shape.forks, shape.out):
        yield Problem(breach.code, f"fork at {breach.source}", breach.message, breach.repair)
    for fork in shape.forks:
        yield from _conflicts(fork, shape.out, nodes, fields, undeclared)


def check_cancelled_effects(shape: MeantShape, nodes: Mapping[str, NodePlan]) -> Iterator[Problem]:
    """Warn about side effects in an arm of a fork that can be cancelled in the middle.

    An arm can be cancelled if the join needs only some of the arms.
    """
    for fork in shape.forks:
        if fork.need is None or fork.need >= len(fork.targets):
            continue
        inside = {name for arm in fork.targets for name in region(arm, fork.join, shape.out) & set(nodes)}
        for node, acts in [(nodes[name], acts) for name in sorted(inside) for acts in _effects(nodes[name], name)]:
            most = len(fork.targets)
            text = f"{acts} can be cancelled during its effect, because the join needs only {fork.need} of {most} arms"
            repair = "act after the join, or leave out need=; nobody is asked how a cancelled effect ended"
            yield Problem("cancelled_effect", f"node {node.name}", text, repair, warning=True)


def _effects(node: NodePlan, path: str) -> Iterator[str]:
    """Find everything in a node that must not be repeated: the node itself, nodes of its graph, tools of its agent."""
    if node.once is not None or node.effect == "transaction":
        yield path
    for call in node.calls:
        if isinstance(call.body, KnowsEffects):
            yield from (f"the tool {name} of {path}" for name in call.body.effects())
        for name, inner in call.graph.nodes.items() if call.graph is not None else ():
            yield from _effects(inner, f"{path}/{name}")


def _conflicts(
    fork: Fork,
    out: Mapping[str, Sequence[str]],
    nodes: Mapping[str, NodePlan],
    fields: Mapping[str, FieldType],
    undeclared: Collection[str],
) -> Iterator[Problem]:
    """Report fields without a reducer that several arms write, and nodes whose written fields are not declared."""
    where = f"fork at {fork.source}"
    writers: dict[str, list[_Write]] = {}
    regions = {arm: region(arm, fork.join, out) & set(nodes) for arm in fork.targets}
    arms_with = Counter(name for names in regions.values() for name in names)
    for arm, names in regions.items():
        for name in sorted(name for name in names if arms_with[name] == 1):
            if name in undeclared:
                text = f"node '{name}' in the arm that starts at '{arm}' does not declare which fields it writes"
                yield Problem("unknown_writes", where, text, "give the node writes=…, so that the arms can be joined")
                continue
            for place, adds in nodes[name].writer.places.items():
                field = fields.get(place.split("[")[0])
                if field is not None and field.reducer is None:
                    writers.setdefault(field.name, []).append(_Write(place, arm, name, adds))
    for written in writers.values():
        yield from _clashes(where, written)


class _Write(NamedTuple):
    """A write to the state by a node in an arm of a fork, to find out whether two arms write the same field.

    It consists of the place in the state, the arm, the node, and whether the write only adds to the field.
    """

    place: str
    arm: str
    node: str
    adds: bool


def _clashes(where: str, written: Sequence[_Write]) -> Iterator[Problem]:
    """Report fields, or keys of dict fields, that several arms of a fork write, with the nodes that write them.

    The arms run in parallel, so one value would be lost. A write to one key, such as `scores[a]`, conflicts with a
    write to the whole field `scores`. Writes that only append do not conflict.
    """
    root = written[0].place.split("[")[0]
    whole = [write for write in written if write.place == root]
    for place in dict.fromkeys(write.place for write in written):
        if place != root and whole:
            continue  # it is reported together with the whole field
        writes = written if place == root else [write for write in written if write.place == place]
        if len({write.arm for write in writes}) > 1 and not all(write.adds for write in writes):
            *first, last = dict.fromkeys(write.node for write in writes)
            many = "both" if len(first) == 1 else "all"
            others = ", ".join(f"'{name}'" for name in first)
            text = f"the nodes {others} and '{last}' are in different arms, but {many} write '{place}'"
            yield Problem("write_conflict", where, text, "give the field a reducer, or each arm its own field")
