from typing import Annotated

from pydantic import BaseModel, model_validator

from graphengine import END, START, Graph, iterations
from graphengine.reducers import add, maximum
from tests.kit.scenario import work


class State(BaseModel):
    total: Annotated[int, add] = 1
    best: Annotated[int, maximum] = 0
    n: int = 0
    double: int = 0

    @model_validator(mode="after")
    def whole(self):
        if self.total > 50:
            raise ValueError("total is too large")
        self.double = 2 * self.n
        return self


graph = Graph("whole", State)
graph.add_node("a", work, writes=("total", "best", "n"))
graph.add_node("b", work, writes=("total", "best"))
graph.add_node("merge", work, writes="total")
graph.add_fork(START, ["a", "b"], join="merge")
graph.add_edge("a", "merge")
graph.add_edge("b", "merge")
graph.add_edge("merge", END, when=iterations("merge") >= 2)
graph.add_fork("merge", ["c", "d"], join="merge")
graph.add_node("c", work, writes="total")
graph.add_node("d", work, writes="total")
graph.add_edge("c", "merge")
graph.add_edge("d", "merge")
