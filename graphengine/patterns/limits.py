"""With limits: a limit of visits, tokens, dollars or seconds around a runnable, and a replacement if it is reached."""

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.errors import NodeTimeout, SubgraphLimit
from graphengine.kernel.extension import END, START, Choose, Limits, Node, Runnable, failed
from graphengine.kernel.inside import HasBody
from graphengine.patterns.parts import part

S = TypeVar("S", bound=BaseModel)


def with_limits(
    state: type[S], runnable: Runnable, *, answer: str, limits: Limits, instead: "Runnable | None" = None
) -> Graph[S]:
    """Return a graph that runs something within limits, and something else if it reaches them.

    A limit is checked between two steps and before each call of a model. The limit `seconds` also interrupts a single
    function or agent. The costs until the limit count for the run. The state of a graph that was interrupted is only in
    the log.

    Args:
        state: The state; each runnable reads the fields that it names.
        runnable: What to run; its result goes to `answer`.
        answer: The field that is the result; it keeps the last write.
        limits: The limits. The visit of the runnable itself is one, in addition to the visits in a graph.
        instead: What to run when a limit is reached; its result goes to `answer`. Without it `answer` keeps its value.

    Example:
        >>> class Search(BaseModel):
        ...     question: str = ""
        ...     found: str = ""
        >>> loop = Graph("loop", Search, result="found")
        >>> loop.add_node("look", lambda found: found + ".", writes="found")
        >>> loop.add_edge(START, "look")
        >>> loop.add_edge("look", END, when=lambda found: "gold" in found)
        >>> loop.add_edge("look", "look")
        >>> graph = with_limits(Search, loop, answer="found", limits=Limits(visits=5), instead=lambda: "nothing")
        >>> done = graph.run_sync()
        >>> done.output, done.label
        ('nothing', 'limit reached')
    """
    inside = Graph("limited", state, result=answer, limits=limits)
    inside.add_node("work", _give_timeout(part(runnable, state), limits.seconds), writes=answer)
    inside.add_path(START, "work", END)
    graph = Graph("with_limits", state, result=answer)
    graph.add_node("within", inside, writes=answer)
    graph.add_edge(START, "within")
    out = failed(SubgraphLimit) if limits.seconds is None else failed(SubgraphLimit, NodeTimeout)
    if instead is None:
        graph.add_edge("within", END, when=out, label="limit reached")
    else:
        graph.add_node("instead", part(instead, state), writes=answer)
        graph.add_edge("within", "instead", when=out, label="limit reached")
        graph.add_edge("instead", END, label="limit reached")
    graph.add_edge("within", END, label="within limits")
    return graph


def _give_timeout(node: Node, seconds: float | None) -> Node:
    """Give a function or agent a timeout; graphs and questions have none, their limits apply between steps."""
    inner = node.runnable
    plain = not isinstance(inner, Choose) and (not isinstance(inner, HasBody) or inner.__body__().kind == "agent")
    if seconds is None or not plain or node.timeout_seconds is not None:
        return node
    return Node(node, timeout_seconds=seconds)


__all__ = ["with_limits"]
