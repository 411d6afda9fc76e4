from pydantic import BaseModel

from graphengine import END, START, Graph
from tests.kit.scenario import work


class Article(BaseModel):
    topic: str
    style: str = "plain"
    draft: str = ""
    notes: list[str] = []


article = Graph("article", Article)
article.add_node("plan", work, writes="notes")
article.add_node("write", work, writes="draft")
article.add_path(START, "plan", "write", END)


class State(BaseModel):
    task: str
    style: str = "bold"
    notes: list[str] = ["outer"]
    text: str = ""
    size: int = 0


graph = Graph("sub", State)
graph.add_node(
    "article",
    article,
    inputs={"topic": "task", "notes": lambda task: [task]},
    writes={"text": "draft", "size": lambda result, task: len(result.draft) + len(task)},
)
graph.add_path(START, "article", END)
