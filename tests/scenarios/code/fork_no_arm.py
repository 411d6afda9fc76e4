from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, value
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    depth: int = 0
    log: Annotated[list[str], append] = []


graph = Graph("no_arm", State)
graph.add_node("ask", work, writes="depth")
for name in ("web", "books", "merge"):
    graph.add_node(name, work, writes="log")
graph.add_edge(START, "ask")
graph.add_fork(
    "ask",
    [("web", value("depth") == 1), ("books", value("depth") == 2)],
    join="merge",
    when=value("depth") < 9,
    label="look it up",
)
graph.add_edge("ask", END, label="too deep")
graph.add_edge("web", "merge")
graph.add_edge("books", "merge")
graph.add_edge("merge", "ask")
