from typing import Annotated, Literal

from pydantic import BaseModel

from graphengine import END, START, Graph, choose, iterations
from graphengine.reducers import append
from tests.kit.scenario import work


class Score(BaseModel):
    value: int


class Judge(BaseModel):
    draft: str
    score: Score | None = None


judge = Graph("judge", Judge, result="score.value")
judge.add_node("read", work, writes="score")
judge.add_path(START, "read", END)


def guess(draft: str) -> int:
    return len(draft)


class State(BaseModel):
    who: Literal["judge", "guess"] = "judge"
    draft: str = "abc"
    scores: Annotated[list[int], append] = []


graph = Graph("result", State)
graph.add_node("rate", choose("who", {"judge": judge, "guess": guess}), writes="scores")
graph.add_node("turn", work, writes="who")
graph.add_edge(START, "rate")
graph.add_edge("rate", END, when=iterations("rate") >= 2)
graph.add_edge("rate", "turn")
graph.add_edge("turn", "rate")
