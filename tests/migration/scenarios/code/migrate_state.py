from pydantic import BaseModel

from graphengine import END, START, Graph, iterations
from tests.kit.scenario import work


class First(BaseModel):
    name: str = "ants"
    score: int = 0


class Third(BaseModel):
    title: str
    score: float = 0.0
    pages: int = 4


def made(state, version, migrate):
    graph = Graph("versions", state, version=version, migrate=migrate)
    graph.add_node("rate", work, writes="score")
    graph.add_edge(START, "rate")
    graph.add_edge("rate", END, when=iterations("rate") >= 2)
    graph.add_edge("rate", "rate")
    return graph


def to_second(values):
    return {"title": values["name"].title(), "score": values["score"]}


def to_third(values):
    return {**values, "score": values["score"] / 10}


def breaks(values):
    return values["headline"]


graph = made(First, 1, None)
broken = made(Third, 3, {1: breaks, 2: to_third})
newer = made(Third, 3, {1: to_second, 2: to_third})
