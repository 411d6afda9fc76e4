"""Forks that are not well formed are refused, and all others accepted. Single cases are in `forks.txt`."""

from __future__ import annotations

import os
from random import Random

from pydantic import BaseModel

from graphengine import END, Graph, value
from graphengine.checks.fork_regions import Fork, breaches
from tests.kit.well_formed import Shape, ill_formed, random_shape

FORKS = {"bad_fork", "shared_arm", "enters_arm", "leaves_arm", "end_in_arm"}
SCENES = int(os.environ.get("SCENES", "3000"))


class State(BaseModel):
    x: int = 0


def test_random_forks_are_accepted_exactly_if_they_are_well_formed() -> None:
    """A definition that tries every path agrees on thousands of random shapes, ill formed and well formed."""
    found = {True: 0, False: 0}
    for number in range(SCENES):
        shape = random_shape(Random(number))  # noqa: S311 - not security
        why = ill_formed(shape)
        found_breaches = list(breaches([Fork(f.source, f.targets, f.join) for f in shape.forks], shape.out))
        assert bool(found_breaches) == bool(why), (number, shape, why, found_breaches)
        found[bool(why)] += 1
        if number % 20 == 0 and all(fork.join in {*shape.nodes, END} for fork in shape.forks):
            assert compiled(shape) == {breach.code for breach in found_breaches}, (number, shape)
    assert min(found.values()) > SCENES // 20, found


def compiled(shape: Shape) -> set[str]:
    """Return the codes that compile reports for the forks of a shape."""
    graph = Graph("random", State)
    for name in shape.nodes:
        graph.add_node(name)
    for source, target in shape.edges:
        graph.add_edge(source, target, when=value("x") > 1)
    for fork in shape.forks:
        graph.add_fork(fork.source, fork.targets, join=fork.join, when=value("x") > 2)
    return {p.code for p in graph.check()} & FORKS
