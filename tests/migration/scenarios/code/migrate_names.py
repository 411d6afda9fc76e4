from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, Migration, ask, iterations
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    n: int = 0
    log: Annotated[list[str], append] = []


def made(a, b, **versions):
    graph = Graph("names", State, **versions)
    graph.add_node("begin", work, writes="log")
    graph.add_node(a, work, writes="log")
    graph.add_node(b, ask("Well?"), writes="log")
    graph.add_node("merge", work, writes="n")
    graph.add_edge(START, "begin")
    graph.add_fork("begin", [a, b], join="merge")
    graph.add_edge(a, a, when=iterations(a, since="begin") < 2)
    graph.add_edge(a, "merge")
    graph.add_edge(b, "merge")
    graph.add_edge("merge", END, when=iterations(a) >= 2)
    graph.add_edge("merge", "begin")
    return graph


graph = made("a", "b")
renamed = made("one", "two", version=2, migrate={1: Migration(renamed={"a": "one", "b": "two"})})
