from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, Migration, iterations
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    n: int = 0
    log: Annotated[list[str], append] = []


def made(arms, **versions):
    graph = Graph("names", State, **versions)
    graph.add_node("begin", work, writes="log")
    for arm in arms:
        graph.add_node(arm, work, writes="log")
        graph.add_edge(arm, "merge")
    graph.add_node("merge", work, writes="log")
    graph.add_edge(START, "begin")
    graph.add_fork("begin", arms, join="merge")
    graph.add_edge("merge", END, when=iterations("begin") >= 1)
    graph.add_edge("merge", "begin")
    return graph


graph = made(["a", "b"])
fewer = made(["a"], version=2)
moved = made(["a"], version=2, migrate={1: Migration(moved={"begin": "merge"})})
renamed = made(["one", "two"], version=2, migrate={1: Migration(renamed={"a": "one", "b": "two"})})
