"""The check that START reaches every node, and that every node reaches END.

It reports the places to repair, and not the problems that follow from another problem. An unknown name is reported
elsewhere, with the edges that use it. Here the graph is read as it was probably meant, so that a problem is not
reported if the repair of such a name removes it too. The edges of a misspelt name are given to the node with the
similar name, a forgotten node counts as a node, and any other unknown name may lead anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphengine.checks.fork_regions import Fork as Shape
from graphengine.checks.fork_regions import region
from graphengine.checks.reachability import can_reach, components, reachable_from
from graphengine.errors import Problem
from graphengine.kernel.extension import END, FAIL, START, Fork
from graphengine.kernel.inside import NODES, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from graphengine.kernel.extension import AnyEdge, GraphDefinition

_ENDS = (END, FAIL)


@dataclass(frozen=True, slots=True)
class MeantShape:
    """The nodes and edges of a graph as the user probably meant them, with misspelt names of nodes replaced.

    Attributes:
        names: The declared nodes, in order.
        out: The targets of all edges, by the node that they leave. The edges of forks and the edges to joins are
            included.
        forks: The forks whose join is known.
        unknown: The names for which no node has the same name or a similar one.
    """

    names: Sequence[str]
    out: Mapping[str, Sequence[str]]
    forks: Sequence[Shape]
    unknown: Sequence[str]

    @classmethod
    def of(cls, graph: GraphDefinition[Any]) -> MeantShape:
        """Read the declared edges."""
        names = [name for name in dict.fromkeys(d.name for d in graph.nodes) if name not in (START, *_ENDS)]
        meant = _guess_meant(names, graph.edges)
        out: dict[str, list[str]] = {name: [] for name in (START, *names)}
        for edge in graph.edges:
            source = meant.get(edge.source, edge.source)
            if source not in _ENDS:
                targets = (meant.get(target, target) for target in edge.targets)
                out.setdefault(source, []).extend(target for target in targets if target != START)
        forks = [
            Shape(
                meant.get(d.source, d.source),
                tuple(meant.get(t, t) for t, _ in d.arms),
                meant.get(d.join, d.join),
                d.need,
            )
            for d in graph.edges
            if isinstance(d, Fork)
        ]
        declared = {*names, START, *_ENDS}
        used = dict.fromkeys(name for source, targets in out.items() for name in (source, *targets))
        joined = [fork for fork in forks if fork.join in {*names, END}]
        return cls(names, out, joined, [name for name in used if name not in declared])

    def problems(self, missed: Collection[str], open_ends: Sequence[str]) -> Iterator[Problem]:
        """Find nodes that no edge enters, and nodes that no edge leaves.

        Args:
            missed: The joins of forks that have problems themselves.
            open_ends: The nodes whose edges all have conditions. Such a node may lack the edge that another node needs.
        """
        out = self._with_guesses()
        dead = self._dead(out)
        follows = {*missed, *(self._next(name) for name in dead if not out[name])}
        lost = [name for name in self._find_unreached(out) if name not in follows]
        last = dead[0] if len(dead) == 1 and not out[dead[0]] and dead[0] not in lost else None
        if lost and last and all(self._may_follow(last, name) for name in lost):
            names = ", ".join(f"'{name}'" for name in lost)
            text = f"no edge leads out of node '{last}', and no path from START leads to {names}"
            yield Problem("dead_end", f"node {last}", text, self._edges_to(last, lost))
            return
        if lost and not dead and len(open_ends) == 1 and all(self._may_follow(open_ends[0], name) for name in lost):
            names = " or ".join(f"'{name}'" for name in lost)
            text = f"no path from START leads to {names}, and every edge out of '{open_ends[0]}' has a condition"
            yield Problem("unreachable", f"node {lost[0]}", text, self._edges_to(open_ends[0], lost))
            return
        for name in self.names:
            if name in lost:
                alone = "so no run reaches the node" if out[name] else "and no edge leads out of the node"
                text = f"no path from START leads to node '{name}', {alone}"
                yield Problem("unreachable", f"node {name}", text, f"add_edge(…, {name!r}), or remove the node")
            if name in dead and not out[name] and name not in lost:
                repair = f"add_edge({name!r}, {join!r})" if (join := self._next(name)) else f"add_edge({name!r}, END)"
                text = f"no edge leads out of node '{name}', so a run that reaches the node cannot continue"
                yield Problem("dead_end", f"node {name}", text, repair)
            elif name in dead and out[name]:
                text = f"no path from node '{name}' leads to END, so a run that reaches the node cannot end"
                yield Problem("dead_end", f"node {name}", text, "add an edge that leaves the loop")

    def _edges_to(self, source: str, lost: Sequence[str]) -> str:
        """Return code that connects a node to the nodes which cannot be reached, for the repair in a message.

        For several nodes, this is a fork.
        """
        if len(lost) == 1:
            return f"add_edge({str(source)!r}, {str(lost[0])!r})"
        after = [set(self.out.get(name, ())) for name in lost]
        shared = sorted(set.intersection(*after) - set(lost) - {source})
        join = repr(shared[0]) if len(shared) == 1 else "…"
        return f"add_fork({str(source)!r}, {[str(name) for name in lost]}, join={join}), or an edge with when=… to each"

    def reached(self) -> set[str]:
        return reachable_from(START, self.out)

    def ending(self) -> set[str]:
        return can_reach(_ENDS, self.out)

    def _with_guesses(self) -> dict[str, Sequence[str]]:
        out: dict[str, Sequence[str]] = dict(self.out)
        entered = {target for targets in out.values() for target in targets}
        for name in self.unknown:
            if name not in entered:
                out |= {node: [name] for node in (START, *self.names) if not out[node]}
            if not out.get(name):
                out[name] = [*self.names, END]
        if not out[START]:  # this problem is reported as no_start
            out[START] = self.names
        return out

    def _find_unreached(self, out: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the nodes to which an edge should be added, so that all nodes can be reached from START.

        Nodes that form a loop together need only one such edge, and nodes that follow an unreached node need none.
        """
        reached = reachable_from(START, out)
        unreached = {name: targets for name, targets in out.items() if name not in reached}
        group = components(unreached)
        entered = {group[t] for name, targets in unreached.items() for t in targets if group[t] != group[name]}
        return self._first(unreached, group, entered)

    def _dead(self, out: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the nodes from which an edge should be added, so that every node can lead to END.

        Nodes that form a loop together need only one such edge, and nodes that lead to another endless node need none.
        """
        ending = can_reach(_ENDS, out)
        endless = {name: targets for name, targets in out.items() if name not in ending}
        group = components(endless)
        left = {group[name] for name, targets in endless.items() for t in targets if group[t] != group[name]}
        return self._first(endless, group, left)

    def _first(self, some: Mapping[str, object], group: Mapping[str, int], others: set[int]) -> list[str]:
        """Return the first node of each group, without the groups in `others`."""
        found = {group[name]: name for name in reversed(self.names) if name in some and group[name] not in others}
        return [name for name in self.names if name in found.values()]

    def _may_follow(self, name: str, other: str) -> bool:
        """Return whether a new edge between two nodes would stay inside the same arm of a fork."""
        join = self._next(name)
        return not join or join in reachable_from(other, self.out)

    def _next(self, name: str) -> str:
        """Return the node to which a node without outgoing edges should probably lead; "" for END.

        Inside a fork's arm, this is the join of the innermost fork around the node.
        """
        regions = [(len(nodes), fork.join) for fork in self.forks for nodes in self._arms(fork) if name in nodes]
        join = min(regions, default=(0, END))[1]
        return "" if join == END else join

    def _arms(self, fork: Shape) -> Iterator[set[str]]:
        return (region(target, fork.join, self.out) for target in fork.targets)


def _guess_meant(names: Sequence[str], edges: Iterable[AnyEdge]) -> dict[str, str]:
    """Return, for each misspelt node name in an edge, the declared node that was probably meant.

    A name that edges both enter and leave is rather a node that was never declared, unless the similar node has no
    edges at all.
    """
    into: set[str] = set()
    from_: set[str] = set()
    for edge in edges:
        from_.add(edge.source)
        into |= {*edge.targets, *([edge.join] if isinstance(edge, Fork) else [])}
    found = {name: {"START": START, "END": END}[meant] for name, meant in NODES.items()}
    for name in sorted((into | from_) - {*names, START, *_ENDS, *NODES}):
        near = nearest(name, [*names, *(_ENDS if name not in from_ else ())])
        if near and not (name in into and name in from_ and near in into | from_):
            found[name] = near
    return found
