from pydantic import BaseModel

from graphengine import END, START, Graph, value
from tests.kit.scenario import work


class State(BaseModel):
    n: int = 0
    y: int = 0


def inverse(n: int) -> bool:
    return 1 / n > 0


def graph_of(condition) -> Graph:
    graph = Graph("raises", State)
    graph.add_node("a", work, writes="n")
    graph.add_node("b", work, writes="y")
    graph.add_node("merge")
    graph.add_fork(START, ["a", ("b", condition)], join="merge")
    graph.add_edge("a", "merge", when=condition)
    graph.add_edge("a", "merge")
    graph.add_edge("b", "merge")
    graph.add_edge("merge", END)
    return graph


graph, fixed = graph_of(inverse), graph_of(value("n") >= 0)
