"""A state with fields of every kind that JSON can carry, and values for each."""

from __future__ import annotations

import datetime as dt
import enum
import ipaddress
import uuid
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, Self

from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    field_serializer,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from graphengine.reducers import add, append, extend, maximum, merge


class Colour(enum.Enum):
    """An enum of strings."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    """An enum of ints."""

    LOW = 1
    HIGH = 2


class Spot(BaseModel):
    """A frozen model with an alias."""

    model_config = ConfigDict(frozen=True)

    x: int = Field(0, alias="xPosition")
    when: dt.date | None = None


class Tree(BaseModel):
    """A recursive model."""

    name: str = ""
    below: list[Tree] = []


class Cat(BaseModel):
    """A member of a tagged union."""

    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    """The other member."""

    kind: Literal["dog"] = "dog"
    name: str = ""


@dataclass(frozen=True)
class Pair:
    """A dataclass."""

    left: int
    right: Decimal = Decimal(1)


class Row(TypedDict, total=False):
    """A dict with known keys."""

    id: int
    seen: dt.datetime


class Point(NamedTuple):
    """A named tuple."""

    x: int
    y: float


def neat(text: str) -> str:
    """Strip and lower a text: a validator in an annotation."""
    return text.strip().lower()


def joined(old: frozenset[int], new: frozenset[int]) -> frozenset[int]:
    """Return the union: a custom reducer."""
    return old | new


class Everything(BaseModel):
    """Fields of every kind."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", validate_by_name=True)

    day: dt.date = dt.date(2026, 1, 1)
    moment: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    clock: dt.time = dt.time(1, 2)
    span: dt.timedelta = dt.timedelta(0)
    price: Decimal = Decimal("1.10")
    key: uuid.UUID = uuid.UUID(int=1)
    colour: Colour = Colour.RED
    level: Level = Level.LOW
    choice: Literal["a", 1, True] = "a"
    either: int | str | None = None
    number: int | float = 0
    ratio: float = 0.0
    flag: bool = False
    blob: bytes = b""
    path: PurePosixPath = PurePosixPath("/")
    address: ipaddress.IPv4Address = ipaddress.IPv4Address(0)
    spot: Spot = Spot(xPosition=0)
    tree: Tree = Tree()
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] = Cat()
    pair: Pair = Pair(1)
    row: Row = Row()
    point: Point = Point(0, 0.0)
    fixed: tuple[int, str, dt.date] = (1, "", dt.date(2026, 1, 1))
    many: tuple[Decimal, ...] = ()
    bag: set[tuple[int, str]] = set()
    frozen: frozenset[dt.date] = frozenset()
    by_number: dict[int, str] = {}
    by_day: dict[dt.date, list[Decimal]] = {}
    by_colour: dict[Colour, Spot | None] = {}
    by_key: dict[uuid.UUID, set[int]] = {}
    anything: JsonValue = None
    capped: Annotated[list[int], Field(max_length=4)] = []
    tidy: Annotated[str, AfterValidator(neat)] = ""
    even: list[int] = []
    stamp: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    aliased: list[Spot] = Field([], alias="withAnAlias")
    log: Annotated[list[Tree], append] = []
    days: Annotated[list[dt.date], extend] = []
    table: Annotated[dict[int, Decimal], merge] = {}
    total: Annotated[float, add] = 0.0
    money: Annotated[Decimal, add] = Decimal(0)
    latest: Annotated[dt.datetime, maximum] = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    union: Annotated[frozenset[int], joined] = frozenset()
    maybe_log: Annotated[list[bytes] | None, append] = None
    strict_log: Annotated[list[int], append, Field(max_length=6)] = []

    @field_validator("even")
    @classmethod
    def only_even(cls, value: list[int]) -> list[int]:
        """Keep the even numbers: a validator that changes its input."""
        return [item for item in value if item % 2 == 0]

    @field_serializer("stamp")
    def as_seconds(self, value: dt.datetime) -> float:
        """Return the seconds since 1970: a custom serializer."""
        return value.timestamp()


class EverythingWhole(Everything):
    """The same with a validator of the whole, which sets two fields."""

    @model_validator(mode="after")
    def derived(self) -> Self:
        """Derive the flag from the ratio, and the tree's name from the path."""
        self.flag = self.ratio > 0
        self.tree.name = str(self.path)
        return self


SMALL = st.integers(-5, 5)
DAYS = st.dates()
ZONES = st.just(dt.UTC) | st.integers(-720, 720).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
MOMENTS = st.datetimes(min_value=dt.datetime(2, 1, 1), max_value=dt.datetime(9998, 1, 1), timezones=ZONES)  # noqa: DTZ001
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=None, min_value=-(10**20), max_value=10**20)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=8)
SPOTS = st.builds(lambda x, when: Spot(xPosition=x, when=when), st.integers(), st.none() | DAYS)
TREES = st.recursive(
    st.builds(Tree, name=TEXT),
    lambda below: st.builds(Tree, name=TEXT, below=st.lists(below, max_size=2)),
    max_leaves=4,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXT,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXT, part, max_size=3),
    max_leaves=5,
)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "day": DAYS,
    "moment": MOMENTS,
    "clock": st.times(),
    "span": st.timedeltas(dt.timedelta(days=-9_000), dt.timedelta(days=9_000)),
    "price": DECIMALS,
    "key": st.uuids(),
    "colour": st.sampled_from(Colour),
    "level": st.sampled_from(Level),
    "choice": st.sampled_from(("a", 1, True)),
    "either": st.integers() | TEXT | st.none(),
    "number": st.integers() | FLOATS,
    "ratio": FLOATS,
    "flag": st.booleans(),
    "blob": st.binary(max_size=8),
    "path": st.sampled_from(("/a/b", "c", "..", "a b/ü")).map(PurePosixPath),
    "address": st.ip_addresses(v=4),
    "spot": SPOTS,
    "tree": TREES,
    "pet": st.builds(Cat, lives=SMALL) | st.builds(Dog, name=TEXT),
    "pair": st.builds(Pair, SMALL, DECIMALS),
    "row": st.fixed_dictionaries({}, optional={"id": SMALL, "seen": MOMENTS}),
    "point": st.builds(Point, SMALL, FLOATS),
    "fixed": st.tuples(SMALL, TEXT, DAYS),
    "many": st.lists(DECIMALS, max_size=3).map(tuple),
    "bag": st.sets(st.tuples(SMALL, TEXT), max_size=4),
    "frozen": st.frozensets(DAYS, max_size=4),
    "by_number": st.dictionaries(st.integers(), TEXT, max_size=3),
    "by_day": st.dictionaries(DAYS, st.lists(DECIMALS, max_size=2), max_size=3),
    "by_colour": st.dictionaries(st.sampled_from(Colour), st.none() | SPOTS, max_size=2),
    "by_key": st.dictionaries(st.uuids(), st.sets(SMALL, max_size=3), max_size=2),
    "anything": JSON,
    "capped": st.lists(SMALL, max_size=4),
    "tidy": TEXT,
    "even": st.lists(SMALL, max_size=4),
    "stamp": st.integers(0, 2**31).map(lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC)),
    "aliased": st.lists(SPOTS, max_size=2),
    "log": TREES,
    "days": st.lists(DAYS, max_size=3),
    "table": st.dictionaries(SMALL, DECIMALS, max_size=3),
    "total": st.floats(-1e6, 1e6),
    "money": DECIMALS,
    "latest": MOMENTS,
    "union": st.frozensets(SMALL, max_size=3),
    "maybe_log": st.binary(max_size=4),
    "strict_log": SMALL,
}
"""Updates for each field; for a field with a reducer, the reducer's input."""
