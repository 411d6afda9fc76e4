"""How an extension checks graphs while they are compiled: `graphengine.checks` uses it.

The compilation itself checks only as much as it needs. It finds everything that prevents a plan: unknown names, values
that nodes cannot get, conditions that cannot be read. The methods of `Checks` find problems of graphs that could run
and would fail later: options of the wrong kind, nodes that cannot be reached, fields that two arms overwrite, loops
that nothing ends.
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
    """A graph whose nodes have been compiled.

    Attributes:
        graph: The graph.
        nodes: The plans of its nodes.
        state: Its state.
        unsound: The nodes with invalid options.
        doubtful: The nodes with a problem on an outgoing edge.
        unclear: The nodes with a problem in a switch.
        walks: Whether the checks may walk the graph. This is so if the graph is checked instead of compiled for a run,
            and no error has been found yet.
    """

    graph: GraphDefinition[Any]
    nodes: Mapping[str, NodePlan]
    state: StateType[Any]
    unsound: Collection[str]
    doubtful: Collection[str]
    unclear: Collection[str]
    walks: bool = False


class Checks:
    """Checks graphs. This class finds no problems; a subclass overrides the methods that it needs."""

    def model(self, model: type[BaseModel]) -> Iterable[Problem]:  # noqa: ARG002 - for those that override it
        """Return the problems of the class of a state as a whole."""
        return ()

    def field(self, where: str, field: FieldType) -> Iterable[Problem]:  # noqa: ARG002
        """Return the problems of a field of a state."""
        return ()

    def options(self, graph: GraphDefinition[Any]) -> Iterable[tuple[str, str]]:  # noqa: ARG002
        """Return the problems of the options of a graph itself, as (message, repair)."""
        return ()

    def node(self, declared: Declared) -> Iterable[tuple[str, str]]:  # noqa: ARG002
        """Return the problems of the options of a node, as (message, repair)."""
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
    """From now on, check graphs with the `Checks` that this function returns. It is called when a graph is compiled."""
    _GIVEN[:] = [makes]


def checks() -> Checks:
    """Return the `Checks` that check graphs."""
    return _GIVEN[0]()
