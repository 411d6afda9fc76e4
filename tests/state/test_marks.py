"""Marks amid recorded JSON count where they belong, and nothing that only looks like one breaks a reader."""

import datetime as dt
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from graphengine import END, START, Graph, Runner
from graphengine.reducers import append
from graphengine.state.marks import bare, marked, read_json
from graphengine.state.same import is_same


class Part(BaseModel):
    name: str = ""
    at: dt.datetime | None = None


class Whole(BaseModel):
    parts: list[Part] = []
    more: dict[str, Part | str] = {}


BERLIN = ZoneInfo("Europe/Berlin")
READ = TypeAdapter(Whole).validate_json


def test_marks_move_with_their_values() -> None:
    """A part of the JSON of a value is the JSON of that part, with its marks."""
    value = Whole(parts=[Part(name="a"), Part(at=dt.datetime(2026, 1, 1, tzinfo=BERLIN))])
    body = marked(value, value.model_dump_json().encode())
    assert is_same(read_json(READ, body), value)
    first, second = bare_items(body)
    assert is_same(read_json(TypeAdapter(Part).validate_json, first), value.parts[0])
    assert is_same(read_json(TypeAdapter(Part).validate_json, second), value.parts[1])


def bare_items(body: bytes) -> list[bytes]:
    """Return the JSON of the two parts."""
    found = TypeAdapter(dict[str, Any]).validate_json(body)["parts"]
    return [TypeAdapter(Any).dump_json(each) for each in found]


@pytest.mark.parametrize(
    "given",
    [
        {"parts": [{"name": "a", "__fields_set__": 5}]},
        {"parts": [{"name": "a", "__fields_set__": [1, None, "no_such_field", "name"]}]},
        {"parts": [], "__fields_set__": {"a": 1}},
        {"more": {"x": "2026-01-01T00:00:00+01:00[Europe/Berlin]"}},
        {"more": {"__fields_set__": {"name": "b"}}},
    ],
    ids=["a number", "other names", "an object", "a text", "a key"],
)
def test_json_of_others_with_such_texts_is_read(given: dict[str, Any]) -> None:
    """What comes from outside may have anything in these places."""
    made = read_json(READ, TypeAdapter(Any).dump_json(given))
    assert made.parts in ([], [Part(name="a")])
    assert all(each.model_fields_set == {"name"} for each in made.parts)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "x" * 5000])
def test_an_unknown_zone_is_no_time(zone: str) -> None:
    """It is refused as any text that is no time, and opens no file."""
    with pytest.raises(ValidationError):
        read_json(READ, TypeAdapter(Any).dump_json({"parts": [{"at": f"2026-01-01T00:00:00Z[{zone}]"}]}))


@pytest.mark.parametrize(
    ("given", "read", "fold"),
    [
        ("02:30:00+02:00[Europe/Berlin]", "02:30:00+02:00", 0),
        ("02:30:00+01:00[Europe/Berlin][_fold=1]", "02:30:00+01:00", 1),
        ("02:30:00+01:00[Europe/Berlin]", "02:30:00+01:00", 1),
        ("14:00:00Z[Europe/Berlin]", "15:00:00+01:00", 0),
        ("15:00:00[Europe/Berlin]", "15:00:00+01:00", 0),
    ],
)
def test_a_time_of_others_is_the_moment_of_its_offset(given: str, read: str, fold: int) -> None:
    """A time that a person or another program wrote has no mark of its fold, or the offset of another zone."""
    made = read_json(TypeAdapter(dt.datetime).validate_json, f'"2026-10-25T{given}"'.encode())
    assert (made.isoformat(), made.fold, made.tzinfo) == (f"2026-10-25T{read}", fold, BERLIN)


def test_a_time_that_the_clocks_skip_is_kept() -> None:
    """02:30 does not exist on that day, and is not moved."""
    value = dt.datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN)
    for each in (value, value.replace(fold=1)):
        body = marked(each, TypeAdapter(dt.datetime).dump_json(each))
        assert is_same(read_json(TypeAdapter(dt.datetime).validate_json, body), each)


class Held(BaseModel):
    part: Part = Part()
    parts: list[Part] = []
    more: Annotated[list[Part], append] = []


async def test_recorded_values_are_inputs_and_updates() -> None:
    """What a record has can be the input of a run, and the change of a branch, with its marks."""
    graph = Graph("held", Held)
    graph.add_node("look", lambda part: None, thread=False)
    graph.add_path(START, "look", END)
    part = {"name": "a", "at": None, "__fields_set__": ["name"]}
    late = {"name": "", "at": "2026-10-25T02:30:00+01:00[Europe/Berlin][_fold=1]", "__fields_set__": ["at"]}
    given = {"part": part, "parts": [late, part], "more": [late]}
    async with Runner() as runner:
        await runner.start(graph, given, run_id="r").result()
        assert await runner.state_at("r") == given
        changed = {"part": late, "parts": [part], "more": part}
        await runner.branch("r", graph, 1, update=changed, run_id="s").result()
        assert await runner.state_at("s") == {**changed, "more": [late, part]}


def test_only_marks_are_taken_away() -> None:
    """JSON without any is the very object."""
    plain = {"a": ["2026-01-01T00:00:00Z", {"b": "[x]"}]}
    assert bare(plain) is plain
    assert bare({"a": 1, "__fields_set__": ["a"]}) == {"a": 1}
