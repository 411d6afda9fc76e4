"""What a run is begun with, checked before anything is recorded: its graph, and where it is to pause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from graphengine.errors import DefinitionError, InputError
from graphengine.graph.graph import Graph
from graphengine.runner.lifecycle import as_limits
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.plan import Plan
    from graphengine.graph.graph import Limits

S = TypeVar("S", bound=BaseModel)


def plan_of(graph: Graph[S], limits: Limits | None) -> Plan[S]:
    """The plan of a graph that is to be run.

    Raises:
        DefinitionError: It is no graph, or the limits are none; CompileError.
    """
    given: object = graph
    if not isinstance(given, Graph):
        raise DefinitionError(f"{given!r} is no Graph", repair="give the Graph itself; the CLI finds graphs by name")
    if limits is not None:
        as_limits(limits)
    return graph.compile()


def pauses_of(plan: Plan[Any], paths: Sequence[str]) -> Sequence[str]:
    """The paths of nodes to pause before, checked.

    Raises:
        InputError: There is no such node.
    """
    if isinstance(paths, str):
        raise InputError(f"pause_before={paths!r}", repair=f"give a list: pause_before=[{paths!r}]")
    if not paths:
        return []  # the usual case, and to list the paths of a large nest takes long
    known = set(plan.paths())
    for path in paths:
        if path not in known:
            raise InputError(f"unknown node {path!r}", where="pause_before=", repair=did_you_mean(path, known))
    return list(paths)
