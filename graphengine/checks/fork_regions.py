"""The rules for well-formed forks, the regions of their arms, and the places that break the rules.

The region of an arm is the set of nodes that its target reaches without passing the join. A fork is well formed if
three conditions hold:

- Each node of its regions belongs to only one arm.
- Each of these nodes is entered only from inside its arm. The target of the arm is entered by the fork too.
- Every edge that leaves a region leads to the join.

Forks can be nested, and loops can be inside an arm. The target of an arm can be the join itself. The join of an inner
fork can be the join of the outer one, and the node of a fork can be its own join.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphengine.checks.reachability import can_reach, reachable_from
from graphengine.kernel.extension import END, FAIL, START

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork as names only: the node where it begins, the first node of each arm, and the node of the join.

    `need` is the number of arms that must arrive at the join; None for all arms.
    """

    source: str
    targets: tuple[str, ...]
    join: str
    need: int | None = None


@dataclass(frozen=True, slots=True)
class Breach:
    """A place where a graph breaks the rules for forks, for example because an edge leaves an arm.

    Attributes:
        edge: The faulty edge as source and target, if one edge is the cause. If forks are nested, the edge is reported
            only once.
    """

    code: str
    source: str
    message: str
    repair: str
    edge: tuple[str, str] | None = None


def region(target: str, join: str, out: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the nodes of one arm of a fork: those that can be reached from its target without passing the join."""
    return reachable_from(target, out, without=(join, END, FAIL))


def breaches(forks: Iterable[Fork], out: Mapping[str, Sequence[str]]) -> Iterator[Breach]:
    """Find violations of the rules for forks, without those that only follow from other violations.

    Args:
        forks: All forks of the graph.
        out: The targets of all edges, by the node that they leave. The edges of forks and the edges to joins are
            included.
    """
    into: dict[str, set[str]] = {}
    for source, targets in out.items():
        for target in targets:
            into.setdefault(target, set()).add(source)
    shapes = [_Arms.of(fork, out, into) for fork in forks]
    reported: set[tuple[str, str]] = set()
    found: dict[str, list[Breach]] = {}
    # the innermost of several nested forks reports an edge
    for arms in sorted(shapes, key=lambda arms: len(arms.owners)):
        fresh = [breach for breach in arms.breaches() if breach.edge not in reported]
        reported |= {breach.edge for breach in fresh if breach.edge is not None}
        found.setdefault(arms.fork.source, []).extend(fresh)
    for source in dict.fromkeys(arms.fork.source for arms in shapes):
        yield from found[source]


@dataclass(frozen=True, slots=True)
class _Arms:
    """A fork together with the nodes that belong to each of its arms.

    Attributes:
        fork: The fork.
        out: The targets of all edges, by the node that they leave.
        into: The nodes from which edges come, by the target of the edges.
        regions: The nodes of each arm, by the target of the arm. They are the nodes that are reached before the join,
            before the fork and before the nodes in `past`.
        owners: For each node in `regions`, the arms to which it belongs.
        past: The nodes after the join from which no path leads back to the join, except through the fork.
    """

    fork: Fork
    out: Mapping[str, Sequence[str]]
    into: Mapping[str, set[str]]
    regions: Mapping[str, set[str]]
    owners: Mapping[str, Sequence[str]]
    past: set[str]

    @classmethod
    def of(cls, fork: Fork, out: Mapping[str, Sequence[str]], into: Mapping[str, set[str]]) -> _Arms:
        before = can_reach((fork.join,), {node: targets for node, targets in out.items() if node != fork.source})
        after = reachable_from(fork.join, out, without=(fork.source, *fork.targets, END, FAIL))
        past = after - before
        outside = (fork.join, END, FAIL, fork.source, *past)
        regions = {target: reachable_from(target, out, without=outside) for target in dict.fromkeys(fork.targets)}
        owners: dict[str, list[str]] = {}
        for target, nodes in regions.items():
            for node in nodes:
                owners.setdefault(node, []).append(target)
        return cls(fork, out, into, regions, owners, past)

    def breaches(self) -> Iterator[Breach]:
        """Find violations of the rules for one fork, in its arms and at edges that leave or enter the arms."""
        fork, name = self.fork, self.fork.source
        for target in sorted({target for target in fork.targets if fork.targets.count(target) > 1}):
            text = f"the fork names the target '{target}' twice, but each of its arms needs nodes of its own"
            yield Breach("bad_fork", name, text, "give each arm its own target")
        if END in fork.targets and fork.join != END:
            text = f"the fork names the target END, but each of its arms must arrive at the join '{fork.join}'"
            yield Breach("end_in_arm", name, text, f"name '{fork.join}' as the target, or use join=END")
        for target, nodes in self.regions.items():
            if name != fork.join and (target == name or any(name in self.out.get(node, ()) for node in nodes)):
                text = f"the arm that starts at '{target}' leads back to the fork before the join '{fork.join}'"
                yield Breach("bad_fork", name, text, f"lead the arm to '{fork.join}', or use join={name!r}")
        yield from self._find_shared()
        for node, arms in sorted(self.owners.items()):
            if len(arms) == 1:  # the edges of a shared node would only repeat that problem
                yield from self._find_exits(node, arms[0])
                yield from self._find_entries(node, arms[0])

    def _find_shared(self) -> Iterator[Breach]:
        """Find nodes at which arms of a fork meet although these nodes are not the declared join of the fork.

        Nodes that come after such a node are not reported again.
        """
        for node, arms in sorted(self.owners.items()):
            before = [self.owners.get(other) for other in self.into.get(node, ())]
            if len(arms) > 1 and (node in self.fork.targets or any(other != arms for other in before)):
                starts = " and ".join(f"'{arm}'" for arm in arms)
                text = f"the arms that start at {starts} meet at node '{node}', which is not the join of the fork"
                repair = f"give each arm a node of its own, or use join={node!r}"
                yield Breach("shared_arm", self.fork.source, text, repair)

    def _find_exits(self, node: str, arm: str) -> Iterator[Breach]:
        """Find edges that leave an arm of a fork without leading to the fork's join."""
        join = self.fork.join
        for target in dict.fromkeys(self.out.get(node, ())):
            if target in self.past:
                text = (
                    f"node '{node}' in the arm that starts at '{arm}' skips the join '{join}' and leads to '{target}'"
                )
                yield Breach("leaves_arm", self.fork.source, text, f"lead '{node}' to '{join}'", (node, target))
            elif target == END != join:
                text = f"node '{node}' in the arm that starts at '{arm}' skips the join '{join}' and leads to END"
                repair = f"lead '{node}' to '{join}', or use join=END"
                yield Breach("end_in_arm", self.fork.source, text, repair, (node, END))

    def _find_entries(self, node: str, arm: str) -> Iterator[Breach]:
        """Find edges that enter an arm of a fork from outside.

        An edge from another arm is reported as a shared node instead.
        """
        fork, name = self.fork, self.fork.source
        if node in fork.targets and self.out.get(name, ()).count(node) > fork.targets.count(node):
            text = f"a second edge from '{name}' leads to '{node}', which is in the arm that starts at '{arm}'"
            yield Breach("enters_arm", name, text, "remove that edge, or give it another target")
        for other in sorted(self.into.get(node, ())):
            if other not in self.owners and not (other == name and node in fork.targets):
                where = "START" if other == START else other
                text = f"an edge from '{where}' leads to '{node}', but only the fork may lead into its arm from '{arm}'"
                repair = f"lead '{where}' to '{name}', where the fork begins, or give '{where}' a node of its own"
                yield Breach("enters_arm", name, text, repair, (other, node))
