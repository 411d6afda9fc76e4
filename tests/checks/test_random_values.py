"""Random values of random types: what is read from a record is what was written, in all that there is to see."""

# ruff: noqa: DTZ001 - times without a zone are among the values

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict

from tests.docs.values import Boxed, Frozen, Ice, Keyed, Pair, Patch, Plain, verdict

ZONES = st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=-3.5)), *map(ZoneInfo, ("Europe/Berlin", "UTC"))])
NEAR = (
    dt.datetime(2026, 10, 25, 2, 30),
    dt.datetime(2026, 3, 29, 2, 30),
    dt.datetime(1, 1, 2),
    dt.datetime(9999, 12, 30),
)
TIMES = st.builds(
    lambda when, zone, fold: when.replace(tzinfo=zone, fold=fold),
    st.sampled_from(NEAR) | st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)),
    ZONES,
    st.integers(0, 1),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
PATCHES = st.sampled_from([Patch(), Patch(name="a"), Patch(phone=None), Patch(name="a", phone="b")])

Kind = tuple[Any, st.SearchStrategy[Any]]
LEAVES: list[Kind] = [
    (int, st.integers()),
    (str, TEXTS),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (dt.datetime, TIMES),
    (dt.time, TIMES.map(lambda when: when.timetz())),
    (Patch, PATCHES),
    (Ice, st.builds(Ice, n=st.integers()) | st.builds(Ice)),
    (Pair, st.builds(Pair, st.integers(), TEXTS)),
    (Plain, st.builds(Plain, st.integers(), st.lists(TEXTS, max_size=2))),
    (Frozen, st.builds(Frozen, st.integers())),
    (Keyed, st.sampled_from([{"a": 1}, {"a": 1, "b": None}, {"a": 1, "b": 2}])),
    (set[str], st.sets(TEXTS, max_size=4)),
    (frozenset[Ice], st.frozensets(st.builds(Ice, n=st.integers(0, 9)), max_size=3)),
    (Any, st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, lambda part: st.lists(part, max_size=3))),
]


def around(kinds: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    """Return the types that hold values of other ones."""

    def held(inner: Kind) -> st.SearchStrategy[Kind]:
        values = inner[1]
        kind: Any = inner[0]
        made: list[Kind] = [
            (list[kind], st.lists(values, max_size=3)),
            (dict[str, kind], st.dictionaries(TEXTS, values, max_size=3)),
            (tuple[kind, ...], st.lists(values, max_size=3).map(tuple)),
            (kind | None, st.none() | values),
            (Boxed[kind], values.map(lambda value: Boxed[kind](held=value))),
        ]
        return st.sampled_from(made)

    return kinds.flatmap(held)


KINDS = st.recursive(st.sampled_from(LEAVES), around, max_leaves=3)
PAIRS = KINDS.flatmap(lambda kind: st.tuples(st.just(kind[0]), kind[1]))


@settings(max_examples=300)
@given(PAIRS)
def test_what_is_read_is_what_was_written(pair: tuple[Any, Any]) -> None:
    """It is kept, or a time that no zone of this offset has is refused."""
    kind, value = pair
    assert verdict(kind, value, ConfigDict()) == "kept", (kind, value)
