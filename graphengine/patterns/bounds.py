"""A bound around anything: so many steps, tokens, dollars or seconds, and what is done where that was not enough."""

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.errors import NodeTimeout, SubgraphLimit
from graphengine.graph.conditions import failed
from graphengine.graph.graph import END, START, Choose, Graph, Limits, Node, Runnable
from graphengine.graph.runnable import HasBody
from graphengine.patterns.parts import part

S = TypeVar("S", bound=BaseModel)


def bounded(
    state: type[S], runnable: Runnable, *, answer: str, limits: Limits, instead: "Runnable | None" = None
) -> Graph[S]:
    """Run something within limits, and do something else where it reaches them.

    A limit holds between two steps and before each call of a model; `seconds` also cut off a single function or agent.
    What was paid until then counts in the run; what a graph had in its state by then is in the log alone.

    Args:
        state: The state; all read what they want of it.
        runnable: What is run; its result goes to `answer`.
        answer: The field that is the result; it takes the last write.
        limits: What it may take. A visit of the runnable itself is a step, besides those of a graph.
        instead: What is done where a limit was reached; its result goes to `answer`. Without it that stays as it was.

    Example:
        >>> class Search(BaseModel):
        ...     question: str = ""
        ...     found: str = ""
        >>> loop = Graph("loop", Search, result="found")
        >>> loop.add_node("look", lambda found: found + ".", writes="found")
        >>> loop.add_edge(START, "look")
        >>> loop.add_edge("look", END, when=lambda found: "gold" in found)
        >>> loop.add_edge("look", "look")
        >>> graph = bounded(Search, loop, answer="found", limits=Limits(steps=5), instead=lambda: "nothing")
        >>> done = graph.run_sync()
        >>> done.output, done.stop.label
        ('nothing', 'out of bounds')
    """
    inside = Graph("bounds", state, result=answer, limits=limits)
    inside.add_node("work", _timed(part(runnable, state), limits.seconds), writes=answer)
    inside.add_path(START, "work", END)
    graph = Graph("bounded", state, result=answer)
    graph.add_node("within", inside, writes=answer)
    graph.add_edge(START, "within")
    out = failed(SubgraphLimit) if limits.seconds is None else failed(SubgraphLimit, NodeTimeout)
    if instead is None:
        graph.add_edge("within", END, when=out, label="out of bounds")
    else:
        graph.add_node("instead", part(instead, state), writes=answer)
        graph.add_edge("within", "instead", when=out, label="out of bounds")
        graph.add_edge("instead", END, label="out of bounds")
    graph.add_edge("within", END, label="within bounds")
    return graph


def _timed(node: Node, seconds: float | None) -> Node:
    """What is one attempt of one node is cut off in its midst; a graph and a question are not."""
    inner = node.runnable
    plain = not isinstance(inner, Choose) and (not isinstance(inner, HasBody) or inner.body().kind == "agent")
    if seconds is None or not plain or node.options.timeout_seconds is not None:
        return node
    return Node(node, timeout_seconds=seconds)


__all__ = ["bounded"]
