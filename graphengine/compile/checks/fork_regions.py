"""Whether forks are well formed: what each arm's region is, and what breaks it.

An arm's region is what its target reaches without passing the join. A fork is well formed when each node of its
regions belongs to one arm alone, is entered only from inside that arm (its target only by the fork besides), and every
way out of the region leads to the join. Forks may nest, loops may stay inside an arm, a target may be the join itself,
an inner join may be the outer one, and the fork's own node may be its join.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphengine.compile.reachability import can_reach, reachable_from
from graphengine.graph.options import END, FAIL, START

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork as the shape of the graph has it."""

    source: str
    targets: tuple[str, ...]
    join: str


@dataclass(frozen=True, slots=True)
class Breach:
    """Something that makes a fork ill formed: its code, the fork's node, what is wrong, and the repair.

    Attributes:
        edge: The edge that is wrong, if it is one: what forks inside one another say of one edge is said once.
    """

    code: str
    source: str
    message: str
    repair: str
    edge: tuple[str, str] | None = None


def region(target: str, join: str, out: Mapping[str, Sequence[str]]) -> set[str]:
    """Every node that an arm can visit: what the target reaches without passing the join."""
    return reachable_from(target, out, without=(join, END, FAIL))


def breaches(forks: Iterable[Fork], out: Mapping[str, Sequence[str]]) -> Iterator[Breach]:
    """All that is wrong with the forks of a graph, without what only follows from it.

    Args:
        forks: Every fork.
        out: Every way, node to targets, those of forks and their joins included.
    """
    into: dict[str, set[str]] = {}
    for source, targets in out.items():
        for target in targets:
            into.setdefault(target, set()).add(source)
    shapes = [_Arms.of(fork, out, into) for fork in forks]
    said: set[tuple[str, str]] = set()
    found: dict[str, list[Breach]] = {}
    for arms in sorted(shapes, key=lambda arms: len(arms.owners)):  # of forks inside one another the innermost says it
        fresh = [breach for breach in arms.breaches() if breach.edge not in said]
        said |= {breach.edge for breach in fresh if breach.edge is not None}
        found.setdefault(arms.fork.source, []).extend(fresh)
    for source in dict.fromkeys(arms.fork.source for arms in shapes):
        yield from found[source]


@dataclass(frozen=True, slots=True)
class _Arms:
    """A fork with what its arms reach.

    Attributes:
        fork: The fork.
        regions: The nodes of each arm by its target: those reached before the join, the fork and what is `past`.
        owners: The arms that each of these nodes belongs to.
        past: What comes after the join and does not lead back to it without the fork.
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
        """What is wrong with the arms themselves, then with how they are left and entered."""
        fork, name = self.fork, self.fork.source
        for target in sorted({target for target in fork.targets if fork.targets.count(target) > 1}):
            yield Breach("bad_fork", name, f"the fork has two arms to {target}", "give each arm a target of its own")
        if END in fork.targets and fork.join != END:
            repair = f"lead it to the join {fork.join}, or join at END"
            yield Breach("end_in_arm", name, "the arm to END has no node", repair)
        for target, nodes in self.regions.items():
            if name != fork.join and (target == name or any(name in self.out.get(node, ()) for node in nodes)):
                text = f"the arm to {target} leads back to the fork itself without passing the join {fork.join}"
                yield Breach("bad_fork", name, text, f"lead it to {fork.join}, or make {name} the join")
        yield from self._shared()
        for node, arms in sorted(self.owners.items()):
            if len(arms) == 1:  # of a node that arms share, how it is left and entered follows
                yield from self._left(node, arms[0])
                yield from self._entered(node, arms[0])

    def _shared(self) -> Iterator[Breach]:
        """Yield the nodes at which arms meet before the join; those after them follow."""
        for node, arms in sorted(self.owners.items()):
            before = [self.owners.get(other) for other in self.into.get(node, ())]
            if len(arms) > 1 and (node in self.fork.targets or any(other != arms for other in before)):
                text = f"{node} belongs to the arms to {' and to '.join(arms)}"
                repair = f"give each arm a node of its own, or make {node} the join"
                yield Breach("shared_arm", self.fork.source, text, repair)

    def _left(self, node: str, arm: str) -> Iterator[Breach]:
        """Yield the edges from a node out of its arm that lead past the join."""
        join = self.fork.join
        for target in dict.fromkeys(self.out.get(node, ())):
            if target in self.past:
                text = f"{node} leads to {target} inside the arm to {arm}, and {target} comes after the join {join}"
                yield Breach("leaves_arm", self.fork.source, text, f"lead it to the join {join}", (node, target))
            elif target == END != join:
                text = f"{node} leads to END inside the arm to {arm}"
                repair = f"lead it to the join {join}, or join at END"
                yield Breach("end_in_arm", self.fork.source, text, repair, (node, END))

    def _entered(self, node: str, arm: str) -> Iterator[Breach]:
        """Yield the edges into a node from outside its arm; one from another arm shows as a node that both share."""
        fork, name = self.fork, self.fork.source
        if node in fork.targets and self.out.get(name, ()).count(node) > fork.targets.count(node):
            text = f"{name} enters {node} by another way too, which is inside the arm to {arm}"
            yield Breach("enters_arm", name, text, "let the fork alone lead there")
        for other in sorted(self.into.get(node, ())):
            if other not in self.owners and not (other == name and node in fork.targets):
                where = "START" if other == START else other
                text = f"{where} enters {node}, which is inside the arm to {arm}"
                repair = f"enter the fork at {name}, or give {where} a node of its own"
                yield Breach("enters_arm", name, text, repair, (other, node))
