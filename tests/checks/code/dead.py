from typing import Annotated, Literal

from pydantic import BaseModel, Field

from graphengine import END, START, Graph, iterations


class State(BaseModel):
    n: int = 0
    score: Annotated[int, Field(ge=0, le=10)] = 0
    share: float = 0.0
    text: str = ""
    note: str | None = None
    lines: list[str] = []
    kind: Literal["good", "bad"] = "good"


def two() -> int:
    return 2


def ends(when, writes="n"):
    """Two visits of a node, and an edge to END with this condition."""
    graph = Graph("ends", State)
    graph.add_node("a", two, writes=writes)
    graph.add_node("b", two, writes="n")
    graph.add_path(START, "a", "b")
    graph.add_edge("b", END, when=when)
    graph.add_edge("b", END)
    return graph


def twice(first, second, third=None):
    """Three edges, one after the other."""
    graph = Graph("twice", State)
    graph.add_node("a", two, writes="n")
    graph.add_node("b", two, writes="n")
    graph.add_edge(START, "a")
    graph.add_edge("a", "b", when=first)
    graph.add_edge("a", END, when=second)
    graph.add_edge("a", "b", when=third)
    graph.add_edge("b", END)
    return graph


def closed(first, second):
    """Two edges with conditions, and no other."""
    graph = Graph("closed", State)
    graph.add_node("a", two, writes="n")
    graph.add_edge(START, "a")
    graph.add_edge("a", "a", when=first & (iterations("a") < 5))
    graph.add_edge("a", END, when=first)
    graph.add_edge("a", END, when=second)
    return graph
