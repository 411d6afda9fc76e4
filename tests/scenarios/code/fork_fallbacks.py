from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Failure, Graph, Retry
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    log: Annotated[list[str], append] = []
    failures: Annotated[list[Failure], append] = []


def stand_in(error: Failure) -> str:
    return f"in place of {error.path}"


graph = Graph("fallbacks", State, collect_errors="failures")
graph.add_node("a", work, writes="log", retry=Retry(attempts=2, initial_seconds=10, jitter=0))
graph.add_node("b", work, writes="log", fallback="nothing")
graph.add_node("c", work, writes="log", fallback=stand_in)
graph.add_node("merge", work, writes="log")
graph.add_fork(START, ["a", "b", "c"], join="merge")
for name in ("a", "b", "c"):
    graph.add_edge(name, "merge")
graph.add_edge("merge", END)
