from pydantic import BaseModel

from graphengine import END, START, Graph, iterations, value
from tests.kit.scenario import work


class Post(BaseModel):
    rounds: int = 0


article = Graph("article", Post)
article.add_node("publish", work, writes=())
article.add_edge(START, "publish", when=value("rounds") > 0)
article.add_edge(START, END)
article.add_edge("publish", END)

graph = Graph("desk", Post)
graph.add_node("article", article, writes=())
graph.add_node("approve", work, writes="rounds", fallback=1)
graph.add_path(START, "article")
graph.add_edge("article", END, when=iterations("article") >= 3)
graph.add_path("article", "approve", "article")
graph.require("approve", before="article/publish")
