from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, iterations, plateau
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    score: Annotated[list[int], append] = []
    x: int = 0


graph = Graph("marks", State)
graph.add_node("p", work, writes="score")
graph.add_node("a", work, writes="score")
graph.add_node("b", work, writes="score")
graph.add_node("merge", work, writes="x")
graph.add_edge(START, "p")
graph.add_fork("p", ["a", "b"], join="merge")
graph.add_edge("a", "merge")
graph.add_edge("b", "merge")
graph.add_edge("merge", END, when=iterations("a", since="b") >= 1, label="a behind b")
graph.add_edge("merge", END, when=plateau("score[-1]", since="a", patience=2), label="worse than a, twice")
graph.add_edge("merge", END, when=plateau("score[-1]", since="b"), label="never")
graph.add_edge("merge", END, when=iterations("merge") >= 2, label="seen enough")
graph.add_edge("merge", "p")
