from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, iterations, plateau
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    scores: Annotated[list[int], append] = []
    checks: Annotated[list[int], append] = []


graph = Graph("loops", State)
graph.add_node("first", work, writes="scores")
graph.add_node("write", work, writes="scores")
graph.add_node("check", work, writes="checks")
graph.add_node("last", work, writes="scores")
graph.add_edge(START, "first")
graph.add_fork("first", ["write", "check"], join="last")
graph.add_edge("write", "last", when=plateau("scores[-1]", patience=2), label="stalled")
graph.add_edge("write", "write")
graph.add_edge("check", "last", when=iterations("check") >= 2, label="twice")
graph.add_edge("check", "check", when=iterations("write") >= 1, label="never seen from here")
graph.add_edge("check", "check")
graph.add_edge("last", END, when=plateau("scores[-1]", patience=4), label="no better since first")
graph.add_edge("last", END, when=iterations("write") >= 9)
graph.add_edge("last", "last")
