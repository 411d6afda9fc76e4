from typing import Annotated

from pydantic import BaseModel

from graphengine import END, FAIL, START, Ending, Graph, ended_with, value
from graphengine.reducers import append
from tests.kit.scenario import work


class Review(BaseModel):
    score: int = 0


review = Graph("review", Review)
review.add_node("rate", work, writes="score")
review.add_edge(START, "rate")
review.add_edge("rate", END, when=value("score") >= 7, label="approved")
review.add_edge("rate", END, when=value("score") >= 3, label="middling")
review.add_edge("rate", END)


class State(BaseModel):
    score: int = 0
    why: Annotated[list[str], append] = []


def told(result: Review, ending: Ending, score: int) -> str:
    return f"{score} then {result.score}: {ending.reason} {ending.label or 'plain'}, {ending.condition or 'otherwise'}"


def build(*, middling: bool) -> Graph[State]:
    made = Graph("ended", State)
    made.add_node("review", review, inputs={}, writes={"score": "score", "why": told})
    made.add_edge(START, "review")
    made.add_edge("review", END, when=ended_with("approved"), label="published")
    if middling:
        made.add_edge("review", "review", when=ended_with("middling", "approved"), label="once more")
    made.add_edge("review", FAIL, when=value("score") < 3, label="hopeless")
    return made


graph = build(middling=False)
fixed = build(middling=True)
