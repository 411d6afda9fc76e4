from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, Retry
from graphengine.reducers import add, append, extend, maximum, merge
from tests.kit.scenario import work


def later(old: str, new: str) -> str:
    return f"({old}+{new})"


class State(BaseModel):
    items: list[str] = ["a", "b"]
    log: Annotated[list[str], append] = ["z"]
    many: Annotated[list[int], extend] = [0]
    both: Annotated[dict[str, int], merge] = {"z": 0, "b": 9}
    total: Annotated[int, add] = 100
    best: Annotated[int, maximum] = 3
    text: Annotated[str, later] = "t"


graph = Graph("reducers", State)
graph.add_node(
    "go",
    work,
    each={"item": "items"},
    retry=Retry(attempts=2, initial_seconds=0),
    writes=("log", "many", "both", "total", "best", "text"),
)
graph.add_path(START, "go", END)
