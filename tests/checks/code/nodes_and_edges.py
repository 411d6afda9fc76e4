from collections.abc import Iterator
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel

from graphengine import END, START, Failure, Graph, Replace, value
from graphengine.reducers import append


class Review(BaseModel):
    score: int
    issues: list[str] = []


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class State(BaseModel):
    task: str = ""
    score: float = 0.0
    review: Review | None = None
    history: Annotated[list[Review], append] = []
    views: dict[str, str] = {}
    next_agent: Literal["writer", "done"] = "done"
    colour: Colour = Colour.RED
    kind: Literal["long", "short"] | None = None
    when: date = date(2026, 1, 1)
    errors: Annotated[list[Failure], append] = []
    anything: Any = None


def noop() -> dict[str, str]:
    return {}


def changed(change, *, end=True):
    graph = Graph("g", State)
    graph.add_node("a", noop)
    graph.add_edge(START, "a")
    change(graph)
    if end:
        graph.add_edge("a", END)
    return graph


def when(condition):
    return changed(lambda graph: graph.add_edge("a", END, when=condition))


def node(name, runnable=noop, **options):
    def add(graph):
        graph.add_node(name, runnable, **options)
        graph.add_edge("a", name, when=value("task") == "x")
        graph.add_edge(name, END)

    return changed(add)


def wrong_type(task: int) -> str:
    return str(task)


def nearly(tsk: str = "") -> str:
    return tsk


def many(*args: str) -> None:
    del args


def words() -> str:
    return ""


def yields() -> Iterator[str]:
    yield ""


def replaced() -> Replace[str]:
    return Replace("")


def reviews() -> list[Review]:
    return []


def whole(state: State) -> State:
    return state


def switched(function, returns, **options):
    """Return a graph that switches on what its node has just written."""
    function.__annotations__ = {"return": returns}
    graph = Graph("g", State)
    graph.add_node("a", function, writes="kind", **options)
    graph.add_edge(START, "a")
    graph.add_switch("a", "kind", {"long": END, "short": END})
    return graph
