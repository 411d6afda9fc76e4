from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, START, Graph, value
from graphengine.reducers import add, append, extend, maximum, merge
from tests.kit.scenario import work


class State(BaseModel):
    log: Annotated[list[str], append] = []
    many: Annotated[list[int], extend] = []
    table: Annotated[dict[str, int], merge] = {}
    total: Annotated[int, add] = 0
    cost: Annotated[float, add] = 0.5
    best: Annotated[int, maximum] = 0
    words: Annotated[set[str], lambda old, new: old | set(new)] = set()
    capped: Annotated[list[int], append, Field(max_length=2)] = []
    last: int = 0


graph = Graph("reducers", State)
graph.add_node("work", work)
graph.add_edge(START, "work")
graph.add_edge("work", END, when=value("last") == 3)
graph.add_edge("work", "work")
