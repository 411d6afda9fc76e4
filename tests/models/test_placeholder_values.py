"""Placeholders for every kind of type that an answer can have; pydantic says whether they fit."""

import collections
import datetime
import decimal
import enum
import fractions
import ipaddress
import re
import uuid
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    VERSION,
    AnyUrl,
    AwareDatetime,
    Base64Bytes,
    Base64Str,
    BaseModel,
    ByteSize,
    DirectoryPath,
    Field,
    FileUrl,
    FutureDate,
    HttpUrl,
    IPvAnyAddress,
    IPvAnyInterface,
    IPvAnyNetwork,
    Json,
    JsonValue,
    NaiveDatetime,
    PastDate,
    PostgresDsn,
    SecretStr,
    StrictInt,
)
from pydantic.types import UUID1, UUID4, UUID7
from pydantic_core import to_json
from typing_extensions import TypeAliasType, TypedDict

from graphengine import Agent
from graphengine.agents.reading import Output
from graphengine.models.errors import ModelUnavailable
from graphengine.models.placeholder import PlaceholderModel
from graphengine.models.placeholder_values import Values

Word = Annotated[str, Field(pattern=r"^[a-z]+(-\d{2,4})?$", min_length=5, max_length=8)]
Code = Annotated[str, Field(pattern=r"^[A-Z]\d$")]


class Colour(enum.Enum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


class Pair(NamedTuple):
    """A tuple with names."""

    left: int
    right: str


class Row(TypedDict):
    """A dict with names."""

    key: str


@dataclass
class Point:
    """A dataclass."""

    x: float
    y: float


class Leaf(BaseModel):
    """The end of an expression."""

    kind: Literal["leaf"]


class Sum(BaseModel):
    """An expression that contains two others, and comes first in the union."""

    kind: Literal["sum"]
    left: "Expression"
    right: "Expression"


class Product(BaseModel):
    """Another one."""

    kind: Literal["product"]
    factors: Annotated[list["Expression"], Field(min_length=2)]
    note: Json[dict[str, "Expression"]]


class Expression(BaseModel):
    """A union whose first branches contain it again."""

    what: Annotated[Sum | Product | Leaf, Field(discriminator="kind")]


class Linked(BaseModel):
    """A value with another one like it, or none."""

    next: "Linked | None"
    first: "Linked | int"


class Endless(BaseModel):
    """A value that must contain another one like it, so that there is none."""

    below: "Endless"


Nested = TypeAliasType("Nested", "list[Nested] | dict[str, Nested] | int")

FIT: Final[list[Any]] = [
    bool,
    int,
    float,
    decimal.Decimal,
    *([] if VERSION.startswith(("2.12", "2.13")) else [fractions.Fraction]),  # they raise a TypeError for a number
    StrictInt,
    ByteSize,
    bytes,
    type(None),
    Any,
    JsonValue,
    SecretStr,
    Colour,
    Literal["a", 2],
    datetime.date,
    datetime.datetime,
    datetime.time,
    datetime.timedelta,
    AwareDatetime,
    PastDate,
    uuid.UUID,
    UUID1,
    UUID4,
    UUID7,
    AnyUrl,
    HttpUrl,
    Path,
    DirectoryPath,
    zoneinfo.ZoneInfo,
    re.Pattern[str],
    Base64Bytes,
    list[Base64Str],
    Json,
    Json[bool],
    Json[list[int]],
    IPvAnyAddress,
    IPvAnyInterface,
    IPvAnyNetwork,
    ipaddress.IPv4Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Address,
    ipaddress.IPv6Interface,
    ipaddress.IPv6Network,
    list[int],
    tuple[int, bool],
    tuple[int, ...],
    Sequence[str],
    collections.deque[int],
    set[int],
    frozenset[str],
    Mapping[str, int],
    collections.Counter[str],
    Pair,
    Row,
    Point,
    int | str,
    Annotated[float, Field(gt=0, lt=1)],
    Annotated[float, Field(gt=-1, lt=-0.5)],
    Annotated[float, Field(ge=0.25, le=0.25)],
    Annotated[int, Field(gt=10, multiple_of=7)],
    Annotated[int, Field(lt=-10, multiple_of=7)],
    Annotated[float, Field(gt=0.2, multiple_of=0.5)],
    Annotated[decimal.Decimal, Field(gt=3, max_digits=5, decimal_places=2)],
    Annotated[set[int], Field(min_length=3)],
    Annotated[set[Colour], Field(min_length=2)],
    Annotated[set[Word], Field(min_length=2)],
    Annotated[set[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=4)],
    Annotated[set[tuple[str, bool]], Field(min_length=2)],
    Annotated[set[datetime.date | None], Field(min_length=3)],
    Annotated[frozenset[ipaddress.IPv4Address], Field(min_length=2)],
    Annotated[list[str], Field(min_length=2, max_length=2)],
    Annotated[dict[str, int], Field(min_length=2)],
    Annotated[dict[int, str], Field(min_length=2)],
    Annotated[dict[datetime.date, int], Field(min_length=2)],
    Annotated[dict[Colour, int], Field(min_length=2)],
    Annotated[dict[Code, int], Field(min_length=2)],
    list[Word],
    Expression,
    Linked,
    Nested,
]

PATTERNS: Final = [
    r"^\d{3}-\d{4}$",
    r"^[A-Z]{2,}$",
    r"^(?:red|green)+$",
    r"^(?P<year>\d{4})(?:-\d\d)?$",
    r"^\$\d+(\.\d{2})?$",
    r"^[^a-z]$",
    r"^a*?b+?c??$",
    r"^\w+@\w+\.[a-z]{2,3}$",
    r"(?i)^[a-f0-9]{8}$",
    r"^$|^x$",
    r"\.py$",
    r"^[]x]{1}\s\S.$",
    r"^A\bB?",
]

UNFIT: Final = {
    "a date in the future": FutureDate,
    "a datetime without a zone": NaiveDatetime,
    "an address of a scheme": FileUrl,
    "an address of a database": PostgresDsn,
    "a text that is encoded": Base64Str,
    "a pattern with what is not known": list[Annotated[str, Field(pattern=r"^\p{Greek}$")]],
    "a text with a pattern, which is asked for without a schema": Annotated[str, Field(pattern=r"^\d+$")],
    "keys whose length is not in the schema": Annotated[dict[Word, int], Field(min_length=1)],
    "more choices than there are": Annotated[set[Literal["a"]], Field(min_length=2)],
    "a value that contains itself without end": Endless,
}


def first(output: Any) -> object:
    """Return an agent's placeholder."""
    return Agent("judge", prompt="Judge it.", output=output, model=PlaceholderModel()).run_sync()


@pytest.mark.parametrize("output", FIT, ids=str)
def test_a_type_has_a_placeholder(output: Any) -> None:
    """Pydantic accepts it."""
    first(output)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_has_a_text(pattern: str) -> None:
    """Of characters, groups, branches and repeats."""
    first(list[Annotated[str, Field(pattern=pattern)]])


@pytest.mark.parametrize("output", UNFIT.values(), ids=UNFIT)
def test_what_no_placeholder_fits_is_said_so(output: Any) -> None:
    """The error blames no answer and no author: it names the agent and what else can answer."""
    with pytest.raises(ModelUnavailable, match="agent judge cannot be answered by a placeholder: ") as caught:
        first(output)
    assert "by_rules=" in caught.value.repair


def test_an_expression_is_no_deeper_than_it_needs_to_be() -> None:
    """Of a union, the first branch that there is room for: the size does not double with each kind of expression."""
    found = first(Expression)
    assert isinstance(found, Expression)
    assert found.model_dump_json().count("kind") <= 7


# Types are values here.
FIELD: Any = Field
OF: Final[dict[str, Any]] = {"": Annotated, "list": list, "set": set, "dict": dict, "tuple": tuple, "Json": Json}
MADE: Any = TypedDict


def of(name: str, *arguments: Any) -> Any:
    """Return a type of others."""
    return OF[name][arguments[0] if len(arguments) == 1 else arguments]


def field(**bounds: st.SearchStrategy[int]) -> st.SearchStrategy[Any]:
    """Return constraints with these bounds."""
    return st.fixed_dictionaries(bounds).map(lambda found: FIELD(**found))


BOUND: Final = st.integers(-50, 50)
STEP: Final = st.integers(1, 9)
OPEN: Final = field(gt=BOUND) | field(lt=BOUND) | field(gt=BOUND, multiple_of=STEP) | field(le=BOUND, multiple_of=STEP)
CLOSED: Final = st.builds(lambda low, more: FIELD(ge=low, le=low + more), BOUND, st.integers(0, 9)) | st.builds(
    lambda low, more: FIELD(gt=low, lt=low + more), BOUND, st.integers(2, 9)
)
LENGTHS: Final = st.builds(lambda low, more: FIELD(min_length=low, max_length=low + more), st.integers(0, 40), STEP)
FEWEST: Final = field(min_length=st.integers(0, 4))
KEYS: Final = st.sampled_from([int, str, datetime.date, uuid.UUID, ipaddress.IPv4Address, Code])


def limited(kinds: Sequence[Any], limits: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return these types with constraints."""
    return st.builds(lambda kind, limit: of("", kind, limit), st.sampled_from(kinds), limits)


PLAIN: Final = (
    st.sampled_from(FIT[:45]) | limited([int, float, decimal.Decimal], OPEN | CLOSED) | limited([str], LENGTHS)
)


def wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return types made of these."""
    members = KEYS | limited([int, float], OPEN)
    return (
        st.builds(lambda kind, least: of("", of("list", kind), least), inner, FEWEST)
        | st.builds(lambda kind, least: of("", of("set", kind), least), members, FEWEST)
        | st.builds(lambda key, kind, least: of("", of("dict", key, kind), least), KEYS, inner, FEWEST)
        | st.builds(lambda left, right: of("tuple", left, right), inner, inner)
        | st.builds(lambda kind: of("Json", kind), inner)
        | st.builds(lambda kind: MADE("Made", {"field": kind}), inner)
    )


@settings(max_examples=150, deadline=None)
@given(st.recursive(PLAIN, wider, max_leaves=5))
def test_any_type_made_of_others_has_a_placeholder(output: Any) -> None:
    """Pydantic accepts what was made from the schema alone."""
    reader: Output[Any] = Output(output)
    if reader.schema is not None:
        reader.read(to_json(Values(reader.schema, "a text").smallest()).decode())
