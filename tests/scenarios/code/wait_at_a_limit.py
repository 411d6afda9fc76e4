from pydantic import BaseModel

from graphengine import END, START, Graph, Limits
from tests.kit.scenario import work


def inner(visits: int) -> Graph:
    class Inner(BaseModel):
        slept: str = ""
        done: str = ""

    inner = Graph("inner", Inner, result="done", limits=Limits(visits=visits))
    inner.add_node("nap", work, writes="slept")
    inner.add_node("works", work, writes="done")
    inner.add_node("both")
    inner.add_fork(START, ["nap", "works"], join="both")
    inner.add_edge("nap", "both")
    inner.add_edge("works", "both")
    inner.add_edge("both", END)
    return inner


class State(BaseModel):
    plan: str = ""
    other: str = ""


def outer(visits: int) -> Graph:
    graph = Graph("wait_at_a_limit", State)
    graph.add_node("plan", work, writes="plan")
    graph.add_node("inside", inner(visits), inputs={}, writes="other")
    graph.add_node("merge")
    graph.add_fork(START, ["plan", "inside"], join="merge")
    graph.add_edge("plan", "merge")
    graph.add_edge("inside", "merge")
    graph.add_edge("merge", END)
    return graph


graph, fixed = outer(1), outer(9)
