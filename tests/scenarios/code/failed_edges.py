from typing import Annotated

from pydantic import BaseModel

from graphengine import END, FAIL, START, Failure, Graph, Retry, failed, iterations, value
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    draft: str = ""
    strict: bool = False
    errors: Annotated[list[Failure], append] = []


def apologise(error: Failure | None) -> str:
    return "no error" if error is None else f"sorry: {error.kind}: {error.message}"


graph = Graph("errors", State, collect_errors="errors")
graph.add_node("review", work, writes="draft", retry=Retry(attempts=2, initial_seconds=0))
graph.add_node("apologise", apologise, writes="draft")
graph.add_edge(START, "review")
graph.add_edge("review", FAIL, when=failed(OSError) & value("strict").is_true(), label="strict")
graph.add_edge("review", "apologise", when=failed(LookupError, OSError), label="excused")
graph.add_edge("review", END, when=value("draft") == "fine", label="accepted")
graph.add_edge("review", "review", label="again")
graph.add_edge("apologise", "review", when=iterations("review") < 3)
graph.add_edge("apologise", END)
