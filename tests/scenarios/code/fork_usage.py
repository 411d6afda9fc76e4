from pydantic import BaseModel

from graphengine import END, START, Graph, iterations, usage
from tests.kit.scenario import work


class State(BaseModel):
    x: int = 0
    y: int = 0


graph = Graph("usage", State)
graph.add_node("p", work, writes=())
graph.add_node("a", work, writes="x")
graph.add_node("b", work, writes="y")
graph.add_node("merge", work, writes="x")
graph.add_edge(START, "p")
graph.add_fork("p", ["a", "b"], join="merge")
graph.add_edge("a", "merge", when=usage("tokens") >= 20)
graph.add_edge("a", "a")
graph.add_edge("b", "merge", when=usage("tokens") >= 100)
graph.add_edge("b", "merge", when=iterations("b") >= 1, label="visits")
graph.add_edge("b", "b")
graph.add_edge("merge", END, when=usage("tokens") >= 37)
graph.add_edge("merge", "p")
