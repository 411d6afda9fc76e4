"""Random bytes and JSON for every reader of stored or user data: the right result, or an error of graphengine.

`FUZZ=20000 pytest tests/fuzz --hypothesis-seed=7` tries this many inputs per test; the default is a few hundred.
SHRINK=0 skips the minimisation of failing inputs, which takes long. `pytest -s` prints how many were tried.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from graphengine.engine.fold import fold
from graphengine.engine.step_json import decode_step
from graphengine.engine.stored import to_record
from tests.fuzz.targets import DATABASE, OUTLINE, STEPS, TARGETS
from tests.fuzz.targets import ours as comes_to_something

EXAMPLES = int(os.environ.get("FUZZ", "0"))
PHASES = [phase for phase in Phase if os.environ.get("SHRINK") != "0" or phase not in (Phase.shrink, Phase.explain)]
TRIED: Counter[bool] = Counter()
LOG: list[Any] = [json.loads(body) for body in STEPS]
VISIT: Any = {"at": 2.0, "node": "work", "visit": 1, "attempt": 1, "began": 1.0}
CALL = {"id": "a", "name": "f", "arguments": "{}"}
TURN = {
    "key": "turn|a|1",
    "name": "turn",
    "value": {"text": "x", "stop": "end", "calls": [CALL]},
    "usage": {"calls": 1, "input_tokens": 1, "output_tokens": 2, "cost_usd": 0.1},
    "by": {"agent": "a", "model": "m"},
}
TOOL = {"key": "tool f|a|1", "name": "tool f", "value": {"text": "x", "error": True, "traceback": "t"}}
ROWS: list[Any] = [*LOG, *({"kind": "recorded", **VISIT, "data": data} for data in (TURN, TOOL))]
"""The rows of a real log, with the turn of a model and the result of a tool."""
HOSTILE: list[Any] = [None, True, -1, 1e300, 10**400, "", "\ud800x", [], [1], {}, {"a": 1}, [[]], "set"]
SNAPSHOT: Any = json.loads(json.dumps(to_record(fold(decode_step(seq, body) for seq, body in enumerate(STEPS, 1)))))

SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
WORDS = [
    "",
    "r",
    "work",
    "each",
    "each[0]",
    "inside/",
    "~left",
    "ask",
    "set",
    "append",
    "node",
    "waiting",
    "END",
    "$ref",
    "#",
]
VALUES = st.recursive(
    SCALARS | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = [
    "type",
    "enum",
    "const",
    "anyOf",
    "$ref",
    "$defs",
    "items",
    "properties",
    "required",
    "minimum",
    "pattern",
    "title",
]
SCHEMAS = st.recursive(
    VALUES | st.sampled_from(["string", "#/$defs/a", "object", "array", "#"]),
    lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=12,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return every place in a JSON value."""
    found = [at]
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*at, index))
    return found


def changed(value: Any, at: tuple[Any, ...], new: Any, how: str) -> Any:
    """Return the value with another value at a place, or without it."""
    if not at:
        return new
    made = dict(value) if isinstance(value, dict) else list(value)
    if len(at) == 1 and how == "drop":
        del made[at[0]]
    elif len(at) == 1 and how == "twice" and isinstance(made, list):
        made.insert(at[0], made[at[0]])
    else:
        made[at[0]] = changed(made[at[0]], at[1:], new, how)
    return made


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> bytes:
    """Return a JSON value with one to three changes."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from(places(value)))
        value = changed(value, at, draw(VALUES), draw(st.sampled_from(["set", "set", "drop", "twice"])))
    return json.dumps(value).encode()


@st.composite
def overwritten(draw: st.DrawFn) -> bytes:
    """Return a real database with random bytes somewhere, or cut off."""
    body = bytearray(DATABASE)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body) - 1))
        new = draw(st.binary(min_size=1, max_size=64))
        body[at : at + len(new)] = new
    return bytes(body[: draw(st.integers(0, len(body)))] if draw(st.integers(0, 9)) == 0 else body)


def tries(usual: int) -> settings:
    """Return how often a test is tried."""
    most = EXAMPLES or usual
    return settings(
        max_examples=most,
        suppress_health_check=list(HealthCheck),
        derandomize=not EXAMPLES,
        phases=PHASES,
    )


def ours(call: Callable[[], object]) -> None:
    """Check that a call returns or raises an error of graphengine, and count it."""
    TRIED[comes_to_something(call)] += 1


@pytest.fixture(scope="module", autouse=True)
def report_tries() -> Iterator[None]:
    """Print at the end how many inputs were tried."""
    TRIED.clear()
    yield
    sys.stdout.write(f"\n{TRIED.total()} bad inputs, {TRIED[False]} of them refused\n")


@pytest.mark.parametrize("name", TARGETS)
def test_random_bytes_are_refused_by_an_error_of_ours(name: str) -> None:
    """Meaningless bytes do no harm in any reader."""

    @tries(60)
    @given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
    @example(b"[" * 100_000 + b"]" * 100_000)
    @example(b"\xff")
    @example(b"NaN")
    def attempt(data: bytes) -> None:
        ours(lambda: TARGETS[name](data))

    attempt()


@tries(300)
@given(mutated(LOG))
def test_a_log_that_was_tampered_with_folds_or_is_damaged(data: bytes) -> None:
    """A real log with parts changed, dropped or duplicated."""
    ours(lambda: TARGETS["log"](data))


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_a_row_with_a_hostile_value_at_any_place_is_shown_or_damaged(number: int) -> None:
    """Each place of each kind of row, with each kind of value, and without it."""
    row = ROWS[number]
    for at in places(row):
        for new, how in [(None, "drop"), *((each, "set") for each in HOSTILE)][not at :]:
            ours(partial(TARGETS["step"], json.dumps(changed(row, at, new, how)).encode()))


@tries(200)
@given(mutated(SNAPSHOT))
def test_a_snapshot_that_was_tampered_with_is_read_or_damaged(data: bytes) -> None:
    """A real snapshot with changed parts."""
    ours(lambda: TARGETS["snapshot"](data))


@tries(150)
@given(mutated(OUTLINE))
def test_an_outline_that_was_tampered_with_is_drawn_or_refused(data: bytes) -> None:
    """A real graph spec with changed parts."""
    ours(lambda: TARGETS["graph_spec"](data))


@tries(150)
@given(SCHEMAS.map(lambda schema: json.dumps(schema).encode()))
def test_any_schema_can_be_asked_about(data: bytes) -> None:
    """A possible schema is described in words, or refused."""
    ours(lambda: TARGETS["schema"](data))


@tries(60)
@given(overwritten())
def test_a_database_with_other_bytes_in_it_is_read_or_refused(data: bytes) -> None:
    """A real database with random bytes written over it."""
    ours(lambda: TARGETS["database"](data))


@tries(150)
@given(st.lists(st.sampled_from(["n", "text", "words", "by_name", "maybe", "x"]), max_size=3), st.data())
def test_any_input_makes_a_state_or_is_refused(names: list[str], data: st.DataObject) -> None:
    """`key=value` and `key:=value` with any value."""
    made = [
        f"{name}{data.draw(st.sampled_from(['=', ':=', '']))}{data.draw(st.text(max_size=8) | VALUES.map(json.dumps))}"
        for name in names
    ]
    ours(lambda: TARGETS["pairs"]("\n".join(made).encode("utf-8", "surrogatepass")))
