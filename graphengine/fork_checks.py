"""What compile finds wrong with forks: their shape, and fields that arms would write over each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.errors import Problem
from graphengine.graph import Fork
from graphengine.regions import Fork as Shape
from graphengine.regions import breaches, region

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.fieldtype import FieldType
    from graphengine.graph import Graph
    from graphengine.plan import NodePlan


def fork_problems(
    graph: Graph[Any],
    nodes: Mapping[str, NodePlan],
    fields: Mapping[str, FieldType],
    out: Mapping[str, Sequence[str]],
) -> Iterator[Problem]:
    """All problems of a graph's forks.

    Args:
        graph: What was declared.
        nodes: Its nodes, worked out.
        fields: The fields of its state.
        out: Every way, node to targets, those of forks and their joins included.
    """
    forks = [Shape(d.source, tuple(t for t, _ in d.targets), d.join) for d in graph.ways if isinstance(d, Fork)]
    for breach in breaches(forks, out):
        yield Problem(breach.code, f"fork at {breach.source}", breach.message, breach.repair)
    unsaid = {d.name for d in graph.nodes if d.options.writes is None and d.runnable is not None}
    for fork in forks:
        yield from _conflicts(fork, nodes, fields, out, unsaid)


def _conflicts(
    fork: Shape,
    nodes: Mapping[str, NodePlan],
    fields: Mapping[str, FieldType],
    out: Mapping[str, Sequence[str]],
    unsaid: set[str],
) -> Iterator[Problem]:
    """Fields without a reducer that two arms write, and nodes that do not say what they write."""
    where = f"fork at {fork.source}"
    writers: dict[str, list[tuple[str, str, bool]]] = {}
    regions = {arm: region(arm, fork.join, out) & set(nodes) for arm in fork.targets}
    for arm, names in regions.items():
        shared = {name for other, there in regions.items() if other != arm for name in there}
        for name in sorted(names - shared):
            if name in unsaid:
                text = f"{name}, in the arm to {arm}, does not say what it writes"
                yield Problem("unknown_writes", where, text, "give the node writes=, so that arms can be joined")
                continue
            for place in nodes[name].writer.places:
                field = fields.get(place.split("[")[0])
                if field is None or field.reducer is not None:
                    continue
                adds = place in nodes[name].writer.added
                first = _clash(place, arm, writers, adds=adds)
                writers.setdefault(place, []).append((arm, name, adds))
                if first:
                    text = f"{first} and {name}, in different arms, both write {place}"
                    yield Problem("write_conflict", where, text, "give the field a reducer, or each arm its own field")


def _clash(place: str, arm: str, writers: Mapping[str, Sequence[tuple[str, str, bool]]], *, adds: bool) -> str:
    """A node of another arm that writes the same place, or the whole of which it is a key; "" if there is none.

    Where both only add to what is there, nothing is lost.
    """
    root = place.split("[", maxsplit=1)[0]
    for there, written in writers.items():
        same = there == place or (there.split("[")[0] == root and root in (there, place))
        for other, name, also_adds in written:
            if same and other != arm and not (adds and also_adds):
                return name
    return ""
