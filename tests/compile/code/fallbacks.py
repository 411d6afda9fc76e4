from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator

from graphengine import END, START, Graph
from graphengine.reducers import add, append, extend, maximum, merge


class Review(BaseModel):
    score: int
    issues: list[str] = []


class State(BaseModel):
    task: str = "t"
    n: int = 0
    review: Review | None = None
    history: Annotated[list[Review], append] = []
    names: Annotated[list[str], extend] = []
    views: Annotated[dict[str, str], merge] = {}
    plain: dict[str, int] = {}
    total: Annotated[int, add] = 0
    best: Annotated[float, maximum] = 0.0


class Fields(State):
    color: Literal["red", "blue"] = "red"
    size: Annotated[int, Field(ge=0)] = 0
    upper: str = ""

    @field_validator("upper", mode="before")
    def upper_case(cls, given: object) -> str:
        """Take anything."""
        return str(given).upper()


def node(writes, fallback):
    graph = Graph("fallbacks", Fields)
    graph.add_node("a", lambda: None, writes=writes, fallback=fallback)
    graph.add_path(START, "a", END)
    return graph
