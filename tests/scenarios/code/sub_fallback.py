from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Failure, Graph
from graphengine.reducers import append
from tests.kit.scenario import work


class Inner(BaseModel):
    n: int = 0
    text: str = ""


inner = Graph("inner", Inner, result="text")
inner.add_node("a", work, writes="text", fallback="stand-in")
inner.add_node("b", work, writes="text")
inner.add_path(START, "a", "b", END)


def instead(n: int, error: Failure) -> str:
    return f"{n}: {error.path} {error.message}"


class State(BaseModel):
    n: int = 4
    one: str = ""
    two: str = ""
    errors: Annotated[list[Failure], append] = []


graph = Graph("fallback", State, collect_errors="errors")
graph.add_node("one", inner, writes="one", fallback="none")
graph.add_node("two", inner, writes="two", fallback=instead)
graph.add_path(START, "one", "two", END)
