from typing import Annotated

from pydantic import BaseModel, model_validator

from graphengine import END, START, Graph, value
from graphengine.reducers import append
from tests.kit.scenario import work


class Review(BaseModel):
    score: int = 8


class State(BaseModel):
    history: Annotated[list[int], append] = []
    review: Review = Review()
    cap: int = 10

    @model_validator(mode="after")
    def capped(self):
        if self.review.score > self.cap:
            self.review.score = self.cap
        return self


graph = Graph("whole", State)
graph.add_node("a", work)
graph.add_edge(START, "a")
graph.add_edge("a", END, when=value("cap") == 5)
graph.add_edge("a", "a")
