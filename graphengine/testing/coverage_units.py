"""What there is to be seen of a graph: its ways out, their arms and cases, and the parts of composed conditions."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphengine.engine.plan import EdgeWay, ForkWay, SwitchWay
from graphengine.graph.conditions import Composed, Condition, Failed, Negated
from graphengine.graph.options import START

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from graphengine.engine.plan import Plan, Way

    Place: TypeAlias = tuple[str, bool, int, str]
    """Something to be seen of a graph: the node, whether it is after a failure, the number of the way, and which part
    of that: "" for the way itself."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Something to be seen of a graph.

    Attributes:
        place: Where it is.
        to: Where the way leads.
        way: The way in words, as `review -> write (otherwise)`.
        part: The condition that is a part of the way's, in words; "" for the way itself.
        held: Whether that is to be seen to hold, or not to.
        conditional: Whether the way has a condition.
    """

    place: Place
    to: str
    way: str = field(compare=False)
    part: str = field(default="", compare=False)
    held: bool = True
    conditional: bool = True


@dataclass(frozen=True, slots=True)
class Shape:
    """What there is to be seen of a graph.

    Graphs of one name whose ways lead to the same places are one, such as those that a function makes with other
    numbers in their conditions: what was seen of one of them was seen.
    """

    graph: str
    file: str
    units: tuple[Unit, ...]


def shape_of(plan: Plan[Any]) -> Shape:
    """What there is to be seen of a graph."""
    return Shape(plan.graph, _file_of(plan), tuple(_units(plan)))


WHOLE: Final = "whole"
"""The part of a way that is its whole condition."""


def _units(plan: Plan[Any]) -> Iterator[Unit]:
    """All there is to see of a graph."""
    yield from _of_ways(START, plan.start, after=False)
    for name, node in plan.nodes.items():
        yield from _of_ways(name, node.ways, after=False)
        yield from _of_ways(name, node.failure_ways, after=True)


def _of_ways(node: str, ways: Sequence[Way], *, after: bool) -> Iterator[Unit]:
    for at, way in enumerate(ways):
        place: Place = (node, after, at, "")
        if isinstance(way, SwitchWay):
            cases = [(str(getattr(value, "value", value)), target) for value, target in way.cases.items()]
            for label, target in cases:
                text = f"{node} -> {target} ({way.reading.text} == {label!r})"
                yield Unit((node, after, at, f"case {label}"), target, text, conditional=False)
            if way.otherwise is not None:
                text = f"{node} -> {way.otherwise} ({way.reading.text} otherwise)"
                yield Unit((node, after, at, "case "), way.otherwise, text, conditional=False)
            continue
        label = f" {way.label!r}" if way.label else ""
        to = way.target if isinstance(way, EdgeWay) else f"[{' | '.join(target for target, _ in way.arms)}] {way.join}"
        text = f"{node} -> {to}{label} ({'otherwise' if way.condition is None else way.condition})"
        yield Unit(place, to, text, conditional=way.condition is not None)
        yield from _parts(way.condition, place, to, text)
        for number, (target, condition) in enumerate(way.arms if isinstance(way, ForkWay) else ()):
            if condition is not None:
                yield Unit(
                    (node, after, at, f"arm {number}"), target, f"{node} -> {to}{label}, arm {target} ({condition})"
                )


def _parts(condition: Condition | None, place: Place, to: str, text: str) -> Iterator[Unit]:
    """What there is to see of the parts of a composed condition."""
    found = list(leaves(condition)) if condition is not None else []
    for number, leaf in enumerate(found if len(found) > 1 else ()):
        part: Place = (*place[:3], f"part {number}")
        yield Unit(part, to, text, str(leaf))
        if not (isinstance(leaf, Failed) and any(issubclass(Exception, kind) for kind in leaf.types)):
            yield Unit(part, to, text, str(leaf), held=False)


def leaves(condition: Condition) -> Iterator[Condition]:
    """The conditions that a condition is composed of, from left to right."""
    parts = list(condition.parts()) if isinstance(condition, Composed) else []
    if isinstance(condition, Negated):
        parts = [condition.of]
    if not parts:
        yield condition
    for part in parts:
        yield from leaves(part)


def _file_of(plan: Plan[Any]) -> str:
    """The file of a graph, as far as its state's tells."""
    module = sys.modules.get(plan.state.model.__module__)
    file = Path(getattr(module, "__file__", None) or plan.state.model.__module__)
    here = Path.cwd()
    return file.relative_to(here).as_posix() if file.is_relative_to(here) else file.name


__all__ = ["WHOLE", "Place", "Shape", "Unit", "leaves", "shape_of"]
