from typing import Annotated, Any

from pydantic import BaseModel

from graphengine import END, START, Graph, Limits
from graphengine.reducers import append
from tests.kit.scenario import work


class Inner(BaseModel):
    log: Annotated[list[str], append] = []


class State(BaseModel):
    log: list[str] = []


def build(steps: int) -> Graph[Any]:
    inner = Graph("inner", Inner, result="log", limits=Limits(visits=1))
    inner.add_node("a", work, writes="log")
    inner.add_node("b", work, writes="log")
    inner.add_path(START, "a", "b", END)
    outer = Graph("outer", State, result="log", limits=Limits(visits=steps))
    outer.add_node("inner", inner, writes="log")
    outer.add_path(START, "inner", END)
    made = Graph("two_limits", State)
    made.add_node("outer", outer, writes="log")
    made.add_path(START, "outer", END)
    return made


graph = build(1)
fixed = build(2)
