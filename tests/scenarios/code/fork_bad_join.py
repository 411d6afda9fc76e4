from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, START, Graph
from graphengine.reducers import append
from tests.kit.scenario import work


def graph_of(most: int) -> Graph:
    class State(BaseModel):
        items: Annotated[list[int], append, Field(max_length=most)] = []
        x: int = 0

    graph = Graph("bad", State)
    graph.add_node("a", work, writes="items")
    graph.add_node("b", work, writes="items")
    graph.add_node("merge", work, writes="x")
    graph.add_fork(START, ["a", "b"], join="merge")
    graph.add_edge("a", "merge")
    graph.add_edge("b", "merge")
    graph.add_edge("merge", END)
    return graph


graph, fixed = graph_of(1), graph_of(2)
