"""Checks of a declared graph, one subject per module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.checks.options import graph_problems, migration_problems, node_problems
from graphengine.checks.state import field_problems, model_problems
from graphengine.checks.whole import whole_problems
from graphengine.compile.checking import Checks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel

    from graphengine.compile.checking import Compiling
    from graphengine.errors import Problem
    from graphengine.graph.definition import Declared, GraphDefinition
    from graphengine.state.field import FieldType


class _All(Checks):
    """All checks."""

    def model(self, model: type[BaseModel]) -> Iterable[Problem]:
        return model_problems(model)

    def field(self, where: str, field: FieldType) -> Iterable[Problem]:
        return field_problems(where, field)

    def options(self, graph: GraphDefinition[Any]) -> Iterable[tuple[str, str]]:
        return graph_problems(graph)

    def node(self, declared: Declared) -> Iterable[tuple[str, str]]:
        return node_problems(declared)

    def migrations(self, graph: GraphDefinition[Any]) -> Iterable[Problem]:
        return migration_problems(graph)

    def whole(self, found: Compiling) -> Iterable[Problem]:
        return whole_problems(found)


ALL: Final = _All()

__all__ = ["ALL"]
