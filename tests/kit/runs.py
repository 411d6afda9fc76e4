"""What nearly every test of the Runner needs, whatever its state: the smallest graphs, and how long it may hang.

Each file of tests/runner has a state of its own, with the fields that its truths are about. The graphs around one
node or a row of nodes are the same everywhere, so they are made here, of the state that they are given.
"""

from typing import Any, TypeVar

from pydantic import BaseModel

from graphengine import END, START, Graph

SOON = 5  # seconds that a test may hang before it fails
WEEK = 7 * 86_400  # seconds

StateT = TypeVar("StateT", bound=BaseModel)


def alone(state: type[StateT], work: Any, writes: Any, **options: Any) -> Graph[StateT]:
    """A graph of one node, which is called work."""
    graph = Graph("one", state)
    graph.add_node("work", work, writes=writes, **options)
    graph.add_path(START, "work", END)
    return graph


def row(state: type[StateT], *nodes: tuple[str, Any, Any], name: str = "g") -> Graph[StateT]:
    """A graph of nodes one behind the other: name, runnable, writes."""
    graph = Graph(name, state)
    for node, runnable, writes in nodes:
        graph.add_node(node, runnable, writes=writes)
    graph.add_path(START, *(node for node, _, _ in nodes), END)
    return graph
