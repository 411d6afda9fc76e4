"""What check says of a type of a field is what a run says when a value of it is written."""

import dataclasses
import datetime
import enum
import uuid
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType

import pytest
from pydantic import BaseModel, BeforeValidator, GetCoreSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict

from graphengine import END, START, Graph, RunFailed, Runner


class Size(enum.Enum):
    SMALL = (1, 2)


class Day(enum.Enum):
    FIRST = datetime.date(2026, 1, 1)


class Word(enum.StrEnum):
    YES = "yes"


class Number(enum.IntEnum):
    ONE = 1


class Tenth(enum.Enum):
    ONE = 0.1


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Bits(enum.IntFlag):
    LOW = 1
    HIGH = 2


class Pair(NamedTuple):
    size: Size


class Box(BaseModel):
    size: Size = Size.SMALL


class Typed(TypedDict):
    size: Size


@dataclasses.dataclass(frozen=True)
class Crate:
    size: int = 1


class Ulid:
    """An id as python-ulid's: made from bytes or a text, and written as a text."""

    def __init__(self, value: bytes | str) -> None:
        self.value = value.encode() if isinstance(value, str) else value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ulid) and other.value == self.value

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.value.decode()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        inputs: list[CoreSchema | tuple[CoreSchema, str]] = [
            core_schema.is_instance_schema(cls),
            core_schema.str_schema(),
            core_schema.bytes_schema(),
        ]
        return core_schema.no_info_wrap_validator_function(
            lambda value, _handler: value if isinstance(value, cls) else cls(value),
            core_schema.union_schema(inputs),
            serialization=core_schema.to_string_ser_schema(when_used="json-unless-none"),
        )


AsText = Annotated[
    Size,
    BeforeValidator(lambda value: Size[value] if isinstance(value, str) else value),
    PlainSerializer(lambda value: value.name),
]
Id = NewType("Id", int)
KINDS: dict[str, tuple[Any, object]] = {
    "Enum of tuples": (Size, Size.SMALL),
    "Enum of tuples with a text of its own": (AsText, Size.SMALL),
    "Enum of dates": (Day, Day.FIRST),
    "Enum of texts": (Word, Word.YES),
    "Enum of floats": (Tenth, Tenth.ONE),
    "Flag": (Rights, Rights.READ | Rights.WRITE),
    "Literal of an Enum of tuples": (Literal[Size.SMALL], Size.SMALL),
    "Literal of bytes": (Literal[b"x"], b"x"),
    "Literal of a text": (Literal["x"], "x"),
    "set of an Enum of tuples": (set[Size], {Size.SMALL}),
    "model with an Enum of tuples": (Box, Box()),
    "dict with an Enum of tuples": (Typed, Typed(size=Size.SMALL)),
    "named tuple with an Enum of tuples": (Pair, Pair(Size.SMALL)),
    "ids that are written as texts": (Ulid, Ulid("01BX5ZZKBKACTAV9WEVGEMMVRY")),
    "what is read once": (Iterable[int], [1]),
    "class": (type[int], int),
    "Counter": (Counter[str], Counter("aab")),
    "keys: str": (dict[str, int], {"a": 1}),
    "keys: int": (dict[int, int], {1: 1}),
    "keys: bool": (dict[bool, int], {True: 1}),
    "keys: float": (dict[float, int], {1.5: 1}),
    "keys: None": (dict[None, int], {None: 1}),
    "keys: date": (dict[datetime.date, int], {datetime.date(2026, 1, 1): 1}),
    "keys: datetime": (dict[datetime.datetime, int], {datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC): 1}),
    "keys: UUID": (dict[uuid.UUID, int], {uuid.UUID(int=1): 1}),
    "keys: Decimal": (dict[Decimal, int], {Decimal("1.10"): 1}),
    "keys: NewType": (dict[Id, int], {Id(1): 1}),
    "keys: Literal of texts": (dict[Literal["a"], int], {"a": 1}),
    "keys: Literal of numbers": (dict[Literal[1, 2], int], {1: 1}),
    "keys: Enum of texts": (dict[Word, int], {Word.YES: 1}),
    "keys: IntEnum": (dict[Number, int], {Number.ONE: 1}),
    "keys: Literal of an IntEnum": (dict[Literal[Number.ONE], int], {Number.ONE: 1}),
    "keys: Enum of floats": (dict[Tenth, int], {Tenth.ONE: 1}),
    "keys: Enum of tuples": (dict[Size, int], {Size.SMALL: 1}),
    "keys: Flag": (dict[Rights, int], {Rights.READ: 1}),
    "keys: IntFlag": (dict[Bits, int], {Bits.LOW: 1}),
    "keys: named tuple": (dict[Pair, int], {Pair(Size.SMALL): 1}),
    "keys: dataclass": (dict[Crate, int], {Crate(): 1}),
    "keys: complex": (dict[complex, int], {1j: 1}),
    "keys in a list": (list[dict[Literal[1], int]], [{1: 1}]),
}


def _written(kind: object, value: object) -> Graph[Any, Any]:
    state = type("State", (BaseModel,), {"__annotations__": {"y": kind | None}, "y": None})  # type: ignore[operator]
    graph = Graph[Any, Any]("written", state)
    graph.add_node("n", lambda: value, writes="y")
    graph.add_path(START, "n", END)
    return graph


@pytest.mark.parametrize("name", KINDS)
async def test_check_refuses_what_a_run_cannot_write(name: str) -> None:
    """A type has an error at check exactly if a run that writes a value of it fails, with the same code."""
    graph = _written(*KINDS[name])
    codes = {problem.code for problem in graph.check()}
    if codes:
        assert codes == {"not_recordable"}
        # a run of the same type, whose check is left out by a type that check does not know
        kind, value = KINDS[name]
        hidden = _written(Annotated[kind, BeforeValidator(lambda value: value)], value)
        assert hidden.check() == []
        async with Runner() as runner:
            with pytest.raises(RunFailed, match="not_recordable"):
                await runner.run(hidden)
        return
    async with Runner() as runner:
        assert (await runner.run(graph)).status == "finished"


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (dict[int | None, int], "None as a key of a dict (int | None)"),
        (dict[int | str, int], "1 as a key of a dict (int | str)"),
        (dict[Literal[1, "a"], int], "1 as a key of a dict (Literal[1, 'a'])"),
    ],
    ids=["None", "int or str", "Literal"],
)
def test_a_key_of_some_that_is_lost_is_a_warning(kind: object, shown: str) -> None:
    """If only some keys cannot be read back, check warns, and names them."""
    [problem] = _written(kind, {}).check()
    assert (problem.code, problem.warning) == ("not_recordable", True)
    assert problem.message == f"{shown} cannot be read back from JSON"
