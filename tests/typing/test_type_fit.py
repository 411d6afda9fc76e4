"""What mypy accepts, a graph accepts: each type where each other is declared."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from graphengine.compile.type_fit import can_write, fits
from graphengine.state.path import members
from tests.kit.type_checks import run_mypy

ROOT = Path(__file__).resolve().parents[2]
HEAD = """
import collections.abc as abc, dataclasses, datetime, decimal, enum, fractions, ipaddress, pathlib, uuid
from collections import Counter, deque
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, SupportsFloat, TypeVar
from pydantic import (
    AnyUrl, AwareDatetime, Base64Str, BaseModel, ByteSize, EmailStr, Field, FilePath, FiniteFloat, FutureDate,
    FutureDatetime, HttpUrl, InstanceOf, IPvAnyAddress, IPvAnyNetwork, Json, NaiveDatetime, PastDate, PastDatetime,
    PositiveInt, SecretStr, SerializeAsAny, SkipValidation, StrictInt, UUID4,
)
from typing_extensions import TypedDict

T = TypeVar("T")
class Animal(BaseModel):
    n: int = 1
class Dog(Animal): ...
class Cat(BaseModel): ...
class Box(BaseModel, Generic[T]):
    item: T
@dataclasses.dataclass
class Crate:
    n: int = 1
class Asked(TypedDict):
    n: int
class Pair(NamedTuple):
    n: int
class Color(enum.Enum):
    RED = 1
class Word(enum.StrEnum):
    YES = "yes"
class Number(enum.IntEnum):
    ONE = 1
Id = NewType("Id", str)
"""
TYPES = [
    *("int", "float", "str", "bool", "bytes", "complex", "None", "decimal.Decimal", "fractions.Fraction"),
    *("datetime.date", "datetime.datetime", "datetime.time", "uuid.UUID", "pathlib.Path", "pathlib.PurePath"),
    *("ipaddress.IPv4Address", "EmailStr", "AwareDatetime", "NaiveDatetime", "PastDate", "FutureDate", "PastDatetime"),
    *("FutureDatetime", "IPvAnyAddress", "IPvAnyNetwork", "Json[int]", "HttpUrl", "AnyUrl", "SecretStr", "StrictInt"),
    *("PositiveInt", "ByteSize", "FilePath", "Base64Str", "UUID4", "InstanceOf[Animal]", "SkipValidation[list[int]]"),
    *("SerializeAsAny[Animal]", "FiniteFloat", "Animal", "Dog", "Cat", "Box[int]", "Crate", "Asked", "Pair", "Color"),
    *("Word", "Number", "Id", "list[int]", "list[Any]", "tuple[int, ...]", "dict[str, int]", "set[int]"),
    *("abc.Sequence[int]", "abc.Mapping[str, int]", "abc.Hashable", "SupportsFloat", "deque[int]", "Counter[str]"),
    *("Literal['a']", "Literal[1]", "Literal[Color.RED]", "int | None", "str | int", "Any", "object"),
    "Annotated[int, Field(ge=0)]",
]


def test_a_graph_accepts_what_mypy_accepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No type that mypy --strict lets pass for another is refused: neither as a parameter, nor as a result."""
    pairs = [(have, want) for have in TYPES for want in TYPES if want != "None"]
    (tmp_path / "kinds_of_types.py").write_text(f"{HEAD}ALL = {{{', '.join(f'{kind!r}: {kind}' for kind in TYPES)}}}\n")
    lines = [f"def f{n}(x: {have}) -> {want}: return x" for n, (have, want) in enumerate(pairs)]
    (tmp_path / "pairs.py").write_text("\n".join([HEAD.strip(), *lines]))
    said = run_mypy(ROOT, tmp_path / "mypy", str(tmp_path / "pairs.py")).stdout
    first = len(HEAD.strip().splitlines()) + 1
    wrong = {int(line) - first for line in re.findall(r"pairs\.py:(\d+): error: Incompatible return", said)}
    assert len(pairs) / 2 < len(wrong) < len(pairs), said
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    kinds = importlib.import_module("kinds_of_types").ALL
    refused = [
        pair
        for n, pair in enumerate(pairs)
        if n not in wrong
        for have, want in [(kinds[pair[0]], kinds[pair[1]])]
        if not (fits(members(have), want) and can_write(have, want, want))
    ]
    assert refused == []
