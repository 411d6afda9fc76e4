from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel

from graphengine import END, START, Graph, Node, Replace, value
from graphengine.reducers import append


class Review(BaseModel):
    score: int
    issues: list[str] = []


class Trail(BaseModel):
    trail: Annotated[list[str], append] = []
    latest: Annotated[list[str], append, AfterValidator(lambda items: items[-3:])] = []
    plain: list[str] = []
    score: int = 0


def noop() -> dict[str, str]:
    return {}


def word() -> str:
    return "x"


def shout(name: str) -> str:
    return name.upper()


def word_or_nothing() -> str | Replace[list[str]]:
    return Replace([])


def anything() -> Any:
    return Replace([])


def mapping() -> dict[str, Any]:
    return {"trail": Replace([])}


def scored() -> Review:
    return Review(score=3)


ADDS = Node(word, writes="trail")

LONG = value("trail").length() >= 5


def loop(condition, *nodes, otherwise=""):
    graph = Graph("g", Trail)
    names = [f"n{number}" for number in range(len(nodes))]
    for name, node in zip(names, nodes, strict=True):
        graph.add_node(name, node)
    graph.add_edge(START, names[0])
    graph.add_edge(names[0], END, when=condition)
    if otherwise:
        graph.add_edge(names[0], otherwise, when=value("score") > 3)
    graph.add_path(*names, names[0])
    return graph
