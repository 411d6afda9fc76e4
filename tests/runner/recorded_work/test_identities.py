"""What identifies a recorded call: its function, and its arguments with their types."""

import asyncio
import dataclasses
import datetime as dt
import enum
import uuid
from collections import OrderedDict, deque
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import Context, Retry, Runner
from graphengine.runner.call_records import digest_of_call
from graphengine.state.same import is_same
from tests.kit.runs import alone


class Cash(BaseModel):
    """An amount."""

    amount: int = 1


class Card(BaseModel):
    """The same by another means."""

    amount: int = 1


class Way(enum.Enum):
    """How it is paid."""

    CASH = "cash"


class Pair(NamedTuple):
    """Two numbers."""

    a: int
    b: int


@dataclasses.dataclass(frozen=True)
class Place:
    """Where it is paid."""

    amount: int = 1


BERLIN = dt.datetime(2026, 1, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
UNLIKE: list[Any] = [
    *([], (), set(), frozenset(), {}, deque(), OrderedDict(), "", b"", None),
    *([1], (1,), {1}, {1: 1}, {"1": 1}, Pair(1, 1), (1, 1), [1, 1], [[1, 1]], [(1, 1)]),
    *(1, 1.0, True, "1", Decimal(1), Decimal("1.0"), "True", 0.0, -0.0, 1 + 0j, float("inf"), "Infinity"),
    *(Cash(), Card(), Place(), {"amount": 1}, Way.CASH, "cash", b"cash", Path("cash")),
    *(BERLIN, BERLIN.isoformat(), BERLIN.astimezone(dt.UTC), BERLIN.replace(tzinfo=dt.timezone(dt.timedelta(hours=1)))),
    *(dt.timedelta(1), "P1D", uuid.UUID(int=1), str(uuid.UUID(int=1)), {"": ["tuple", []]}, {"": 1}),
]


def digest(value: object) -> str:
    """Return the identity of a call with this argument."""
    return digest_of_call("f", (value,), {})


def test_no_two_unlike_arguments_identify_the_same_call() -> None:
    """`()` is not `[]`, `{1: x}` is not `{"1": x}`, and nothing is its JSON: also inside of others."""
    for one, other in combinations(UNLIKE, 2):
        assert digest(one) != digest(other), (one, other)
        assert digest([{"a": one}]) != digest([{"a": other}])
    assert digest_of_call("f", ([],), {}) != digest_of_call("f", (), {})


ATOMS = st.one_of(
    *(st.none(), st.booleans(), st.integers(0, 2), st.sampled_from((0.0, -0.0, 1.0)), st.sampled_from(("", "1"))),
    *(st.sampled_from((Decimal(1), b"1", dt.date(2026, 1, 1), Way.CASH, Cash(), Card(amount=2))),),
)
KEYS = st.sampled_from(("", "1", 1, None, (1,), Decimal(1)))
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.lists(inner, max_size=2).map(tuple),
        st.dictionaries(KEYS, inner, max_size=2),
        st.sets(st.sampled_from((1, "1", (1,), None)), max_size=3),
    ),
    max_leaves=4,
)


@given(VALUES, VALUES)
def test_arguments_are_the_same_if_and_only_if_their_identity_is(one: object, other: object) -> None:
    """Values and their types decide, and no order of keys."""
    assert (digest(one) == digest(other)) == is_same(one, other)


def test_the_order_of_keys_identifies_no_call() -> None:
    """A dict that is made of a set has another order in each process."""
    assert digest({"a": 1, "b": {"c": 1, "d": 2}}) == digest({"b": {"d": 2, "c": 1}, "a": 1})
    assert digest_of_call("f", (), {"a": 1, "b": 2}) == digest_of_call("f", (), {"b": 2, "a": 1})
    assert digest(OrderedDict(a=1, b=2)) != digest(OrderedDict(b=2, a=1))


class State(BaseModel):
    """What the calls returned."""

    found: list[str] = []


@pytest.mark.parametrize(("one", "other"), [((), []), ({1: "x"}, {"1": "x"}), (Cash(), Card()), (Decimal(1), "1")])
async def test_results_of_unlike_calls_are_not_exchanged(one: object, other: object) -> None:
    """The second attempt makes the calls in the other order, and gets the result of each."""
    made: list[str] = []

    def told(value: object) -> str:
        made.append(type(value).__name__)
        return type(value).__name__

    async def work(ctx: Context) -> list[str]:
        pair = [one, other] if ctx.attempt == 1 else [other, one]
        found = await asyncio.gather(*(ctx.call(told, each, effect="once") for each in pair))
        if ctx.attempt == 1:
            raise OSError("later")
        return found

    graph = alone(State, work, "found", retry=Retry(attempts=2, initial_seconds=0, on=(OSError,)))
    async with Runner() as runner:
        result = await runner.start(graph).result()
    assert result.state.found == [type(other).__name__, type(one).__name__]
    assert len(made) == 2
