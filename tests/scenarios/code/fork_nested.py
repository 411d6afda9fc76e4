from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    log: Annotated[list[str], append] = []
    x: int = 0


graph = Graph("nested", State)
for name in ("a", "c", "d", "e", "f", "merge"):
    graph.add_node(name, work, writes="log")
graph.add_node("m", work, writes="x")
graph.add_fork(START, ["a", "e"], join="merge")
graph.add_fork("a", ["c", "d"], join="merge")
graph.add_path("c", "merge")
graph.add_path("d", "merge")
graph.add_fork("e", ["f", "m"], join="g")
graph.add_node("g", work, writes="log")
graph.add_path("f", "g")
graph.add_path("m", "g", "merge", END)
