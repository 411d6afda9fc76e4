from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, iterations
from graphengine.reducers import append, extend
from tests.kit.scenario import work


class Inner(BaseModel):
    log: Annotated[list[str], append] = []


inner = Graph("inner", Inner, result="log")
for name in ("a", "b", "c"):
    inner.add_node(name, work, writes="log")
inner.add_fork(START, ["a", "b"], join="c", need=1)
inner.add_edge("a", "c")
inner.add_edge("b", "c")
inner.add_edge("c", END)


class State(BaseModel):
    all: Annotated[list[str], extend] = []
    other: str = ""


graph = Graph("fork_in_sub", State)
graph.add_node("inner", inner, writes="all")
graph.add_node("other", work, writes="other")
graph.add_node("end")
graph.add_fork(START, ["inner", "other"], join="end")
graph.add_edge("inner", "inner", when=iterations("inner") < 2)
graph.add_edge("inner", "end")
graph.add_edge("other", "end")
graph.add_edge("end", END)
