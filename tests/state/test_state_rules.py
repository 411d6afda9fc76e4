"""Fields with their own validators, serialisers and constraints: each rule on a small run."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_serializer, field_validator, model_validator

from graphengine import END, START, Graph, plateau
from graphengine.reducers import add, append
from graphengine.state.encoded import opened
from tests.kit.facts import said
from tests.kit.session import Session
from tests.kit.spec import work


def begin(state: type[BaseModel], given: dict[str, Any] | None = None) -> Session:
    """Start a run of one node that can write any field repeatedly."""
    graph: Graph[Any] = Graph("rules", state)
    graph.add_node("a", work)
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=lambda: False)
    graph.add_edge("a", "a")
    session = Session(graph, mirror=True)
    session.start(given)
    return session


class Aliased(BaseModel):
    """A nested model with an alias."""

    x: int = Field(1, alias="ex")


def test_a_frozen_state_can_be_updated() -> None:
    """Frozen means that nodes change nothing in place, not that updates are refused."""

    class State(BaseModel):
        model_config = ConfigDict(frozen=True)
        n: int = 0

        @field_validator("n")
        @classmethod
        def doubled(cls, value: int) -> int:
            return value

    session = begin(State)
    session.finish({"n": 4})
    assert opened(session.snapshot.root.values) == {"n": 4}


def test_a_record_of_a_serialiser_of_its_own_is_read_back() -> None:
    """A field's own serialiser and validator write its record and read it, live and after a crash."""

    class State(BaseModel):
        span: dt.timedelta = dt.timedelta(0)

        @field_serializer("span")
        def seconds(self, value: dt.timedelta) -> str:
            return f"{value.total_seconds()} s"

        @field_validator("span", mode="before")
        @classmethod
        def parsed(cls, value: object) -> object:
            return dt.timedelta(seconds=float(value[:-2])) if isinstance(value, str) else value

    session = begin(State, {"span": dt.timedelta(seconds=3)})
    session.finish({"span": dt.timedelta(seconds=4)})
    assert opened(session.snapshot.root.values) == {"span": "4.0 s"}
    session.crash()
    assert session.view().get("span") == dt.timedelta(seconds=4)


def test_a_nested_alias_under_a_validator_is_read_back() -> None:
    """A field with its own validator keeps everything of a nested model with aliases."""

    class State(BaseModel):
        part: Aliased = Aliased(ex=1)

        @field_validator("part")
        @classmethod
        def same(cls, value: Aliased) -> Aliased:
            return value

    session = begin(State, {"part": Aliased(ex=2)})
    session.crash()
    assert session.view().get("part") == Aliased(ex=2)


def test_a_strict_state_reads_its_own_records() -> None:
    """Strict applies to values of users and nodes, not to the JSON that the engine wrote."""

    class State(BaseModel):
        model_config = ConfigDict(strict=True)
        day: dt.date = dt.date(2026, 1, 1)

        @field_validator("day")
        @classmethod
        def same(cls, value: dt.date) -> dt.date:
            return value

    session = begin(State)
    session.finish({"day": dt.date(2026, 2, 2)})
    session.crash()
    assert session.view().get("day") == dt.date(2026, 2, 2)


def test_reading_never_fails_because_of_a_later_value() -> None:
    """A value that was valid when written can be read, whatever the values of the other fields are now."""

    class State(BaseModel):
        high: int = 10
        n: int = 1

        @field_validator("n")
        @classmethod
        def below(cls, value: int, info: ValidationInfo) -> int:
            if value > info.data["high"]:
                message = "too high"
                raise ValueError(message)
            return value

    session = begin(State)
    session.finish({"n": 9})
    session.finish({"high": 5})
    session.crash()
    assert session.view().get("n") == 9


class Ordered(BaseModel):
    """Two fields that a model validator compares, one of them with its own validator."""

    low: int = 1
    high: int = 2

    @field_validator("low")
    @classmethod
    def same(cls, value: int) -> int:
        """Change nothing."""
        return value

    @model_validator(mode="after")
    def ordered(self) -> Self:
        """Require that low is below high."""
        if self.low > self.high:
            message = "low is above high"
            raise ValueError(message)
        return self


def test_a_validator_of_the_whole_sees_an_update_as_a_whole() -> None:
    """Fields that are changed together are validated together."""
    session = begin(Ordered)
    session.finish({"low": 5, "high": 6})
    assert opened(session.snapshot.root.values) == {"low": 5, "high": 6}


def test_a_validator_of_the_whole_refuses_an_update() -> None:
    """If a validator of the whole state refuses an update, nothing of it is written."""
    session = begin(Ordered)
    step = session.finish({"low": 5})
    assert said(step)["error"]["kind"] == "invalid_update"
    assert opened(session.snapshot.root.values) == {"low": 1, "high": 2}


class Review(BaseModel):
    """A model that a validator changes in place."""

    score: int = 8


def test_sums_keep_the_type_of_their_field() -> None:
    """An int added to a float is recorded as a float; a float added to an int is refused or recorded as an int."""

    class State(BaseModel):
        whole: Annotated[int, add] = 0
        part: Annotated[float, add] = 0
        maybe: Annotated[float | None, add] = None

    session = begin(State)
    session.finish({"whole": True, "part": 1, "maybe": 2})
    session.finish({"whole": 2.0, "part": 0.5, "maybe": 0.5})
    values = session.snapshot.root.values
    assert values == {"whole": 3, "part": 1.5, "maybe": 2.5}
    assert type(values["whole"]) is int
    assert type(values["part"]) is float


def test_items_of_a_choice_of_lists_stay_readable() -> None:
    """An item that would make a list of an undeclared type is refused."""

    class State(BaseModel):
        log: Annotated[list[int] | list[str], append] = []

    session = begin(State)
    session.finish({"log": 1})
    step = session.finish({"log": "x"})
    assert said(step)["error"]["kind"] == "invalid_update"
    session.crash()
    assert session.view().get("log") == [1]


def test_fields_that_look_ahead_keep_their_defaults() -> None:
    """A default derived from other fields is computed once, when the run begins."""

    class State(BaseModel):
        a: int = 1
        b: int = Field(default_factory=lambda data: data["a"] + 1)

    session = begin(State, {"a": 5})
    session.finish({"a": 7})
    assert opened(session.snapshot.root.values) == {"a": 7, "b": 6}


def test_a_plateau_forgets_that_its_function_raised() -> None:
    """When its function works again so does a plateau, even without a sample."""

    class State(BaseModel):
        n: int | None = 1

    def score(n: int | None) -> int | None:
        return None if n is None else 6 // n

    graph = Graph("plateau", State)
    graph.add_node("a", work, writes="n")
    graph.add_edge(START, "a")
    graph.add_edge("a", "a", when=lambda n: n == 0)
    graph.add_edge("a", END, when=plateau(score))
    graph.add_edge("a", "a")
    session = Session(graph)
    session.start()
    session.finish(0)
    session.finish(None)
    assert session.snapshot.status == "running"


def test_a_value_given_by_its_alias_is_a_sample() -> None:
    """A value from the caller is a sample under either name of its field; a default is not."""

    class State(BaseModel):
        loss: float = Field(9.0, alias="Loss")

    for given, stops in (({"Loss": 3.0}, True), ({"loss": 3.0}, True), ({}, False)):
        graph = Graph("alias", State)
        graph.add_node("a", work, writes="loss")
        graph.add_edge(START, "a")
        graph.add_edge("a", END, when=plateau("loss", mode="min"))
        graph.add_edge("a", "a")
        session = Session(graph)
        session.start(given)
        session.finish(4.0)
        assert (session.snapshot.status == "finished") is stops
