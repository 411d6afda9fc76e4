"""Code in a state's model: validators run with each update, hooks of building a model are refused."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict, override

from graphengine import END, START, Graph, Replace, RunFailed, Runner, value
from graphengine.reducers import append, extend

MADE: list[str] = []


class Price(BaseModel):
    """A total that is computed from the price."""

    price: int = 1
    total: int = 0

    @model_validator(mode="after")
    def summed(self) -> Self:
        """Twice the price."""
        self.total = self.price * 2
        return self


class Assigned(Price):
    """A price validated with each assignment, so that the validator compares before it assigns."""

    model_config = ConfigDict(validate_assignment=True)

    @model_validator(mode="after")
    @override
    def summed(self) -> Self:
        """Twice the price."""
        if self.total != self.price * 2:
            self.total = self.price * 2
        return self


def graph_of(
    state: type[BaseModel], given: Any = 5, writes: str = "price", seen: list[Any] | None = None
) -> Graph[Any]:
    """Return a graph of a node that writes a value, and one that stores the state it sees."""
    graph = Graph("g", state)
    graph.add_node("write", lambda: given, writes=writes)

    def look(state: Any) -> dict[str, Any]:
        if seen is not None:
            seen.append(state)
        return {}

    graph.add_node("look", look)
    graph.add_path(START, "write", "look", END)
    return graph


@pytest.mark.parametrize("state", [Price, Assigned])
async def test_a_validator_that_changes_fields_gives_one_truth(tmp_path: Path, state: type[BaseModel]) -> None:
    """The next node, the result, the record and the run read from the file have the validator's value."""
    seen: list[Any] = []
    graph = graph_of(state, seen=seen)
    async with Runner(tmp_path / "runs.db") as runner:
        result = await runner.start(graph, run_id="r").result()
        recorded = await runner.state_at("r")
    async with Runner(tmp_path / "runs.db") as runner:
        again = await runner.resume("r", graph).result()
    wanted = state(price=5)
    assert (seen, result.state, recorded, again.state) == ([wanted], wanted, wanted.model_dump(), wanted)


class Line(BaseModel):
    """A value with a hook and a cached property."""

    amount: int = 1
    total: int = 0
    _seen: int = PrivateAttr(0)

    @override
    def model_post_init(self, context: object, /) -> None:
        self.total = self.amount * 2

    @cached_property
    def half(self) -> float:
        """A cached property."""
        return self.amount / 2

    @computed_field  # type: ignore[prop-decorator]
    @property
    def triple(self) -> int:
        """Never recorded, computed when it is read."""
        return self.amount * 3


@dataclass
class Item:
    """A dataclass with a hook."""

    amount: int = 1
    total: int = 0

    def __post_init__(self) -> None:
        self.total = self.amount * 2


class Order(BaseModel):
    """Values with hooks."""

    line: Line = Line()
    item: Item = Field(default_factory=Item)


def used() -> Line:
    """Return a line whose cached property was read."""
    line = Line(amount=5)
    assert line.half == 2.5
    return line


@pytest.mark.parametrize(("writes", "given"), [("line", used()), ("line", {"amount": 5}), ("item", Item(5))])
async def test_hooks_of_values_in_a_field_are_honoured(writes: str, given: Any) -> None:
    """A value is created when it is written and when its record is read, with equal results."""
    seen: list[Any] = []
    graph = graph_of(Order, given, writes, seen)
    async with Runner() as runner:
        result = await runner.start(graph, run_id="r").result()
        recorded = await runner.state_at("r")
    value = getattr(result.state, writes)
    assert (value.amount, value.total, getattr(seen[0], writes)) == (5, 10, value)
    assert recorded[writes] == {"amount": 5, "total": 10}
    assert result.state.line.triple == result.state.line.amount * 3


def changed() -> Line:
    """Return a line that its hook would change."""
    line = Line(amount=5)
    line.total = 7
    return line


def remembering() -> Line:
    """Return a line with an attribute that the record cannot store."""
    line = Line(amount=5)
    line._seen = 3  # noqa: SLF001 - as code of the model would
    return line


@pytest.mark.parametrize(("make", "says"), [(changed, "total=10"), (remembering, "private attribute '_seen'")])
def test_values_that_their_hooks_would_change_are_refused(make: Callable[[], Line], says: str) -> None:
    """A value that would differ when its record is read fails its node, with the cause."""
    with pytest.raises(RunFailed, match=says) as caught:
        graph_of(Order, make(), "line").run_sync()
    assert "not_recordable" in str(caught.value)


def counted() -> list[str]:
    """Return a default, and count how often it is created."""
    MADE.append("made")
    return []


class Made(BaseModel):
    """A field with a default factory, next to a field with a validator."""

    price: int = 1
    notes: list[str] = Field(default_factory=counted)

    @field_validator("price", "notes")
    @classmethod
    def same(cls, given: Any) -> Any:
        """Nothing."""
        return given

    @field_serializer("price")
    def plain(self, given: int) -> int:
        """Nothing."""
        return given


def test_defaults_are_made_once_a_run() -> None:
    """Updates and records of one field do not create its default again, nor that of another."""
    MADE.clear()
    graph_of(Made).run_sync()
    assert MADE == ["made"]


class Hidden(BaseModel):
    """A secret."""

    token: SecretStr = SecretStr("")


def test_a_class_is_split_into_its_fields_once() -> None:
    """A second graph over it compiles in a fraction of the time: both have the same fields."""
    first, second = (graph_of(Price).compile().state for _ in range(2))
    assert first is second


def test_graphs_over_one_class_with_a_secret_have_their_own_ciphers() -> None:
    """The key of the second graph does not encrypt for the first."""
    plans = []
    for key in ("0123456789abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba9876543210"):
        graph: Graph[Any] = Graph("g", Hidden, secret_key=key)
        graph.add_node("work", lambda: None, thread=False)
        graph.add_path(START, "work", END)
        plans.append(graph.compile())
    ciphers = [plan.state.fields["token"].cipher for plan in plans]
    assert ciphers[0] is not None
    assert ciphers[0] is not ciphers[1]


class Lines(BaseModel):
    lines: Annotated[list[str], append] = ["old"]
    words: Annotated[list[str], extend] = ["old"]


def clears() -> Replace[list[str]]:
    """Set the whole field."""
    return Replace([])


def may_clear() -> Replace[list[str]] | str:
    """Set the whole field, or add an item."""
    return Replace([])


def clears_somehow() -> "Replace[Any] | None":
    """Set the whole field to something."""
    return Replace([])


def test_a_function_may_be_declared_to_return_a_replacement() -> None:
    """Its value is compared with the field, not with what the reducer adds."""
    graph = Graph("lines", Lines)
    graph.add_node("one", clears, writes="lines")
    graph.add_node("two", clears, writes="words")
    graph.add_node("three", may_clear, writes="lines")
    graph.add_node("four", clears_somehow, writes="words")
    graph.add_path(START, "one", "two", "three", "four", END)
    assert graph.run_sync().state == Lines(lines=[], words=[])


def test_a_graph_is_the_same_in_each_process() -> None:
    """What is recorded of a type with a validator has no address: another process would find a changed graph."""

    class Checked(BaseModel):
        """A state with validators inside its types."""

        text: Annotated[str, AfterValidator(str.strip)] | None = None
        texts: list[Annotated[str, AfterValidator(lambda text: text)]] = []

    graph = Graph("checked", Checked)
    graph.add_node("strip", lambda text: text, writes="text")
    graph.add_path(START, "strip", END)
    assert " at 0x" not in str(graph.compile().graph_spec)


def test_a_switch_with_both_cases_of_a_bool_needs_no_otherwise() -> None:
    """A case that is missing is named, of a field as of a function that says what it returns."""

    class Judged(BaseModel):
        """A state with a field of two values."""

        is_good: bool = False

    def opinion(state: Judged) -> Literal["good", "bad"] | None:
        return "good" if state.is_good else "bad"

    def problems(on: str | Callable[..., object], cases: list[object]) -> list[str]:
        graph = Graph("judged", Judged)
        graph.add_node("judge", lambda: True, writes="is_good")
        graph.add_edge(START, "judge")
        graph.add_switch("judge", on, dict.fromkeys(cases, END))
        return [f"{problem.code}: {problem.message}" for problem in graph.check()]

    assert not problems("is_good", [True, False])
    assert problems("is_good", [True]) == ["missing_case: the switch on 'is_good' has no case for False"]
    assert not problems(opinion, ["good", "bad", None])
    assert problems(opinion, ["good", None]) == ["missing_case: the switch on 'opinion' has no case for 'bad'"]


class Shade(Enum):
    DARK = 1


class Point(TypedDict):
    x: int


class Even(BaseModel):
    n: int = 0

    @override
    def __eq__(self, other: object) -> bool:
        return other == self.n

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        (Shade | str, [1]),
        (Point | None, [{"x": 1}]),
        (Point | str, ["p"]),
        (Even, [2]),
        (int, [Decimal(1)]),
        (float, [1]),
        (Hashable, [1, "a"]),
    ],
)
def test_what_a_value_of_the_type_can_equal_is_no_mistake(kind: Any, allowed: list[object]) -> None:
    """An enum has its value, a class can have an equality of its own, and what cannot be checked is not refused."""
    state = TypedDict("state", {"x": Any})  # noqa: UP013 - the type is a parameter

    def read(x: Any) -> Any:
        return x

    read.__annotations__["return"] = kind
    graph = Graph("equal", state)
    graph.add_node("a", lambda: None)
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=value(read).is_in(allowed))
    graph.add_edge("a", END)
    assert not [problem for problem in graph.check() if problem.code == "wrong_comparison"]
