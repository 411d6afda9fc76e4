from typing import Annotated

from pydantic import BaseModel, model_validator

from graphengine import END, START, Graph, Retry
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    low: int = 0
    high: int = 10
    width: int = 10
    seen: Annotated[list[int], append] = []

    @model_validator(mode="after")
    def ordered(self):
        if self.low > self.high:
            raise ValueError("low lies above high")
        self.width = self.high - self.low
        return self


graph = Graph("whole", State)
graph.add_node("narrow", work, retry=Retry(attempts=2, initial_seconds=0))
graph.add_path(START, "narrow", END)
