"""Which line of the user's code each problem of a graph is about."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graphengine.graph.source_location import origin_of_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphengine.errors import Problem
    from graphengine.graph.graph import Graph
    from graphengine.graph.source_location import Origin


def place(problems: list[Problem], begin: int, origin: Origin | None) -> None:
    """Say of the problems from an index on that they are about what was declared there, where nothing closer is known.

    Args:
        problems: All that were found; changed in place.
        begin: The index of the first.
        origin: Where what they are about was declared.
    """
    problems[begin:] = [_placed(problem, origin) for problem in problems[begin:]]


def place_rest(problems: list[Problem], graph: Graph[Any]) -> None:
    """Say where what the remaining problems name was declared: a node, a way, a field, else the graph itself."""
    for index, problem in enumerate(problems):
        if problem.line is None:
            problems[index] = _placed(problem, _origin(problem.where, graph))


def join_places(problems: list[Problem], groups: Iterable[Sequence[int]]) -> None:
    """Make one problem of those about one name: that of a field if there is one, with the places of the others.

    Args:
        problems: All that were found; changed in place.
        groups: The indices of those about one name, for each name.
    """
    extra: set[int] = set()
    for group in groups:
        first = next((index for index in group if problems[index].code == "unknown_field"), group[0])
        others = [index for index in group if index != first]
        found = problems[first]
        places = dict.fromkeys((problems[index].where, problems[index].line) for index in others)
        places.pop((found.where, found.line), None)
        told = ", ".join(f"{where} at line {line}" if line else where for where, line in places)
        if told:
            problems[first] = replace(found, message=f"{found.message} (also: {told})")
        extra.update(others)
    problems[:] = [problem for index, problem in enumerate(problems) if index not in extra]


def _placed(problem: Problem, origin: Origin | None) -> Problem:
    if origin is None or problem.line is not None:
        return problem
    return replace(problem, file=origin.file, line=origin.line)


def _origin(where: str, graph: Graph[Any]) -> Origin | None:
    """Where that of which a problem says that it is there was declared."""
    for known in (
        *((f"node {declared.name}", declared.origin) for declared in graph.nodes),
        *((f"way out of {way.source}", way.origin) for way in graph.ways),
        *((f"fork at {way.source}", way.origin) for way in graph.ways if hasattr(way, "join")),
    ):
        if where == known[0] or where.startswith(f"{known[0]},"):
            return known[1]
    if where.startswith(("field ", "state ")) and isinstance(graph.state, type):
        return origin_of_field(graph.state, where.rpartition(".")[2]) or graph.origin
    return graph.origin


__all__ = ["join_places", "place", "place_rest"]
