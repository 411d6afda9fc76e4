import datetime as dt
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_serializer, field_validator, model_validator

from graphengine import END, START, Graph
from graphengine.reducers import add, append
from graphengine.state.encoded import opened
from tests.kit.facts import said
from tests.kit.scenario import work
from tests.kit.session import Session


def played(state, given, *updates):
    """Return how each update of one node ended, the record of the state, and what is read from it."""
    graph = Graph("rules", state)
    graph.add_node("a", work)
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=lambda: False)
    graph.add_edge("a", "a")
    session = Session(graph, mirror=True)
    session.start(given)
    lines = [said(session.finish(update)).get("error", {}).get("kind", "written") for update in updates]
    record = opened(session.snapshot.root.values)
    session.crash()
    return "\n".join([*lines, f"recorded: {record}", f"read: { {name: session.view().get(name) for name in record} }"])


def looped(state, writes, condition, given, *updates):
    """Return the status of a run that a condition ends."""
    graph = Graph("loop", state)
    graph.add_node("a", work, writes=writes)
    graph.add_edge(START, "a")
    graph.add_edge("a", "a", when=lambda n: n == 0)
    graph.add_edge("a", END, when=condition)
    graph.add_edge("a", "a")
    session = Session(graph)
    session.start(given)
    for update in updates:
        session.finish(update)
    return session.snapshot.status


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    n: int = 0

    @field_validator("n")
    @classmethod
    def doubled(cls, value: int) -> int:
        return value


class Timed(BaseModel):
    span: dt.timedelta = dt.timedelta(0)

    @field_serializer("span")
    def seconds(self, value: dt.timedelta) -> str:
        return f"{value.total_seconds()} s"

    @field_validator("span", mode="before")
    @classmethod
    def parsed(cls, value: object) -> object:
        return dt.timedelta(seconds=float(value[:-2])) if isinstance(value, str) else value


class Aliased(BaseModel):
    x: int = Field(1, alias="ex")


class Whole(BaseModel):
    part: Aliased = Aliased(ex=1)

    @field_validator("part")
    @classmethod
    def same(cls, value: Aliased) -> Aliased:
        return value


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: dt.date = dt.date(2026, 1, 1)

    @field_validator("day")
    @classmethod
    def same(cls, value: dt.date) -> dt.date:
        return value


class Below(BaseModel):
    high: int = 10
    n: int = 1

    @field_validator("n")
    @classmethod
    def below(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data["high"]:
            raise ValueError("too high")
        return value


class Ordered(BaseModel):
    low: int = 1
    high: int = 2

    @field_validator("low")
    @classmethod
    def same(cls, value: int) -> int:
        return value

    @model_validator(mode="after")
    def ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Sums(BaseModel):
    whole: Annotated[int, add] = 0
    part: Annotated[float, add] = 0
    maybe: Annotated[float | None, add] = None


class Either(BaseModel):
    log: Annotated[list[int] | list[str], append] = []


class Ahead(BaseModel):
    a: int = 1
    b: int = Field(default_factory=lambda data: data["a"] + 1)


class Count(BaseModel):
    n: int | None = 1


def score(n: int | None) -> int | None:
    return None if n is None else 6 // n


class Loss(BaseModel):
    n: int = 1
    loss: float = Field(9.0, alias="Loss")
