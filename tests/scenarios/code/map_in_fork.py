from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    sources: list[str] = ["a", "b"]
    findings: Annotated[list[str], append] = []
    guess: str = ""


graph = Graph("in_fork", State)
graph.add_node("research", work, each={"source": "sources"}, writes="findings")
graph.add_node("check", work, each={"source": "sources"}, writes="findings")
graph.add_node("guess", work, writes="guess")
graph.add_node("merge")
graph.add_fork(START, ["research", "guess"], join="merge", need=1)
graph.add_edge("research", "merge")
graph.add_edge("guess", "merge")
graph.add_fork("merge", ["check", "again"], join=END)
graph.add_node("again", work, each={"source": "sources"}, writes="findings")
graph.add_edge("check", END)
graph.add_edge("again", END)
