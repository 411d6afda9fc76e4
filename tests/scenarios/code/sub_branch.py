from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, iterations, value
from graphengine.reducers import append, extend
from tests.kit.scenario import work


class Inner(BaseModel):
    score: int
    log: Annotated[list[str], append] = []


inner = Graph("inner", Inner, result="log")
inner.add_node("a", work, writes="log")
inner.add_node("b", work, writes="log")
inner.add_edge(START, "a")
inner.add_edge("a", "b", when=value("score") >= 7, label="high")
inner.add_edge("a", "a", when=iterations("a") < 3)
inner.add_edge("a", "b")
inner.add_edge("b", END)


class State(BaseModel):
    score: int = 3
    all: Annotated[list[str], extend] = ["outer"]


graph = Graph("branch", State)
graph.add_node("inner", inner, writes="all")
graph.add_path(START, "inner", END)
