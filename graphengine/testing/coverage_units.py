"""List the units that edge coverage counts: edges, their arms and cases, and the parts of composed conditions."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphengine.kernel.extension import START, Condition, Fork, Switch
from graphengine.kernel.inside import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from graphengine.kernel.extension import AnyEdge, Plan

    Place: TypeAlias = tuple[str, bool, int, str]
    """The place of a unit: the node, whether the edge is for failures, the index of the edge, and the edge's part.

    The part is "" for the whole edge.
    """


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing that a test can cover in a graph: an edge that can be taken, or a condition that can be true or false.

    Attributes:
        place: The node, the edge and the part of its condition, as positions that are the same in every process.
        to: The target of the edge.
        edge: The edge in words, such as `review -> write (otherwise)`.
        part: The part of the edge's condition, in words; "" for the edge itself.
        held: True if the unit is covered when the condition is true; False if it is covered when the condition is
            false.
        conditional: Whether the edge has a condition.
    """

    place: Place
    to: str
    edge: str = field(compare=False)
    part: str = field(default="", compare=False)
    held: bool = True
    conditional: bool = True


@dataclass(frozen=True, slots=True)
class Shape:
    """Everything in a graph that a test can cover: its edges, and the parts of their conditions.

    Graphs with the same name whose edges lead to the same nodes count as one graph. An example are graphs that a
    function builds with different numbers in their conditions.
    """

    graph: str
    file: str
    units: tuple[Unit, ...]


def shape_of(plan: Plan[Any]) -> Shape:
    """List everything in a graph that a test can cover: its edges, and the parts of their conditions."""
    return Shape(plan.graph, _file_of_graph(plan), tuple(_units(plan)))


WHOLE: Final = "whole"
"""The name of the part that means the whole condition of an edge."""


def _units(plan: Plan[Any]) -> Iterator[Unit]:
    yield from _of_edges(START, plan.start, after=False)
    for name, node in plan.nodes.items():
        yield from _of_edges(name, node.edges, after=False)
        yield from _of_edges(name, node.failure_edges, after=True)


def _of_edges(node: str, edges: Sequence[AnyEdge], *, after: bool) -> Iterator[Unit]:
    for at, edge in enumerate(edges):
        place: Place = (node, after, at, "")
        if isinstance(edge, Switch):
            cases = [(str(getattr(value, "value", value)), target) for value, target in edge.cases.items()]
            for label, target in cases:
                text = f"{node} -> {target} ({edge.reading.text} == {label!r})"
                yield Unit((node, after, at, f"case {label}"), target, text, conditional=False)
            if edge.otherwise is not None:
                text = f"{node} -> {edge.otherwise} ({edge.reading.text} otherwise)"
                yield Unit((node, after, at, "case "), edge.otherwise, text, conditional=False)
            continue
        label = f" {edge.label!r}" if edge.label else ""
        arms = edge.arms if isinstance(edge, Fork) else ()
        to = f"[{' | '.join(target for target, _ in arms)}] {edge.join}" if isinstance(edge, Fork) else edge.target
        text = f"{node} -> {to}{label} ({'otherwise' if edge.condition is None else edge.condition})"
        yield Unit(place, to, text, conditional=edge.condition is not None)
        yield from _units_of_parts(edge.condition, place, to, text)
        for number, (target, condition) in enumerate(arms):
            if condition is not None:
                yield Unit(
                    (node, after, at, f"arm {number}"), target, f"{node} -> {to}{label}, arm {target} ({condition})"
                )


def _units_of_parts(condition: Condition | None, place: Place, to: str, text: str) -> Iterator[Unit]:
    """Yield what a test can cover in a composed condition: for each part, that it is true, and that it is false.

    A condition such as `a & b` has two parts. A condition that is not composed has none.
    """
    found = list(condition.leaves()) if condition is not None else []
    for number, leaf in enumerate(found if len(found) > 1 else ()):
        part: Place = (*place[:3], f"part {number}")
        yield Unit(part, to, text, str(leaf))
        if not (isinstance(leaf, Failed) and any(issubclass(Exception, kind) for kind in leaf.types)):
            yield Unit(part, to, text, str(leaf), held=False)


def _file_of_graph(plan: Plan[Any]) -> str:
    """Return the file that defines the state class of a graph.

    The report shows it, because the graph's own file is not known.
    """
    module = sys.modules.get(plan.state.model.__module__)
    file = Path(getattr(module, "__file__", None) or plan.state.model.__module__)
    here = Path.cwd()
    return file.relative_to(here).as_posix() if file.is_relative_to(here) else file.name


__all__ = ["WHOLE", "Place", "Shape", "Unit", "shape_of"]
