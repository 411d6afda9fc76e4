"""A graph whose edge depends on a field that its node does not write."""

from pydantic import BaseModel

from graphengine import END, START, Graph, value


class Paper(BaseModel):
    score: float = 0
    text: str = ""
    limit: int = 3


def reviewed(least: float = 7.0, *, is_new: bool = False) -> Graph[Paper]:
    """Return a graph whose edge depends on a field that its node does not write; a new version has one edge more."""
    graph = Graph("reviewed", Paper)
    graph.add_node("review", lambda score: f"scored {score}", writes="text", thread=False)
    graph.add_node("publish", lambda: "published", writes="text", thread=False)
    graph.add_edge(START, "review")
    if is_new:
        graph.add_edge("review", END, when=value("limit") > 5, label="far beyond")
    graph.add_edge("review", "publish", when=value("score") >= least, label="good enough")
    graph.add_edge("review", END, label="leave it")
    graph.add_edge("publish", END)
    return graph


graph = reviewed()
example = Paper(score=6.5)
