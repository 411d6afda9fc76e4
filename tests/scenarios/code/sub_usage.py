from pydantic import BaseModel

from graphengine import END, START, Graph, Retry, elapsed_seconds, usage
from tests.kit.scenario import work


class Inner(BaseModel):
    text: str = ""
    parts: list[str] = ["p", "q"]
    texts: list[str] = []


leaf = Graph("leaf", Inner, result="text")
leaf.add_node("a", work, writes="text")
leaf.add_path(START, "a", END)

inner = Graph("inner", Inner, result="texts")
inner.add_node("leaf", leaf, writes="text")
inner.add_node("each", work, each={"part": "parts"}, writes="texts")
inner.add_edge(START, "leaf")
inner.add_edge("leaf", "each", when=usage("calls") >= 1, label="paid")
inner.add_edge("leaf", END)
inner.add_edge("each", END)


class State(BaseModel):
    all: list[str] = []


graph = Graph("usage", State)
graph.add_node("inner", inner, writes="all", retry=Retry(attempts=2, initial_seconds=0))
graph.add_edge(START, "inner")
graph.add_edge("inner", END, when=(usage("calls") >= 5) & (elapsed_seconds() >= 9), label="dear")
graph.add_edge("inner", "inner")
