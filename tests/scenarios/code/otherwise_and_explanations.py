from pydantic import BaseModel

from graphengine import END, START, Graph, value
from tests.kit.scenario import work


class Review(BaseModel):
    score: float | None = None
    tags: list[str] = []


class State(BaseModel):
    review: Review = Review()
    text: str = ""


graph = Graph("review", State)
graph.add_node("judge", work, writes="review")
graph.add_edge(START, "judge", when=value("text").is_true(), label="has text")
graph.add_edge(START, END, label="nothing to do")
graph.add_edge("judge", END, when=value("review.score") >= 7, label="approved")
graph.add_edge(
    "judge", END, when=(value("review.score") < 3) & ~value("review.tags").contains("retry"), label="hopeless"
)
graph.add_edge("judge", END, when=value("review.tags").length() > 2, label="tagged")
graph.add_edge(
    "judge", END, when=value("review.tags").is_in([["a"], ["b"]]) | value("review.score").is_none(), label="odd"
)
graph.add_edge("judge", "judge")
