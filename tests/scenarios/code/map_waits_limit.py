from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, ask
from tests.kit.scenario import work


def inner(visits: int) -> Graph:
    class Inner(BaseModel):
        letter: str = ""
        left: str = ""
        right: str = ""

    inner = Graph("inner", Inner, result="left", limits=Limits(visits=visits))
    inner.add_node("left", work, writes="left")
    inner.add_node("right", ask("Right of {letter}?", str), writes="right")
    inner.add_node("both")
    inner.add_fork(START, ["left", "right"], join="both")
    inner.add_edge("left", "both")
    inner.add_edge("right", "both")
    inner.add_edge("both", END)
    return inner


class State(BaseModel):
    letters: list[str] = ["a", "b"]
    words: list[str] = []


def outer(visits: int) -> Graph:
    graph = Graph("map_waits_limit", State)
    graph.add_node("look", inner(visits), each={"letter": "letters"}, concurrency=1, writes="words")
    graph.add_path(START, "look", END)
    return graph


graph, fixed = outer(1), outer(9)
