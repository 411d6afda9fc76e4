from typing import Annotated

from pydantic import BaseModel, Field, field_validator

from graphengine import END, START, Agent, Graph, Message
from graphengine.reducers import extend


class State(BaseModel):
    words: list[str] = []
    a: str = ""
    b: str = ""
    lines: list[str] = []
    said: list[Message] = []
    messages: Annotated[list[Message], extend] = []
    memories: dict[str, list[Message]] = {}
    short: dict[str, Annotated[list[Message], Field(max_length=9)]] = {}
    few: Annotated[dict[str, list[Message]], Field(max_length=9)] = {}
    checked: dict[str, list[Message]] = {}

    @field_validator("checked")
    @classmethod
    def same(cls, value: dict[str, list[Message]]) -> dict[str, list[Message]]:
        """Validate nothing."""
        return value


def remembering(memory):
    return Agent("agent", prompt="go", messages=memory)


def arms(a, b, writes="b"):
    graph = Graph("forked", State)
    graph.add_node("a", remembering(a), writes="a")
    graph.add_node("b", remembering(b) if b is not None else lambda: None, writes=writes)
    graph.add_node("join")
    graph.add_fork(START, ["a", "b"], join="join")
    graph.add_edge("a", "join")
    graph.add_path("b", "join", END)
    return graph


def node(runnable, **options):
    graph = Graph("g", State)
    graph.add_node("a", runnable, **options)
    graph.add_path(START, "a", END)
    return graph
