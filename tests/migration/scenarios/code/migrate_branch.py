from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, Migration, iterations
from graphengine.reducers import append
from tests.kit.scenario import work


class First(BaseModel):
    name: str = "ants"
    log: Annotated[list[str], append] = []


class Second(BaseModel):
    title: str
    log: Annotated[list[str], append] = []


def made(state, node, **versions):
    graph = Graph("desk", state, **versions)
    graph.add_node(node, work, writes="log")
    graph.add_edge(START, node)
    graph.add_edge(node, END, when=iterations(node) >= 3)
    graph.add_edge(node, node)
    return graph


def to_second(values):
    return {"title": values["name"].upper(), "log": values["log"]}


graph = made(First, "note")
newer = made(Second, "write", version=2, migrate={1: Migration(to_second, renamed={"note": "write"})})
