"""Logs of drawn runs of the pure engine, for tests of what reads logs.

The runs have loops, forks, maps, graphs inside and failures, with crashes, stops, branches and resumes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphengine import Graph
from graphengine.engine.step_json import decode_step
from graphengine.engine.steps import Step
from graphengine.errors import CompileError, DefinitionError
from tests.sim import program as p
from tests.sim.media import Engine, compiled


@dataclass(frozen=True)
class Played:
    """A run that was played.

    Attributes:
        program: Its program, without deployments: it has one graph.
        graph: The graph.
        log: Its steps, as they read back from JSON.
    """

    program: p.Program
    graph: Graph[Any]
    log: Sequence[Step]


def played(program: p.Program, graph: Graph[Any] | None = None) -> Played:
    """Play a program without its deployments. Raises: Wrong, or CompileError if it is none."""
    program = replace(program, events=tuple(event for event in program.events if event.what != "deploy"))
    engine = Engine(program, graph)
    engine.play()
    log = [decode_step(seq, row) for seq, row in enumerate(engine.rows, start=1)]
    return Played(program, graph or compiled(program.graph), log)


def runs(seed: object, number: int) -> Iterator[Played]:
    """Yield so many runs of a seed, each of another graph."""
    at = 0
    while number:
        program = p.draw(seed, at * p.SCRIPTS + at % p.SCRIPTS)
        at += 1
        try:
            found = played(program)
        except (CompileError, DefinitionError):  # it is no program
            continue
        number -= 1
        yield found
