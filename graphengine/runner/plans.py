"""Checks of what a run is started with, before anything is recorded: its graph, and where it pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from graphengine.compile.compiler import compiled
from graphengine.errors import DefinitionError, InputError
from graphengine.graph.definition import GraphDefinition
from graphengine.runner.opening import as_limits
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.plan import Plan
    from graphengine.graph.definition import Limits

S = TypeVar("S")


def plan_of(graph: GraphDefinition[S], limits: Limits | None) -> Plan[S]:
    """Return the plan of a graph to run.

    Raises:
        DefinitionError: The argument is not a Graph, or the limits are not Limits; CompileError.
    """
    given: object = graph
    if not isinstance(given, GraphDefinition):
        raise DefinitionError(f"{given!r} is not a Graph", repair="give the Graph itself; the CLI finds graphs by name")
    if limits is not None:
        as_limits(limits)
    return compiled(graph)


def pauses_of(plan: Plan[Any], paths: Sequence[str]) -> Sequence[str]:
    """Check the paths of nodes to pause before, and return them.

    Raises:
        InputError: The graph has no such node.
    """
    if isinstance(paths, str):
        raise InputError(f"pause_before={paths!r}", repair=f"give a list: pause_before=[{paths!r}]")
    if not paths:
        return []  # the common case, which skips listing the paths of a large nest
    known = set(plan.paths())
    for path in paths:
        if path not in known:
            raise InputError(f"unknown node {path!r}", where="pause_before=", repair=did_you_mean(path, known))
    return list(paths)
