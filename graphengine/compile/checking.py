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
    """A graph whose nodes have been compiled, with the problems so far. The checks of whole graphs receive this object.

    Attributes:
        graph: The graph.
        nodes: The compiled nodes.
        state: Its state.
        unsound: The names of nodes with invalid options, about which some checks say nothing.
        doubtful: The names of nodes that have a problem on an outgoing edge.
        unclear: The nodes with a problem in a switch.
        walks: Whether the checks may try out all paths through the graph. This is so if the graph is checked instead of
            compiled for a run, and no error has been found yet.
    """

    graph: GraphDefinition[Any]
    nodes: Mapping[str, NodePlan]
    state: StateType[Any]
    unsound: Collection[str]
    doubtful: Collection[str]
    unclear: Collection[str]
    walks: bool = False


class Checks:
    """Base class of the checks that are called at certain points while a graph is compiled, to find problems.

    Each method finds no problems unless a subclass overrides it.
    """

    def model(self, model: type[BaseModel]) -> Iterable[Problem]:  # noqa: ARG002 - for those that override it
        """Find problems of the class of a graph's state as a whole."""
        return ()

    def field(self, where: str, field: FieldType) -> Iterable[Problem]:  # noqa: ARG002
        """Find problems of one field of a graph's state."""
        return ()

    def options(self, graph: GraphDefinition[Any]) -> Iterable[tuple[str, str]]:  # noqa: ARG002
        """Find problems in the options that were given to a graph, as pairs of a message and a repair."""
        return ()

    def node(self, declared: Declared) -> Iterable[tuple[str, str]]:  # noqa: ARG002
        """Find problems in the options of a node, as pairs of a message and a repair."""
        return ()

    def migrations(self, graph: GraphDefinition[Any]) -> Iterable[Problem]:  # noqa: ARG002
        """Find problems in the migrations that a graph declares."""
        return ()

    def whole(self, found: Compiling) -> Iterable[Problem]:  # noqa: ARG002
        """Find problems that concern several nodes of a graph, such as nodes that cannot be reached."""
        return ()


Makes: TypeAlias = "Callable[[], Checks]"
_NONE: Final = Checks()
_GIVEN: Final[list[Makes]] = [lambda: _NONE]


def check_with(makes: Makes) -> None:
    """Set the function that creates the checks for graphs.

    The function is called when a graph is compiled. The checks are in a package of their own, which is loaded only
    then.
    """
    _GIVEN[:] = [makes]


def checks() -> Checks:
    """Return the object that checks graphs while they are compiled."""
    return _GIVEN[0]()
