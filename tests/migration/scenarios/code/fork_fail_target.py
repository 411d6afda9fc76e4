from pydantic import BaseModel

from graphengine import END, FAIL, START, Graph, value
from tests.kit.scenario import work


class State(BaseModel):
    x: int = 0
    y: int = 0


def graph_of(enough: int) -> Graph:
    graph = Graph("fail", State)
    graph.add_node("a", work, writes="x")
    graph.add_node("b", work, writes="y")
    graph.add_node("merge")
    graph.add_fork(START, ["a", "b"], join="merge")
    graph.add_edge("a", "merge", when=value("x") >= enough)
    graph.add_edge("a", FAIL, label="not enough")
    graph.add_edge("b", "merge")
    graph.add_edge("merge", END)
    return graph


graph, fixed = graph_of(5), graph_of(1)
