from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel

from graphengine import END, START, Ending, Graph, value
from graphengine.reducers import append, merge


class Source(BaseModel):
    id: str = ""
    size: int = 0


class State(BaseModel):
    task: str = ""
    n: int = 0
    ok: bool = False
    sources: list[Source] = []
    names: list[str] = []
    maybe: list[str] | None = None
    either: list[int] | str = ""
    findings: list[str] = []
    table: dict[str, str] = {}
    history: Annotated[list[str], append] = []
    found: Annotated[dict[str, str], merge] = {}
    kind: Literal["a", "b"] = "a"


class Inner(BaseModel):
    task: str = ""
    draft: str = ""
    need: int = 0


class Needy(BaseModel):
    topic: str
    draft: str = ""


def words() -> str:
    return ""


def item(x: Any) -> str:
    return ""


def of_source(x: Source) -> str:
    return ""


def many(x: Any) -> list[str]:
    return []


def one_text(task: str) -> str:
    return task


def upper(names: list[str]) -> list[str]:
    return names


def mapping(x: Any) -> dict[str, str]:
    return {}


def when_stopped(ending: Ending) -> str:
    return ending.label


def of_dict(state: dict[str, Any]) -> str:
    return str(state["task"])


def of_any(state: object) -> str:
    return str(state)


def of_either(state: State | Mapping[str, Any] | None) -> str:
    return str(state)


async def async_choice(task: str) -> str:
    return task


def inner(**options):
    graph = Graph("inner", Inner, **{"result": "draft", **options})
    graph.add_node("write", words, writes="draft")
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=value("need") > 1, label="approved")
    graph.add_edge("write", END, label="given up")
    return graph


def needy():
    graph = Graph("needy", Needy, result="draft")
    graph.add_node("write", words, writes="draft")
    graph.add_path(START, "write", END)
    return graph


def broken():
    graph = Graph("broken", Inner, result="drft")
    graph.add_node("write", lambda tsk: "", writes="draft")
    graph.add_node("lost", words, writes="task")
    graph.add_path(START, "write", END)
    graph.add_edge("lost", END)
    return graph


def node(runnable=words, *conditions, **options):
    graph = Graph("g", State, resources={"db": dict})
    graph.add_node("b", runnable, **options)
    graph.add_edge(START, "b")
    for condition in conditions:
        graph.add_edge("b", END, when=condition)
    graph.add_edge("b", END)
    return graph


def nested(levels, inner=None):
    graph = inner or (lambda n: n + 1)
    for level in range(levels):
        outer = Graph(f"g{level}", State, result="n")
        outer.add_node("a", graph, writes="n")
        outer.add_path(START, "a", END)
        graph = outer
    return graph


def named(name):
    graph = Graph("g", State)
    graph.add_node(name, words, writes="task")
    graph.add_path(START, name, END)
    return graph


def arms(left, right):
    graph = Graph("g", State)
    graph.add_node("left", left)
    graph.add_node("right", right)
    graph.add_fork(START, ["left", "right"], join=END)
    graph.add_edge("left", END)
    graph.add_edge("right", END)
    return graph
