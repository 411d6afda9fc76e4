from typing import Annotated, Literal

from pydantic import BaseModel

from graphengine import END, START, Graph, ended_with, value
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    x: int = 0
    y: int = 0
    text: str = ""
    kind: Literal["long", "short"] = "short"
    items: list[str] = []
    log: Annotated[list[str], append] = []


def graph_of(nodes, *edges, **writes):
    graph = Graph("g", State)
    for name in nodes.split():
        graph.add_node(name, work, writes=writes.get(name, ()))
    for source, *rest in edges:
        if isinstance(rest[0], list):
            graph.add_fork(source, rest[0], join=rest[1])
        else:
            graph.add_path(source, *rest)
    return graph


def path(runnable, **options):
    graph = Graph("g", State)
    graph.add_node("a", runnable, **options)
    graph.add_path(START, "a", END)
    return graph


def switched(on="kind", *, otherwise=None, **cases):
    graph = graph_of("a b c", (START, "a"), ("b", END), ("c", END))
    graph.add_switch("a", on, cases or {"long": "b", "short": "c"}, otherwise)
    return graph


def guarded(condition):
    graph = graph_of("a b", (START, "a"), ("b", "a"))
    graph.add_edge("a", END, when=condition)
    graph.add_edge("a", "b")
    return graph


def asking(label, condition=None):
    inner = Graph("inner", State, result="x")
    inner.add_node("n", work, writes="x")
    inner.add_path(START, "n")
    inner.add_edge("n", END, when=value("x") > 1 if condition is None else condition, label="good")
    inner.add_edge("n", END, label="bad")
    graph = Graph("g", State)
    graph.add_node("first", inner, writes="x")
    graph.add_node("second", inner, writes="y")
    graph.add_path(START, "first")
    graph.add_edge("first", "second", when=ended_with(label))
    graph.add_edge("first", END)
    graph.add_edge("second", END)
    return graph


FORK = (START, ["one", "two", "three"], "join")

NODES = "one two three join"
