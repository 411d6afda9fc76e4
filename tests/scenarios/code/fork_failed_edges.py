from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Failure, Graph, failed, iterations
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    log: Annotated[list[str], append] = []
    failures: Annotated[list[Failure], append] = []


def merge(error: Failure | None) -> str:
    return f"{error.path}: {error.message}" if error else "all well"


graph = Graph("surviving", State, collect_errors="failures")
for name in ("a", "b", "b2"):
    graph.add_node(name, work, writes="log")
graph.add_node("merge", merge, writes="log", thread=False)
graph.add_fork(START, ["a", "b"], join="merge")
graph.add_edge("a", "merge")
graph.add_edge("a", "merge", when=failed(ValueError), label="without a")
graph.add_edge("b", "merge")
graph.add_edge("b", "b2", when=failed(Exception))
graph.add_edge("b2", "merge")
graph.add_edge("b2", "merge", when=failed(Exception))
graph.add_edge("merge", END, when=iterations("merge") >= 2)
graph.add_fork("merge", ["c"], join="merge")
graph.add_node("c", work, writes="log")
graph.add_edge("c", "merge")
