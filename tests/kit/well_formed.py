"""A brute-force definition of a well-formed fork: every edge of a graph is followed with the stack of arms around it.

The engine computes regions; here a token moves along the edges. A token is a node and the arms around it, innermost
last. A fork pushes an arm; the join of the innermost arm pops it (and the next, if it has the same join). A graph is
well formed if every node is reached under one stack only and no token leaves its arms without passing the join.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from graphengine.checks.reachability import reachable_from
from tests.sim import program as p

Arm = tuple[int, str]


@dataclass(frozen=True)
class ForkShape:
    """A fork."""

    source: str
    targets: tuple[str, ...]
    join: str


@dataclass(frozen=True)
class Shape:
    """A graph without the work of its nodes."""

    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    forks: tuple[ForkShape, ...]

    @property
    def out(self) -> Mapping[str, Sequence[str]]:
        """Every edge, from a node to its targets."""
        out: dict[str, list[str]] = {name: [] for name in ("START", *self.nodes)}
        for source, target in self.edges:
            out[source].append(target)
        for fork in self.forks:
            out[fork.source] += fork.targets
        return out


def ill_formed(shape: Shape) -> str:
    """Return what is wrong with a shape; "" if nothing is."""
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
                return f"{target} is inside {met[target]} and also inside {inside}"
    return ""


def _leave(shape: Shape, node: str, inside: tuple[Arm, ...]) -> list[tuple[str, tuple[Arm, ...]]]:
    """Return where a token can go, with the arms around it there."""
    found = [(target, _arrive(shape, target, inside)) for source, target in shape.edges if source == node]
    for number, fork in enumerate(shape.forks):
        if fork.source == node:
            found += [(target, _arrive(shape, target, (*inside, (number, target)))) for target in fork.targets]
            if not fork.targets:
                found.append((fork.join, _arrive(shape, fork.join, inside)))
    return found


def _arrive(shape: Shape, target: str, inside: tuple[Arm, ...]) -> tuple[Arm, ...]:
    """Return the arms that are still around a token when it reaches a node."""
    while inside and shape.forks[inside[-1][0]].join == target:
        inside = inside[:-1]
    return inside


def random_shape(random: Random) -> Shape:
    """Return a graph whose nodes can all be reached: an arbitrary one, or a well-formed one with up to two changes."""
    if random.random() < 0.5:
        return _reached(_anything(random))
    graph = p.Scopes(p.Draw(random.random()), p.Taste(forks=random.choice((1, 2)), busy=0.0)).graph()
    edges = {(edge.source, edge.target) for edge in graph.edges if isinstance(edge, p.Edge)}
    forks = [ForkShape(w.source, tuple(to for to, _ in w.arms), w.join) for w in graph.edges if isinstance(w, p.Fork)]
    names = tuple(node.name for node in graph.nodes)
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
    """Return a shape with one change: another edge, or another join or target of a fork."""
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
    """Return the part of a shape that can be reached."""
    seen = reachable_from("START", shape.out)
    return Shape(
        tuple(name for name in shape.nodes if name in seen),
        tuple(edge for edge in shape.edges if edge[0] in seen),
        tuple(fork for fork in shape.forks if fork.source in seen),
    )
