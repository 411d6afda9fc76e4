from pydantic import BaseModel

from graphengine import END, START, Graph
from tests.kit.scenario import work


class Topic(BaseModel):
    topic: str = ""
    parts: list[str] = ["p", "q"]
    plan: str = ""
    texts: list[str] = []


inner = Graph("article", Topic, result="texts")
inner.add_node("plan", work, writes="plan")
inner.add_node("write", work, each={"part": "parts"}, concurrency=1, writes="texts")
inner.add_path(START, "plan", "write", END)


class State(BaseModel):
    topics: list[str] = ["a", "b", "c"]
    articles: list[list[str]] = []


graph = Graph("articles", State)
graph.add_node("article", inner, each={"topic": "topics"}, concurrency=1, writes="articles")
graph.add_path(START, "article", END)
