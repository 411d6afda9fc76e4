from pydantic import BaseModel

from graphengine import END, START, Graph, ask, iterations
from tests.kit.scenario import work


class Inner(BaseModel):
    n: int = 0


inner = Graph("inner", Inner, result="n")
inner.add_node("check", ask("n?", int), writes="n")
inner.add_path(START, "check", END)


class State(BaseModel):
    n: int = 0
    text: str = ""
    other: str = ""


graph = Graph("pause", State)
graph.add_node("inner", inner, writes="n")
graph.add_node("publish", work, writes="text")
graph.add_node("other", work, writes="other")
graph.add_node("merge")
graph.add_edge(START, "inner")
graph.add_fork("inner", ["publish", "other"], join="merge")
graph.add_edge("publish", "merge", when=iterations("publish") >= 2)
graph.add_edge("publish", "publish")
graph.add_edge("other", "merge")
graph.add_edge("merge", END)
