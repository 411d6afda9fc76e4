from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph
from graphengine.reducers import append
from tests.kit.scenario import work


class Inner(BaseModel):
    text: str
    out: str = ""


inner = Graph("inner", Inner, result="out")
inner.add_node("a", work, writes="out")
inner.add_node("b", work, writes="out")
inner.add_path(START, "a", "b", END)


class State(BaseModel):
    text: str = "t"
    log: Annotated[list[str], append] = []


graph = Graph("in_fork", State)
graph.add_node("one", inner, writes="log")
graph.add_node("two", inner, writes="log")
graph.add_node("merge")
graph.add_fork(START, ["one", "two"], join="merge")
graph.add_edge("one", "merge")
graph.add_edge("two", "merge")
graph.add_node("three", inner, writes="log")
graph.add_node("four", work, writes="log")
graph.add_fork("merge", ["three", "four"], join=END, need=1)
graph.add_edge("three", END)
graph.add_edge("four", END)
