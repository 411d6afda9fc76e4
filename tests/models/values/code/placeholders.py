import collections
import datetime
import decimal
import enum
import ipaddress
import re
import uuid
import zoneinfo
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import (
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
from typing_extensions import TypeAliasType, TypedDict

from graphengine import Agent
from graphengine.models import PlaceholderModel
from graphengine.models.errors import ModelUnavailable

Word = Annotated[str, Field(pattern=r"^[a-z]+(-\d{2,4})?$", min_length=5, max_length=8)]
Code = Annotated[str, Field(pattern=r"^[A-Z]\d$")]
Nested = TypeAliasType("Nested", "list[Nested] | dict[str, Nested] | int")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Pair(NamedTuple):
    left: int
    right: str


class Row(TypedDict):
    key: str


class Leaf(BaseModel):
    kind: Literal["leaf"]


class Sum(BaseModel):
    kind: Literal["sum"]
    left: "Expression"
    right: "Expression"


class Product(BaseModel):
    kind: Literal["product"]
    factors: Annotated[list["Expression"], Field(min_length=2)]
    note: Json[dict[str, "Expression"]]


class Expression(BaseModel):
    what: Annotated[Sum | Product | Leaf, Field(discriminator="kind")]


Sum.model_rebuild(), Product.model_rebuild(), Expression.model_rebuild()


class Linked(BaseModel):
    next: "Linked | None"
    first: "Linked | int"


class Endless(BaseModel):
    below: "Endless"


class Tree(BaseModel):
    name: str
    below: list["Tree"]
    more: list["Tree"] = []


class Inner(BaseModel):
    what: str
    optional: list[str] = []


def refuse(value):
    raise ValueError(f"an agent's check is not asked about {value}")


def answer(output, **bounds):
    """Return the first answer of an agent, whose type may have bounds."""
    output = Annotated[output, Field(**bounds)] if bounds else output
    return Agent("j", prompt="Judge.", output=output, model=PlaceholderModel(), check=refuse).run_sync()


def first(output, **bounds):
    return repr(answer(output, **bounds))


def members(output, **bounds):
    return sorted(map(str, answer(output, **bounds)))


def text(pattern):
    """Return a text that fits a pattern."""
    return answer(list[Annotated[str, Field(pattern=pattern)]])[0]


def refused(output, **bounds):
    try:
        answer(output, **bounds)
    except ModelUnavailable as error:
        return f"{error.message.partition(':')[0]}\nrepair: {error.repair}"
