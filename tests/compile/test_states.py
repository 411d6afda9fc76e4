"""What code of a state's model means: validators run with each update, hooks of building a model are refused."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from typing_extensions import override

from graphengine import END, START, Graph, RunFailed, Runner

MADE: list[str] = []


class Price(BaseModel):
    """A total that follows the price."""

    price: int = 1
    total: int = 0

    @model_validator(mode="after")
    def summed(self) -> Self:
        """Twice the price."""
        self.total = self.price * 2
        return self


class Assigned(Price):
    """The same, validated with each assignment, so that the validator compares before it assigns."""

    model_config = ConfigDict(validate_assignment=True)

    @model_validator(mode="after")
    @override
    def summed(self) -> Self:
        """Twice the price."""
        if self.total != self.price * 2:
            self.total = self.price * 2
        return self


class BuiltPrice(BaseModel):
    """The total is made when the model is built."""

    price: int = 1
    total: int = 0

    @override
    def model_post_init(self, context: object, /) -> None:
        self.total = self.price * 2


class Inherited(BuiltPrice):
    """The hook is that of a base."""

    note: str = ""


class Kept(BaseModel):
    """Something that is no field."""

    price: int = 1
    _seen: int = PrivateAttr(0)


class Both(BuiltPrice):
    """Both, and a serialiser of the whole: three mistakes."""

    _seen: int = PrivateAttr(0)

    @model_serializer
    def told(self) -> dict[str, int]:
        """Hide the fields."""
        return {}


def graph_of(
    state: type[BaseModel], given: Any = 5, writes: str = "price", seen: list[Any] | None = None
) -> Graph[Any]:
    """A node that writes what is given, and one that keeps the state it sees."""
    graph = Graph("g", state)
    graph.add_node("write", lambda: given, writes=writes)

    def look(state: Any) -> dict[str, Any]:
        if seen is not None:
            seen.append(state)
        return {}

    graph.add_node("look", look)
    graph.add_path(START, "write", "look", END)
    return graph


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (BuiltPrice, [("bad_state", "@model_validator(mode='after')")]),
        (Inherited, [("bad_state", "@model_validator(mode='after')")]),
        (Kept, [("not_recordable", "make it a field")]),
        (
            Both,
            [("not_recordable", "field_serializer"), ("bad_state", "model_validator"), ("not_recordable", "field")],
        ),
        (Price, []),
    ],
)
def test_hooks_of_building_a_model_are_refused(state: type[BaseModel], expected: list[tuple[str, str]]) -> None:
    """A state is built when it is read, not when it changes: what hooks make or keep would be lost or differ."""
    found = graph_of(state).check()
    assert [p.code for p in found] == [code for code, _ in expected]
    assert all(repair in p.repair for p, (_, repair) in zip(found, expected, strict=True)), found


@pytest.mark.parametrize("state", [Price, Assigned])
async def test_a_validator_that_changes_fields_gives_one_truth(tmp_path: Path, state: type[BaseModel]) -> None:
    """The next node, the result, the record and the run read from the file have what the validator made."""
    seen: list[Any] = []
    graph = graph_of(state, seen=seen)
    async with Runner(tmp_path / "runs.db") as runner:
        result = await runner.start(graph, run_id="r").result()
        recorded = await runner.state_at("r")
    async with Runner(tmp_path / "runs.db") as runner:
        again = await runner.resume(graph, "r").result()
    wanted = state(price=5)
    assert (seen, result.state, recorded, again.state) == ([wanted], wanted, wanted.model_dump(), wanted)


class Line(BaseModel):
    """A value with a hook of its own and a property that is kept."""

    amount: int = 1
    total: int = 0
    _seen: int = PrivateAttr(0)

    @override
    def model_post_init(self, context: object, /) -> None:
        self.total = self.amount * 2

    @cached_property
    def half(self) -> float:
        """Kept once it was asked for."""
        return self.amount / 2

    @computed_field  # type: ignore[prop-decorator]
    @property
    def triple(self) -> int:
        """Never recorded, worked out where it is read."""
        return self.amount * 3


@dataclass
class Item:
    """The same for a dataclass."""

    amount: int = 1
    total: int = 0

    def __post_init__(self) -> None:
        self.total = self.amount * 2


class Order(BaseModel):
    """Values with hooks."""

    line: Line = Line()
    item: Item = Field(default_factory=Item)


def used() -> Line:
    """A line whose kept property was asked for."""
    line = Line(amount=5)
    assert line.half == 2.5
    return line


@pytest.mark.parametrize(("writes", "given"), [("line", used()), ("line", {"amount": 5}), ("item", Item(5))])
async def test_hooks_of_values_in_a_field_are_honoured(writes: str, given: Any) -> None:
    """A value is built where it is written and where its record is read, and both give the same."""
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
    """A line that its hook would make otherwise."""
    line = Line(amount=5)
    line.total = 7
    return line


def remembering() -> Line:
    """A line that keeps something where the record has no place for it."""
    line = Line(amount=5)
    line._seen = 3  # noqa: SLF001 - as code of the model would
    return line


@pytest.mark.parametrize(("make", "says"), [(changed, "total=10"), (remembering, "prints alike and is not equal")])
def test_values_that_their_hooks_would_change_are_refused(make: Callable[[], Line], says: str) -> None:
    """A value that would be another one when its record is read fails its node, with the cause."""
    with pytest.raises(RunFailed, match=says) as caught:
        graph_of(Order, make(), "line").run_sync()
    assert "not_recordable" in str(caught.value)


def counted() -> list[str]:
    """A default that counts how often it is made."""
    MADE.append("made")
    return []


class Made(BaseModel):
    """A default that is made, beside a field with code of its own."""

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
    """Updates and records of one field make no default of it or of another."""
    MADE.clear()
    graph_of(Made).run_sync()
    assert MADE == ["made"]
