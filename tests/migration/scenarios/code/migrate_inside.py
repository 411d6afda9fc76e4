from pydantic import BaseModel

from graphengine import END, START, Graph, Migration, iterations
from tests.kit.scenario import Number, work


class Newer(BaseModel):
    score: int = 0


def made(article, rate, state=Number, version=1, inner=None, outer=None):
    field = "n" if state is Number else "score"
    below = Graph("below", state, result=field, version=version, migrate=inner)
    below.add_node(rate, work, writes=field)
    below.add_edge(START, rate)
    below.add_edge(rate, END, when=iterations(rate) >= 3)
    below.add_edge(rate, rate)
    graph = Graph("names", Number, version=version, migrate=outer)
    graph.add_node(article, below, inputs={field: "n"}, writes="n")
    graph.add_node("merge")
    graph.add_fork(START, [article, "merge"], join="merge")
    graph.add_path(article, "merge", END)
    return graph


def to_second(values):
    return {"score": values["n"] * 10}


graph = made("article", "rate")
newer = made(
    "piece",
    "judge",
    Newer,
    2,
    {1: Migration(to_second, renamed={"rate": "judge"})},
    {1: Migration(renamed={"article": "piece"})},
)
