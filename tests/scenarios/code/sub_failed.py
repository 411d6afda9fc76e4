from typing import Annotated

from pydantic import BaseModel

from graphengine import END, FAIL, START, Failure, Graph, failed, value
from graphengine.reducers import append, extend
from tests.kit.scenario import work


class Inner(BaseModel):
    n: int = 0
    log: Annotated[list[str], append] = []


inner = Graph("inner", Inner, result="log")
for name in ("a", "b", "c"):
    inner.add_node(name, work, writes="log")
inner.add_fork("a", ["b", "c"], join=END)
inner.add_edge(START, "a")
inner.add_edge("b", END)
inner.add_edge("c", END)


class Strict(BaseModel):
    n: int = 0


strict = Graph("strict", Strict)
strict.add_node("look", work, writes="n")
strict.add_edge(START, "look")
strict.add_edge("look", FAIL, when=value("n") > 3, label="too many")
strict.add_edge("look", END)


class State(BaseModel):
    log: Annotated[list[str], extend] = []
    n: int = 0
    note: str = ""


def note(error: Failure) -> str:
    return f"{error.kind} in {error.path}: {error.message}"


graph = Graph("failed", State)
graph.add_node("inner", inner, inputs={"n": "n"}, writes="log")
graph.add_node("strict", strict, writes={"n": "n"})
graph.add_node("note", note, writes="note")
graph.add_path(START, "inner", "strict")
graph.add_edge("strict", "note", when=failed(Exception))
graph.add_edge("strict", END)
graph.add_edge("note", END)
