"""What check says of a comparison is what the comparison itself does with values of the type."""

import datetime
import enum
import ipaddress
import uuid
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any, Literal, NewType

import pytest
from pydantic import AwareDatetime, BaseModel, FutureDate, IPvAnyAddress, NaiveDatetime, PastDatetime

from graphengine import END, START, Graph, value
from graphengine.state.numbers import alike


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


class Rank(enum.IntEnum):
    LOW = 1


class Day(enum.Enum):
    FIRST = datetime.date(2026, 1, 1)


class Box(BaseModel):
    n: int = 1


Id = NewType("Id", str)
Count = NewType("Count", int)
_DATE = datetime.date(2026, 1, 1)
_NAIVE = datetime.datetime(2026, 1, 1)  # noqa: DTZ001 - a time without a zone is what is tried
_AWARE = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
TYPES: Mapping[str, tuple[Any, list[object]]] = {
    "int": (int, [1]),
    "float": (float, [1.0, 1.5]),
    "str": (str, ["a"]),
    "Decimal": (Decimal, [Decimal(1), Decimal("1.5")]),
    "Fraction": (Fraction, [Fraction(1), Fraction(3, 2)]),
    "complex": (complex, [1 + 0j]),
    "date": (datetime.date, [_DATE]),
    "FutureDate": (FutureDate, [_DATE]),
    "datetime": (datetime.datetime, [_NAIVE, _AWARE]),
    "AwareDatetime": (AwareDatetime, [_AWARE]),
    "NaiveDatetime": (NaiveDatetime, [_NAIVE]),
    "PastDatetime": (PastDatetime, [_NAIVE, _AWARE]),
    "time": (datetime.time, [datetime.time(1)]),
    "timedelta": (datetime.timedelta, [datetime.timedelta(1)]),
    "UUID": (uuid.UUID, [uuid.UUID(int=1)]),
    "Path": (Path, [Path("a")]),
    "PurePath": (PurePath, [PurePath("a")]),
    "IPv4Address": (ipaddress.IPv4Address, [ipaddress.IPv4Address(1)]),
    "IPvAnyAddress": (IPvAnyAddress, [ipaddress.IPv4Address(1), ipaddress.IPv6Address(1)]),
    "NewType of str": (Id, ["a"]),
    "NewType of int": (Count, [1]),
    "list": (list[int], [[1]]),
    "dict": (dict[str, int], [{"a": 1}]),
    "set": (set[int], [{1}]),
    "frozenset": (frozenset[int], [frozenset({1})]),
    "model": (Box, [Box()]),
    "Enum of numbers": (Level, [Level.LOW]),
    "IntEnum": (Rank, [Rank.LOW]),
    "Enum of dates": (Day, [Day.FIRST]),
    "Literal of a text": (Literal["a"], ["a"]),
    "Literal of a number": (Literal[1], [1]),
}
_NUMBERS = {"int", "float", "Decimal", "Fraction", "complex", "NewType of int"}


def _holds_for_some(name: str, constant_of: str, constant: object, *, ordered: bool) -> bool:
    """Return whether Python orders or equals the constant and a value of the type."""
    for each in TYPES[name][1]:
        one, two = alike(each, constant)
        if not ordered and (one == two or type(one) is type(two)):
            return True
        try:
            _ = ordered and one < two
        except TypeError:
            continue
        if ordered:
            return True
    return not ordered and {name, constant_of} <= _NUMBERS


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("ordered", [False, True], ids=["equal", "ordered"])
def test_check_refuses_a_comparison_that_no_value_can_meet(name: str, *, ordered: bool) -> None:
    """A comparison is refused exactly if Python neither orders nor equals any value of the type and the constant."""
    state = type("State", (BaseModel,), {"__annotations__": {"y": TYPES[name][0], "z": int}, "z": 0})
    wrong: list[object] = []
    for constant_of, (_, constants) in TYPES.items():
        for constant in constants:
            graph = Graph[Any, Any]("compared", state)
            graph.add_node("n", lambda: 1, writes="z")
            graph.add_path(START, "n")
            graph.add_edge("n", END, when=value("y") < constant if ordered else value("y") == constant)
            graph.add_edge("n", END)
            is_refused = any(problem.code == "wrong_comparison" for problem in graph.check())
            if is_refused is _holds_for_some(name, constant_of, constant, ordered=ordered):
                wrong.append((constant_of, constant, is_refused))
    assert wrong == []
