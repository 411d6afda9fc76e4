from typing import Annotated

from pydantic import BaseModel

from graphengine import END, FAIL, START, Graph, choose, value
from graphengine.reducers import append
from tests.kit.runs import alone


class Article(BaseModel):
    topic: str = ""
    draft: str = ""
    score: int = 0
    notes: Annotated[list[str], append] = []


class State(BaseModel):
    task: str = "ants"
    text: str = ""
    score: int = 0
    log: Annotated[list[str], append] = []


def write(topic: str, score: int) -> str:
    return f"{topic} v{score + 1}"


article = Graph("article", Article, result="draft")
article.add_node("write", write, writes="draft")
article.add_node("rate", lambda score: score + 1, writes="score")
article.add_path(START, "write", "rate")
article.add_edge("rate", END, when=value("score") >= 2, label="approved")
article.add_edge("rate", "write")


def around(inner, writes="text"):
    return alone(State, inner, writes, inputs={"topic": "task"}, name="outer", node="article")


once = alone(Article, write, "draft", name="article", result="draft")


def given(node):
    return alone(State, node, "text", name="given")


def chosen(node):
    return given(choose("task", {"ants": node}))


def uses(db: str) -> str:
    return db


of_db = alone(Article, uses, "draft", name="inner", result="draft")


def with_db(name):
    return alone(Article, of_db, "draft", name=name, result="draft", resources={"db": lambda: name})


growing = Graph("inner", Article, result="notes")
growing.add_node("one", lambda: "one", writes="notes")
growing.add_edge(START, "one")
growing.add_edge("one", END, when=value("notes").length() >= 9)
growing.add_edge("one", FAIL)


def grow():
    del growing.edges[1:]
    growing.add_node("two", lambda: "two", writes="notes")
    growing.add_path("one", "two", END)
