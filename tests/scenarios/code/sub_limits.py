from typing import Annotated, Any

from pydantic import BaseModel

from graphengine import END, START, Graph, Limits
from graphengine.reducers import append
from tests.kit.scenario import work


class Inner(BaseModel):
    log: Annotated[list[str], append] = []


def build(steps: int) -> Graph[Any]:
    inner = Graph("inner", Inner, result="log", limits=Limits(visits=steps))
    for name in ("a", "b", "c"):
        inner.add_node(name, work, writes="log")
    inner.add_fork(START, ["a", "b"], join="c")
    inner.add_edge("a", "c")
    inner.add_edge("b", "c")
    inner.add_edge("c", END)
    made = Graph("limits", State)
    made.add_node("inner", inner, writes="all")
    made.add_path(START, "inner", END)
    return made


class State(BaseModel):
    all: list[str] = []


graph = build(1)
fixed = build(3)
