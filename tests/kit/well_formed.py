"""What a well-formed fork is, by brute force: every way of a graph is followed with the stack of arms it lies in.

The engine works out regions; here a token really walks. A token is a node and the arms it is inside of, innermost last.
A fork pushes an arm, the join of the innermost arm pops it (and of the next, where that has the same join). A graph is
well formed if every node is met under one stack alone and no token does what it must not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from graphengine.compile.reachability import reachable_from
from tests.kit.fork_graphs import fork_spec
from tests.kit.spec import ForkSpec, SwitchSpec, WaySpec

Arm = tuple[int, str]


@dataclass(frozen=True)
class ForkShape:
    """A fork."""

    source: str
    targets: tuple[str, ...]
    join: str


@dataclass(frozen=True)
class Shape:
    """A graph without its work."""

    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    forks: tuple[ForkShape, ...]

    @property
    def out(self) -> Mapping[str, Sequence[str]]:
        """Every way, node to targets."""
        out: dict[str, list[str]] = {name: [] for name in ("START", *self.nodes)}
        for source, target in self.edges:
            out[source].append(target)
        for fork in self.forks:
            out[fork.source] += fork.targets
        return out


def ill_formed(shape: Shape) -> str:
    """What is wrong with it; "" if nothing is."""
    for fork in shape.forks:
        if len(set(fork.targets)) < len(fork.targets):
            return f"two arms of {fork.source} have one target"
    met: dict[str, tuple[Arm, ...]] = {"START": ()}
    waiting = ["START"]
    while waiting:
        node = waiting.pop()
        for target, inside in _leave(shape, node, met[node]):
            if target == "END" and inside:
                return f"{node} leads to END inside {inside}"
            if target in ("END", "FAIL"):
                continue
            if target not in met:
                met[target] = inside
                waiting.append(target)
            elif met[target] != inside:
                return f"{target} lies inside {met[target]} and inside {inside}"
    return ""


def _leave(shape: Shape, node: str, inside: tuple[Arm, ...]) -> list[tuple[str, tuple[Arm, ...]]]:
    """Where a token can go, and the arms it lies in there."""
    found = [(target, _arrive(shape, target, inside)) for source, target in shape.edges if source == node]
    for number, fork in enumerate(shape.forks):
        if fork.source == node:
            found += [(target, _arrive(shape, target, (*inside, (number, target)))) for target in fork.targets]
            if not fork.targets:
                found.append((fork.join, _arrive(shape, fork.join, inside)))
    return found


def _arrive(shape: Shape, target: str, inside: tuple[Arm, ...]) -> tuple[Arm, ...]:
    """The arms that a token is still inside of when it reaches a node."""
    while inside and shape.forks[inside[-1][0]].join == target:
        inside = inside[:-1]
    return inside


def random_shape(random: Random) -> Shape:
    """A graph all of whose nodes can be reached: anything at all, or a well-formed one with a change or two."""
    if random.random() < 0.5:
        return _reached(_anything(random))
    spec = fork_spec(random, random.choice((1, 2)))
    edges = {(way.source, way.target) for way in spec.ways if isinstance(way, WaySpec)}
    edges |= {(way.source, target) for way in spec.ways if isinstance(way, SwitchSpec) for _, target in way.cases}
    forks = [ForkShape(w.source, tuple(t for t, _ in w.targets), w.join) for w in spec.ways if isinstance(w, ForkSpec)]
    names = tuple(node.name for node in spec.nodes)
    shape = Shape(names, tuple(sorted(edges)), tuple(forks))
    for _ in range(random.choice((0, 0, 1, 2))):
        shape = _changed(shape, random)
    return _reached(shape)


def _anything(random: Random) -> Shape:
    names = tuple(f"n{i}" for i in range(random.randint(2, 6)))
    ends = (*names, "END")
    edges = {("START", names[0]), *((name, random.choice(ends)) for name in names)}
    edges |= {(random.choice(names), random.choice((*ends, "FAIL"))) for _ in range(random.randint(0, 2))}
    forks = [
        ForkShape(
            random.choice(("START", *names)),
            tuple(random.choice(names) for _ in range(random.randint(1, 3))),
            random.choice(ends),
        )
        for _ in range(random.choice((1, 1, 2)))
    ]
    return Shape(names, tuple(sorted(edges)), tuple(forks))


def _changed(shape: Shape, random: Random) -> Shape:
    """The same with one thing changed: an edge more, or a fork's join or target."""
    target = random.choice((*shape.nodes, "END"))
    if not shape.forks or random.random() < 0.5:
        edge = (random.choice(("START", *shape.nodes)), target)
        return replace(shape, edges=tuple(sorted({*shape.edges, edge})))
    forks = list(shape.forks)
    at = random.randrange(len(forks))
    if random.random() < 0.5:
        forks[at] = replace(forks[at], join=target)
    else:
        forks[at] = replace(forks[at], targets=(*forks[at].targets[1:], target))
    return replace(shape, forks=tuple(forks))


def _reached(shape: Shape) -> Shape:
    """What can be reached of it."""
    seen = reachable_from("START", shape.out)
    return Shape(
        tuple(name for name in shape.nodes if name in seen),
        tuple(edge for edge in shape.edges if edge[0] in seen),
        tuple(fork for fork in shape.forks if fork.source in seen),
    )
