from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, START, Graph
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    items: Annotated[list[int], append, Field(max_length=1)] = []
    x: int = 0
    y: int = 0


graph = Graph("bad", State)
graph.add_node("a")
graph.add_node("c", work, writes="items")
graph.add_node("d", work, writes="items")
graph.add_node("inner", work, writes="x")
graph.add_node("b", work, writes="y")
graph.add_node("merge")
graph.add_fork(START, ["a", "b"], join="merge")
graph.add_fork("a", ["c", "d"], join="inner")
graph.add_edge("c", "inner")
graph.add_edge("d", "inner")
graph.add_edge("inner", "merge")
graph.add_path("b", "merge", END)
