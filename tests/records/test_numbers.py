"""What a number means in a condition is the same live, in each store, after a resume, on a branch and in a replay."""

import enum
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, RunFailed, Runner, iterations, plateau, value
from graphengine.errors import DefinitionError
from graphengine.records.export import export_run, parse, to_json_text
from graphengine.reducers import maximum
from graphengine.stores.memory import InMemoryStore
from graphengine.testing import replay

Place = Callable[[], AbstractContextManager[Path | str | None]]
Mode = Literal["max", "min"]


class Rate(enum.Enum):
    """A number under a name."""

    LOW = 0.5


class Half(float):
    """A float of another library."""


class State(BaseModel):
    """How often the node ran, and what it measured, as far as a record carries it."""

    n: int = 0
    price: Decimal = Decimal(0)
    share: float = 0.0
    best: Annotated[float, maximum] = 0.0


ODD: Sequence[object] = (
    *(math.nan, math.inf, -math.inf, -0.0, 0.0, 0, 1, 1.5, True, None, "2", 0.1, Decimal("0.1"), Rate.LOW, Half(2.5)),
    *(2**53, 2**53 + 1, float(2**53), 10**400, -(10**400), Fraction(1, 3), 1j),
    *map(Decimal, ("0.10", "0.10000000000000000001", "1E+400", "NaN", "sNaN", "Infinity", "-Infinity", "-0")),
)


def watching(samples: Sequence[object], mode: Mode = "max", min_delta: float = 0.0, patience: int = 1) -> Graph[State]:
    """Return a graph that measures these samples in turn, until one no longer improves."""
    graph = Graph("numbers", State)
    graph.add_node("train", lambda n: n + 1, writes="n")
    graph.add_edge(START, "train")
    graph.add_edge("train", END, when=iterations("train") >= len(samples), label="out")
    test = plateau(lambda n: samples[n - 1] if n else None, mode=mode, min_delta=min_delta, patience=patience)
    graph.add_edge("train", END, when=test, label="no gain")
    graph.add_edge("train", "train")
    return graph


def expected(samples: Sequence[object], mode: Mode, min_delta: float, patience: int) -> tuple[int, str]:
    """Return after how many visits the graph ends, and how: by exact numbers, where NaN is below them all."""
    best: tuple[int, Fraction] | None = None
    stale = 0
    for visit, each in enumerate(samples[:-1], 1):
        rank = ranked(each, mode)
        if rank is not None:
            gain = best is None or (rank > best and (rank[0] != best[0] or rank[1] - best[1] > Fraction(min_delta)))
            best, stale = (rank, 0) if gain else (best, stale + 1)
        if stale >= patience:
            return visit, "no gain"
    return len(samples), "out"


def ranked(sample: object, mode: Mode) -> tuple[int, Fraction] | None:
    """Return the place of a sample among all: NaN, minus infinity, the finite ones by value, infinity."""
    sample = sample.value if isinstance(sample, enum.Enum) else sample
    if isinstance(sample, bool) or not isinstance(sample, (int, float, Decimal, Fraction)):
        return None
    if isinstance(sample, Decimal) and sample.is_nan():
        return 0, Fraction(0)
    if isinstance(sample, (float, Decimal)) and not math.isfinite(sample):
        return (0 if math.isnan(sample) else 1 if (sample > 0) is (mode == "min") else 3), Fraction(0)
    exact = Fraction(float(sample)) if isinstance(sample, Fraction) else Fraction(sample)
    return 2, exact if mode == "max" else -exact


async def lives(graph: Callable[[], Graph[State]], place: Any, visits: int) -> dict[str, tuple[int, str]]:
    """Return how a run ends live, on a branch from each visit, resumed after each visit, and in a replay."""
    seen: dict[str, tuple[int, str]] = {}
    async with Runner(place) as runner:
        live = await runner.start(graph(), State(), run_id="live").result()
        seen["live"] = live.state.n, live.label
        for at in range(1, live.state.n):
            branch = await runner.branch("live", graph(), at=("train", at)).result()
            seen[f"branch {at}"] = branch.state.n, branch.label
        exported = await export_run(runner.store, "live")
        result = await runner.start(graph(), State(), run_id="resumed", limits=Limits(visits=1)).result()
    for most in range(2, visits + 2):
        if result.status == "stopped":
            async with Runner(place) as runner:
                result = await runner.resume("resumed", graph(), limits=Limits(visits=most)).result()
    seen["resumed"] = result.state.n, result.label
    assert replay(graph(), parse(to_json_text(exported, "1"), "run.json")).same
    return seen


@settings(max_examples=150)
@given(st.lists(st.sampled_from(ODD), min_size=1, max_size=5), st.sampled_from(("max", "min")), st.integers(1, 2))
async def test_a_plateau_decides_alike_wherever_its_marks_are_read(
    samples: Sequence[object], mode: Mode, patience: int
) -> None:
    """NaN, infinities, large ints, Decimals and what is no number: live, branched, resumed and replayed alike."""
    seen = await lives(lambda: watching(samples, mode, 0.0, patience), InMemoryStore(), len(samples))
    assert set(seen.values()) == {expected(samples, mode, 0.0, patience)}, seen


@pytest.mark.parametrize("delta", [0.0, 0.25])
async def test_a_plateau_decides_alike_in_every_store(fresh: Place, delta: float) -> None:
    """Each odd number after each other one, in each store."""
    for samples in [*pairwise(ODD)][:: 4 if delta else 3]:
        with fresh() as place:
            where = InMemoryStore() if place is None else place
            seen = await lives(partial(watching, (*samples, 0), "max", delta), where, 3)
        assert set(seen.values()) == {expected((*samples, 0), "max", delta, 1)}, (samples, seen)


async def test_a_sample_without_end_fails_where_it_is_asked_for() -> None:
    """A number that no record can carry is refused by the condition, and not taken for no sample."""
    with pytest.raises(RunFailed, match="more than 3,000 digits is too long for a sample"):
        await watching([10**5000, 1]).run()


TABLE: Sequence[tuple[object, str, object, bool]] = (
    (Decimal("0.1"), "==", 0.1, True),
    (Decimal("0.1"), ">=", 0.1, True),
    (Decimal("0.1"), "!=", 0.1, False),
    (0.1, "==", Decimal("0.1"), True),
    (0.1 + 0.2, "==", Decimal("0.3"), False),
    (Decimal("0.10000000000000000001"), ">", 0.1, True),
    (Decimal("NaN"), ">=", Decimal(1), False),
    (Decimal("NaN"), "!=", Decimal(1), True),
    (Decimal(1), "<", math.inf, True),
    (math.nan, ">=", 1, False),
    (math.nan, "==", 1, False),
    (math.nan, "!=", 1, True),
    (math.inf, ">", 10**400, True),
    (10**400, ">", 1.5, True),
    (2**53 + 1, ">", float(2**53), True),
    (-0.0, "==", 0, True),
    (True, "==", 1, True),
    (None, "!=", 1, False),
    (Rate.LOW, "==", 0.5, True),
    (Decimal("0.1"), "in", [0.1, 0.2], True),
    (math.nan, "in", [1, 2], False),
    ([Decimal("0.1")], "contains", 0.1, True),
)


@pytest.mark.parametrize(("given", "sign", "other", "held"), TABLE)
async def test_a_condition_compares_as_the_table_of_semantics_says(
    given: object,
    sign: str,
    other: Any,
    held: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """The table in docs/explain/semantics.md, row by row."""
    left = value(lambda n: given)
    made = {
        "in": left.is_in,
        "contains": left.contains,
        "==": left.__eq__,
        "!=": left.__ne__,
        ">=": left.__ge__,
        ">": left.__gt__,
        "<": left.__lt__,
    }
    graph = Graph("table", State)
    graph.add_node("n", lambda n: n + 1, writes="n")
    graph.add_edge(START, "n")
    graph.add_edge("n", END, when=made[sign](other), label="yes")
    graph.add_edge("n", END, label="no")
    assert (await graph.run()).label == ("yes" if held else "no")


@pytest.mark.parametrize("given", [math.nan, Decimal("NaN"), [1, math.nan]])
def test_nan_is_no_bound(given: Any) -> None:
    """A comparison with NaN never holds, so that no graph can have one."""
    with pytest.raises(DefinitionError, match="which equals no number"):
        value("share").is_in(given) if isinstance(given, list) else value("share") == given
    with pytest.raises(DefinitionError, match="one of the cases is NaN"):
        Graph("cases", State).add_switch(START, "share", {math.nan: END}, otherwise=END)


async def test_a_switch_finds_the_case_of_a_decimal_by_the_float_that_names_it() -> None:
    """A case 0.1 is for Decimal("0.1") too, as a condition says."""
    graph = Graph("cases", State)
    graph.add_node("n", lambda: Decimal("0.1"), writes="price")
    graph.add_edge(START, "n")
    graph.add_switch("n", "price", {0.1: END}, otherwise="n")
    assert (await graph.run(limits=Limits(visits=3))).label == "0.1"


def test_the_largest_of_numbers_is_one_if_there_is_one() -> None:
    """NaN is less than every number, whichever came first."""
    assert [maximum(math.nan, 3.0), maximum(3.0, math.nan), maximum(2, 10**400)] == [3.0, 3.0, 10**400]
