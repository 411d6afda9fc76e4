from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph
from graphengine.reducers import append
from tests.kit.scenario import work


class Leaf(BaseModel):
    word: str
    log: Annotated[list[str], append] = []


leaf = Graph("leaf", Leaf, result="log")
for name in ("a", "b", "c"):
    leaf.add_node(name, work, writes="log")
leaf.add_fork(START, ["a", "b"], join="c")
leaf.add_edge("a", "c")
leaf.add_edge("b", "c")
leaf.add_edge("c", END)


class Twig(BaseModel):
    word: str
    left: list[str] = []
    right: list[str] = []


twig = Graph("twig", Twig)
twig.add_node("left", leaf, writes="left")
twig.add_node("right", leaf, writes="right")
twig.add_node("both")
twig.add_fork(START, ["left", "right"], join="both")
twig.add_edge("left", "both")
twig.add_edge("right", "both")
twig.add_edge("both", END)


class State(BaseModel):
    word: str = "w"
    words: list[str] = []


graph = Graph("deep", State)
graph.add_node("twig", twig, writes={"words": lambda result: result.left + result.right})
graph.add_path(START, "twig", END)
