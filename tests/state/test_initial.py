"""The initial state of a run: what is recorded reads back equal, whatever the model does when it is read."""

import functools
import math
import sys
from typing import Any, Final
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr, field_validator, model_serializer

from graphengine import END, START, Graph, RunFailed, Runner
from graphengine.errors import InputError
from graphengine.state import encoded, field, schema
from graphengine.state.encoded import LARGE, opened
from graphengine.state.same import is_same
from graphengine.state.schema import StateType
from tests.kit.kinds import VALUES, Everything


class Plain(BaseModel):
    n: int = 0
    text: str = ""
    ratio: float = 0.0
    done: bool = False


class Counting(Plain):
    def model_post_init(self, _: Any, /) -> None:
        """Change a field whenever an instance is made."""
        self.n += 1


class Private(Plain):
    _seen: int = PrivateAttr(default=0)


class Dumped(Plain):
    @model_serializer
    def dump(self) -> dict[str, object]:
        """Record another value."""
        return {"n": 7}


class Open(Plain):
    model_config = ConfigDict(extra="allow")


class Made(Plain):
    def __init__(self, **given: Any) -> None:
        super().__init__(**{**given, "n": given.get("n", 0) * 2})


def private() -> Private:
    """Return a state whose private attribute is not recorded."""
    made = Private(n=1)
    made._seen = 5  # noqa: SLF001 - a private attribute of the test's own model
    return made


@pytest.mark.parametrize(
    "state",
    [Counting(), private(), Dumped(), Open.model_validate({"n": 1, "more": object()}), Made(n=3)],
    ids=lambda s: type(s).__name__,
)
def test_a_state_that_would_read_back_different_is_refused(state: BaseModel) -> None:
    """Code of the model takes part in reading it back, although all its fields are plain."""
    with pytest.raises(InputError):
        StateType.of(type(state)).initial(state, "here")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "1"])
def test_a_value_that_its_field_cannot_record_is_refused(value: Any) -> None:
    """An instance that was made without validation is checked too."""
    name = "ratio" if isinstance(value, float) else "n"
    with pytest.raises(InputError):
        StateType.of(Plain).initial(Plain().model_copy(update={name: value}), "here")


def test_plain_values_are_their_own_records() -> None:
    """The records are not the instance's own dict, and the size is that of the JSON."""
    state = Plain(n=1, text="ä")
    begun = StateType.of(Plain).initial(state, "here")
    assert begun.values == begun.typed == {"n": 1, "text": "ä", "ratio": 0.0, "done": False}
    assert begun.given == ["n", "text"]
    assert begun.size_bytes == len(state.model_dump_json().encode())
    assert StateType.of(Plain).initial(Plain(n=2**70), "here").values["n"] == 2**70
    state.n = 9
    assert (begun.values["n"], begun.typed["n"]) == (1, 1)


def again(text: str) -> type[BaseModel]:
    """Return a class of the name of `Plain`, as a cell that runs twice defines it."""
    return type("Plain", (BaseModel,), {"__annotations__": {"text": str}, "text": text})


def test_a_state_whose_class_was_defined_again_is_told_apart() -> None:
    """The class has the same name, so the name alone would say nothing; that of a part is told apart too."""
    with pytest.raises(InputError) as refused:
        StateType.of(Plain).initial(again("a")(), "here")
    assert refused.value.message.startswith("the state is of another class Plain: one that is defined again")
    assert refused.value.repair == "make the graph after the last definition of Plain, or pass a mapping of its fields"

    class Nest(BaseModel):
        parts: list[Plain]

    with pytest.raises(InputError, match=r"instance of Plain \(got Plain\(text='a'\): of another class Plain: one"):
        StateType.of(Nest).initial({"parts": [again("a")()]}, "here")


SIZES: Final = (0, sys.maxsize)
"""Sizes from which values count as large: all of them, and none."""


TYPES: Final = functools.cache(StateType.of)


def begun(state: Any, given: Any, large: int) -> tuple[Any, Any] | str:
    """Return the JSON of the records and the typed values of an initial state, or why it is refused."""
    with (
        patch.object(schema, "LARGE", large),
        patch.object(field, "LARGE", large),
        patch.object(encoded, "LARGE", large),
    ):
        made = TYPES(state)
        try:
            initial = made.initial(given, "here")
        except InputError as error:
            return error.message
        return {name: opened(record) for name, record in initial.values.items()}, made.read_initial(initial)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries({}, optional=VALUES))
def test_a_large_state_begins_as_a_small_one(values: dict[str, Any]) -> None:
    """Field by field, and read back as a whole, a state of every kind has the same records and typed values."""
    by_fields, as_a_whole = (begun(Everything, values, large) for large in SIZES)
    assert by_fields[0] == as_a_whole[0]
    assert is_same(by_fields[1], as_a_whole[1])


class Row(BaseModel):
    n: int = 0
    tags: list[str] = []


class Listing(BaseModel):
    rows: list[Row] = []
    held: Any = None
    word: str = ""

    @field_validator("word")
    @classmethod
    def strip(cls, word: str) -> str:
        """Leave what it has returned as it is."""
        return word.strip()


class Doubling(Plain):
    @field_validator("n")
    @classmethod
    def double(cls, n: int) -> int:
        """Change what it has returned."""
        return 2 * n


@pytest.mark.parametrize(
    ("state", "given"),
    [
        (Listing, {"rows": [Row(n=1), Row.model_construct(n=1)], "word": " a "}),
        (Listing, Listing.model_construct(rows=[Row()])),
        (Listing, Listing.model_construct(rows=[Row.model_construct(n="1")], held=None, word="")),
        (Listing, Listing.model_construct(rows=[{"n": 1}], held=None, word="")),
        (Listing, Listing.model_construct(rows=(), held=None, word="")),
        (Listing, {"held": {"a": (1, 2)}}),
        (Listing, {"held": [float("nan")]}),
        (Listing, {"held": {1: "a"}}),
        (Listing, {"held": Row(n=1)}),
        (Listing, {"word": "\ud800"}),
        (Doubling, {"n": 1}),
        (Doubling, {"n": 0}),
        (Plain, Plain.model_construct(n="1", text="", ratio=0.0, done=False)),
    ],
)
def test_a_large_state_is_refused_as_a_small_one(state: Any, given: Any) -> None:
    """What would read back different is refused in the same words, and what is accepted becomes the same."""
    by_fields, as_a_whole = (begun(state, given, large) for large in SIZES)
    assert by_fields == as_a_whole
    assert isinstance(by_fields, str) or is_same(by_fields[1], as_a_whole[1])


async def test_nodes_do_not_share_a_large_value_with_the_caller() -> None:
    """A large value is built from its record when a node reads it; set fields of its models are kept."""
    given = Listing(rows=[Row(n=at) for at in range(LARGE // 4)])
    seen: list[list[Row]] = []

    def see(rows: list[Row]) -> None:
        seen.append(rows)

    graph: Graph[Any] = Graph("listing", Listing)
    graph.add_node("a", see)
    graph.add_path(START, "a", END)

    async with Runner() as runner:
        result = await runner.start(graph, given).result()

    assert seen[0] is not given.rows
    assert seen[0][0] is not given.rows[0]
    assert seen[0][0].model_fields_set == {"n"}
    assert result.state.rows == given.rows


class Constants(BaseModel):
    """A model whose JSON has constants that JSON does not have."""

    model_config = ConfigDict(ser_json_inf_nan="constants")
    ratio: float = 0.0
    text: str = ""
    ratios: list[float] = []
    many: list[int] = []


class Holding(BaseModel):
    """A state with such models."""

    one: Constants = Constants()
    all: list[Constants] = []


INFINITE = [
    (Constants, {"ratio": math.inf}),
    (Constants, {"ratios": [0.5, -math.inf]}),
    (Constants, {"ratios": [math.nan]}),
    (Holding, {"one": Constants(ratio=math.inf)}),
    (Holding, {"all": [Constants(ratio=math.inf)]}),
]


@pytest.mark.parametrize(("state", "given"), INFINITE)
def test_infinity_is_refused_in_a_state_of_any_size(state: type[BaseModel], given: dict[str, Any]) -> None:
    """Pydantic writes and reads it as a constant, but a record that has it could not be read again."""
    for large in SIZES:
        assert isinstance(begun(state, given, large), str)


@pytest.mark.parametrize(("state", "given"), INFINITE)
async def test_infinity_is_refused_in_an_update(state: type[BaseModel], given: dict[str, Any]) -> None:
    """What a node returns is recorded by the same rule, and a text may say the same words."""
    (name, value), *_ = given.items()
    graph: Graph[Any] = Graph("infinite", state)
    graph.add_node("a", lambda: value, writes=name)
    graph.add_path(START, "a", END)
    plain: Graph[Any] = Graph("plain", Constants)
    plain.add_node("a", lambda: "NaN, Infinity and -Infinity", writes="text")
    plain.add_path(START, "a", END)
    async with Runner() as runner:
        with pytest.raises(RunFailed, match="not_recordable"):
            await runner.start(graph, state()).result()
        assert (await runner.start(plain, Constants()).result()).state.text.startswith("NaN")
