"""Whether each node of a graph is reached and reaches END: the places to repair, not all that follows from them.

A name that no node has is a problem of its own, reported with the edges that say it. Here the graph is looked at as it
is meant, so that nothing is reported that the repair of such a name repairs too: the edges of a misspelt name are those
of the node that is near, a node that was forgotten is one, and what nothing is known of may lead anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphengine.compile.checks.fork_regions import Fork as Shape
from graphengine.compile.checks.fork_regions import region
from graphengine.compile.reachability import can_reach, components, reachable_from
from graphengine.errors import Problem
from graphengine.graph.graph import END, FAIL, START, Edge, Fork, Switch
from graphengine.state.path import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from graphengine.graph.graph import Graph

_ENDS = (END, FAIL)


@dataclass(frozen=True, slots=True)
class MeantShape:
    """The nodes and edges of a graph as they are meant.

    Attributes:
        names: The declared nodes, in order.
        out: Every edge, node to targets, those of forks and their joins included.
        forks: The forks whose join is known.
        unknown: Names that no node has, and none near that would be meant.
    """

    names: Sequence[str]
    out: Mapping[str, Sequence[str]]
    forks: Sequence[Shape]
    unknown: Sequence[str]

    @classmethod
    def of(cls, graph: Graph[Any]) -> MeantShape:
        """Read the declared edges."""
        names = [name for name in dict.fromkeys(d.name for d in graph.nodes) if name not in (START, *_ENDS)]
        meant = _meant(names, graph.ways)
        out: dict[str, list[str]] = {name: [] for name in (START, *names)}
        for way in graph.ways:
            source = meant.get(way.source, way.source)
            if source not in _ENDS:
                targets = (meant.get(target, target) for target in targets_of(way))
                out.setdefault(source, []).extend(target for target in targets if target != START)
        forks = [
            Shape(
                meant.get(d.source, d.source), tuple(meant.get(t, t) for t, _ in d.targets), meant.get(d.join, d.join)
            )
            for d in graph.ways
            if isinstance(d, Fork)
        ]
        known = {*names, START, *_ENDS}
        said = dict.fromkeys(name for source, targets in out.items() for name in (source, *targets))
        joined = [fork for fork in forks if fork.join in {*names, END}]
        return cls(names, out, joined, [name for name in said if name not in known])

    def problems(self, missed: Collection[str]) -> Iterator[Problem]:
        """Yield the nodes that nothing leads to, and those from which nothing leads on.

        Args:
            missed: The joins of forks that have problems of their own.
        """
        out = self._with_guesses()
        dead = self._dead(out)
        follows = {*missed, *(self._next(name) for name in dead if not out[name])}
        lost = [name for name in self._lost(out) if name not in follows]
        if len(lost) == len(dead) == 1 and lost != dead and not out[dead[0]] and self._may_follow(dead[0], lost[0]):
            text = f"it has no way out, and nothing leads to {lost[0]}"
            yield Problem("dead_end", f"node {dead[0]}", text, f"add_edge({dead[0]!r}, {lost[0]!r})")
            return
        for name in self.names:
            if name in lost:
                alone = "" if out[name] else ", and nothing leaves it"
                text = f"nothing leads here from START{alone}"
                yield Problem("unreachable", f"node {name}", text, f"add_edge(…, {name!r}), or remove it")
            if name in dead and not out[name] and name not in lost:
                repair = f"add_edge({name!r}, {join!r})" if (join := self._next(name)) else f"add_edge({name!r}, END)"
                yield Problem("dead_end", f"node {name}", "it has no way out", repair)
            elif name in dead and out[name]:
                yield Problem("dead_end", f"node {name}", "no way from here leads to END", "add a way out of the loop")

    def reached(self) -> set[str]:
        """The nodes that START leads to."""
        return reachable_from(START, self.out)

    def ending(self) -> set[str]:
        """The nodes that lead to END or FAIL."""
        return can_reach(_ENDS, self.out)

    def _with_guesses(self) -> dict[str, Sequence[str]]:
        """The edges, with those that a name of which nothing is known may stand for."""
        out: dict[str, Sequence[str]] = dict(self.out)
        entered = {target for targets in out.values() for target in targets}
        for name in self.unknown:
            if name not in entered:
                out |= {node: [name] for node in (START, *self.names) if not out[node]}
            if not out.get(name):
                out[name] = [*self.names, END]
        if not out[START]:  # reported by itself
            out[START] = self.names
        return out

    def _lost(self, out: Mapping[str, Sequence[str]]) -> list[str]:
        """The nodes to which an edge is missing: the first of each that nothing leads to but each other."""
        seen = reachable_from(START, out)
        there = {name: targets for name, targets in out.items() if name not in seen}
        group = components(there)
        entered = {group[t] for name, targets in there.items() for t in targets if group[t] != group[name]}
        return self._first(there, group, entered)

    def _dead(self, out: Mapping[str, Sequence[str]]) -> list[str]:
        """The nodes from which an edge is missing: the first of each that lead nowhere but to each other."""
        ending = can_reach(_ENDS, out)
        there = {name: targets for name, targets in out.items() if name not in ending}
        group = components(there)
        left = {group[name] for name, targets in there.items() for t in targets if group[t] != group[name]}
        return self._first(there, group, left)

    def _first(self, there: Mapping[str, object], group: Mapping[str, int], others: set[int]) -> list[str]:
        """The first node of each group that is not among some."""
        found = {group[name]: name for name in reversed(self.names) if name in there and group[name] not in others}
        return [name for name in self.names if name in found.values()]

    def _may_follow(self, name: str, other: str) -> bool:
        """Whether an edge between two nodes would leave no arm."""
        join = self._next(name)
        return not join or join in reachable_from(other, self.out)

    def _next(self, name: str) -> str:
        """The join that a node without an edge should lead to, that of the innermost fork around it; "" for END."""
        regions = [(len(nodes), fork.join) for fork in self.forks for nodes in self._arms(fork) if name in nodes]
        join = min(regions, default=(0, END))[1]
        return "" if join == END else join

    def _arms(self, fork: Shape) -> Iterator[set[str]]:
        return (region(target, fork.join, self.out) for target in fork.targets)


def targets_of(way: Edge | Switch | Fork) -> Sequence[str]:
    """Every node that a declared way may lead to; the join of a fork is one if no arm may have to be run."""
    if isinstance(way, Edge):
        return [way.target]
    if isinstance(way, Switch):
        return [*way.cases.values(), *([way.otherwise] if way.otherwise else [])]
    straight = [way.join] if all(condition is not None for _, condition in way.targets) else []
    return [*(target for target, _ in way.targets), *straight]


def _meant(names: Sequence[str], ways: Iterable[Edge | Switch | Fork]) -> dict[str, str]:
    """The nodes that misspelt names of edges mean.

    A name that edges both enter and leave is a node that was forgotten, unless the node that is near has no edge.
    """
    into: set[str] = set()
    from_: set[str] = set()
    for way in ways:
        from_.add(way.source)
        into |= {*targets_of(way), *([way.join] if isinstance(way, Fork) else [])}
    found: dict[str, str] = {}
    for name in sorted((into | from_) - {*names, START, *_ENDS}):
        near = nearest(name, [*names, *(_ENDS if name not in from_ else ())])
        if near and not (name in into and name in from_ and near in into | from_):
            found[name] = near
    return found
