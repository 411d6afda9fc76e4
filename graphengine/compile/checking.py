"""How a wing checks graphs while they are compiled: `graphengine.checks` does. The core checks no more than it needs.

Compiling finds what prevents a plan: unknown names, values that nodes cannot get, conditions that cannot be read. The
moments here are for what would run, and go wrong later: options of the wrong kind, nodes that nothing reaches, fields
that two arms overwrite, loops that nothing ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pydantic import BaseModel

    from graphengine.engine.plan import NodePlan
    from graphengine.errors import Problem
    from graphengine.graph.definition import Declared, GraphDefinition
    from graphengine.state.field import FieldType
    from graphengine.state.schema import StateType


class Compiling(NamedTuple):
    """A graph whose nodes are compiled.

    Attributes:
        graph: The graph.
        nodes: The plans of its nodes.
        state: Its state.
        unsound: The nodes with invalid options.
        doubtful: The nodes with a problem on an outgoing edge.
        unclear: The nodes with a problem in a switch.
        walks: Whether to walk it: it is checked, not compiled for a run, and no error was found by then.
    """

    graph: GraphDefinition[Any]
    nodes: Mapping[str, NodePlan]
    state: StateType[Any]
    unsound: Collection[str]
    doubtful: Collection[str]
    unclear: Collection[str]
    walks: bool = False


class Checks:
    """What checks graphs; this one finds nothing. Override the moments that are needed."""

    def model(self, model: type[BaseModel]) -> Iterable[Problem]:  # noqa: ARG002 - for those that override it
        """Return the problems of the class of a state as a whole."""
        return ()

    def field(self, where: str, field: FieldType) -> Iterable[Problem]:  # noqa: ARG002
        """Return the problems of a field of a state."""
        return ()

    def options(self, graph: GraphDefinition[Any]) -> Iterable[tuple[str, str]]:  # noqa: ARG002
        """Return the problems of a graph's own options, as (message, repair)."""
        return ()

    def node(self, declared: Declared) -> Iterable[tuple[str, str]]:  # noqa: ARG002
        """Return the problems of a node's options, as (message, repair)."""
        return ()

    def migrations(self, graph: GraphDefinition[Any]) -> Iterable[Problem]:  # noqa: ARG002
        """Return the problems of a graph's migrations."""
        return ()

    def whole(self, found: Compiling) -> Iterable[Problem]:  # noqa: ARG002
        """Return the problems of a graph as a whole."""
        return ()


Makes: TypeAlias = "Callable[[], Checks]"
_NONE: Final = Checks()
_GIVEN: Final[list[Makes]] = [lambda: _NONE]


def check_with(makes: Makes) -> None:
    """Let graphs be checked by what this function returns from now on; it is called when one is compiled."""
    _GIVEN[:] = [makes]


def checks() -> Checks:
    """Return what checks graphs."""
    return _GIVEN[0]()
