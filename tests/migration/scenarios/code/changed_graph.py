from pydantic import BaseModel

from graphengine import END, START, Graph, iterations, value
from tests.kit.scenario import Number, work


class Grown(BaseModel):
    n: int = 0
    pages: int = 4


def made(state, target):
    graph = Graph("grown", state)
    graph.add_node("more", work, writes="n")
    graph.add_node("note", work, writes="n")
    graph.add_path(START, "more", "note")
    graph.add_edge("note", END, when=value("n") >= target)
    if state is Grown:
        graph.add_edge("note", END, when=iterations("note", since="more") >= 2)
    graph.add_edge("note", "more")
    return graph


graph = made(Number, 3)
grown = made(Grown, 9)
