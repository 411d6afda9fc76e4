"""Whether forks are well formed: what each arm's region is, and what breaks it.

An arm's region is what its target reaches without passing the join. A fork is well formed when each node of its
regions belongs to one arm alone, is entered only from inside that arm (its target only by the fork besides), and every
way out of the region leads to the join. Forks may nest, loops may stay inside an arm, a target may be the join itself,
an inner join may be the outer one, and the fork's own node may be its join.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphengine.options import END, FAIL, START

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
    """Something that makes a fork ill formed: its code, what is wrong, and the repair."""

    code: str
    source: str
    message: str
    repair: str


def region(target: str, join: str, out: Mapping[str, Sequence[str]]) -> set[str]:
    """Every node that an arm can visit: what the target reaches without passing the join."""
    seen: set[str] = set()
    waiting = [target]
    while waiting:
        node = waiting.pop()
        if node not in seen and node not in (join, END, FAIL):
            seen.add(node)
            waiting.extend(out.get(node, ()))
    return seen


def breaches(forks: Iterable[Fork], out: Mapping[str, Sequence[str]]) -> Iterator[Breach]:
    """All that is wrong with the forks of a graph.

    Args:
        forks: Every fork.
        out: Every way, node to targets, those of forks and their joins included.
    """
    into: dict[str, set[str]] = {}
    for source, targets in out.items():
        for target in targets:
            into.setdefault(target, set()).add(source)
    for fork in forks:
        yield from _fork(fork, out, into)


def _fork(fork: Fork, out: Mapping[str, Sequence[str]], into: Mapping[str, set[str]]) -> Iterator[Breach]:
    name = fork.source
    twice = {target for target in fork.targets if fork.targets.count(target) > 1}
    for target in sorted(twice):
        yield Breach("bad_fork", name, f"the fork has two arms to {target}", "give each arm a target of its own")
    if END in fork.targets and fork.join != END:
        yield Breach(
            "end_in_arm", name, "the arm to END has no node", f"lead it to the join {fork.join}, or join at END"
        )
    owner: dict[str, str] = {}
    for target in dict.fromkeys(fork.targets):
        nodes = region(target, fork.join, out)
        if name in nodes:
            text = f"the arm to {target} leads back to the fork itself without passing the join {fork.join}"
            yield Breach("bad_fork", name, text, f"lead it to {fork.join}, or make {name} the join")
            nodes.discard(name)
        for node in sorted(nodes):
            if node in owner:
                text = f"{node} belongs to the arms to {owner[node]} and to {target}"
                yield Breach("shared_arm", name, text, f"give each arm a node of its own, or make {node} the join")
            owner.setdefault(node, target)
        yield from _ends(fork, target, nodes, out)
    yield from _entered(fork, owner, into, out)


def _ends(fork: Fork, target: str, nodes: set[str], out: Mapping[str, Sequence[str]]) -> Iterator[Breach]:
    if fork.join == END:
        return
    for node in sorted(nodes):
        if END in out.get(node, ()):
            text = f"{node} leads to END inside the arm to {target}"
            yield Breach("end_in_arm", fork.source, text, f"lead it to the join {fork.join}, or join at END")


def _entered(
    fork: Fork, owner: Mapping[str, str], into: Mapping[str, set[str]], out: Mapping[str, Sequence[str]]
) -> Iterator[Breach]:
    for node, target in sorted(owner.items()):
        if node in fork.targets and out.get(fork.source, ()).count(node) > fork.targets.count(node):
            text = f"{fork.source} enters {node} by another way too, which is inside the arm to {target}"
            yield Breach("enters_arm", fork.source, text, "let the fork alone lead there")
        inside = {other for other, arm in owner.items() if arm == target}
        allowed = inside | {fork.source} if node in fork.targets else inside
        for other in sorted(into.get(node, set()) - allowed):
            # A way from another arm is told by the node that both share.
            if other not in owner:
                where = "START" if other == START else other
                text = f"{where} enters {node}, which is inside the arm to {target}"
                repair = f"enter the fork at {fork.source}, or give {where} a node of its own"
                yield Breach("enters_arm", fork.source, text, repair)
