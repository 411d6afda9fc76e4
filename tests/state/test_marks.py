"""Marks amid recorded JSON count where they belong, and nothing that only looks like one breaks a reader."""

import datetime as dt
import enum
from functools import partial
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError
from pydantic_core import core_schema, from_json

from graphengine import END, START, Graph, Runner, ask
from graphengine.reducers import append
from graphengine.state.marks import bare, marked, read, read_json
from graphengine.state.same import Ways, is_same, kept
from tests.kit.counted import calls


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


def test_a_list_of_equal_times_costs_as_much_as_its_length() -> None:
    """Each of them is refused with its zone, and found by where it is."""
    of_times = TypeAdapter(list[dt.datetime | int])

    def cost(count: int) -> int:
        times: list[dt.datetime | int] = [dt.datetime(2026, 1, 1, tzinfo=BERLIN)] * count
        body = marked(times, of_times.dump_json(times))
        assert is_same(read_json(of_times.validate_json, body), times)
        return calls(partial(read_json, of_times.validate_json, body))

    cost(1)
    assert cost(200) < 2.5 * cost(100)


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


PASSED = ("either", "several", "own")
LATE = "2026-10-25T02:30:00+01:00[Europe/Berlin]"
Hour = enum.Enum("Hour", {"LATE": LATE, "SHORT": "02:30:00"})


class Zoned:
    """A time of another library: its JSON is a text with the zone, and it equals that of its instant in any zone."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Zoned) and other.text.partition("[")[0] == self.text.partition("[")[0]

    def __hash__(self) -> int:
        return 0

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> core_schema.CoreSchema:
        """Read a text, and write it."""
        text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            json_schema=text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), text]),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value.text),
        )


class Texts(BaseModel):
    """Texts that look like times, beside times."""

    word: Literal["2026-10-25T02:30:00+01:00[Europe/Berlin]", "2026-10-25T02:30:00+01:00"] = "2026-10-25T02:30:00+01:00"
    hour: Hour = Hour.SHORT
    other: Zoned = Zoned("")
    at: dt.datetime | None = None
    either: Literal["2026-10-25T02:30:00+01:00[Europe/Berlin]"] | dt.time | None = None
    several: list[Literal["2026-10-25T02:30:00+01:00[Europe/Berlin]"] | int] = []
    times: dict[str, dt.datetime] = {}
    own: Annotated[str, AfterValidator(lambda text: text)] = ""
    parts: list[Part] = []
    turn: complex = 0j
    turns: set[complex] = set()


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "word": st.sampled_from((LATE, LATE[:-15])),
            "hour": st.sampled_from(Hour),
            "other": st.just(Zoned(LATE)),
            "at": st.sampled_from((dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN), None)),
            "either": st.sampled_from((LATE, dt.time(2, 30, tzinfo=BERLIN))),
            "several": st.lists(st.sampled_from((LATE, 1)), max_size=2),
            "times": st.dictionaries(st.sampled_from((LATE, "a")), st.just(dt.datetime(2026, 7, 1, tzinfo=BERLIN))),
            "own": st.just(LATE),
            "parts": st.just([Part(name=LATE), Part(at=dt.datetime(2026, 7, 1, tzinfo=BERLIN))]),
            "turn": st.sampled_from((0j, -0j, -(0j), -(1j), complex(-0.0, -1.5), complex(-0.0, 2), -1j, 1 - 0j)),
            "turns": st.sets(st.sampled_from((1 - 0j, -(1j), complex(-0.0, 2))), max_size=2),
        },
    )
)
def test_a_mark_is_taken_off_where_a_time_is_read_and_nowhere_else(given: dict[str, Any]) -> None:
    """Literals, enums and types of others keep their text, next to times that have the same one."""
    whole = TypeAdapter(Texts)
    value = Texts(**given)
    dump = partial(whole.dump_json, round_trip=True)
    again: Any = lambda value, plain: whole.validate_python(dump(value) if plain else value)  # noqa: E731
    ways = Ways(partial(read_json, whole.validate_json), dump, again)
    body, back = kept(dump(value), value, read_json(whole.validate_json, dump(value)), ways)
    assert is_same(back, value)
    assert is_same(read_json(whole.validate_json, body), value)
    assert back.other.text == value.other.text
    assert read(whole.validate_python, from_json(body)).other.text == value.other.text


async def test_a_text_that_looks_like_a_time_is_an_answer_and_an_update() -> None:
    """A question of such Literals takes them, and the next node gets them as they were written."""
    graph = Graph("texts", Texts)
    graph.add_node("ask", ask("when?", Literal["2026-10-25T02:30:00+01:00[Europe/Berlin]"]), writes="word")
    graph.add_node("pass", lambda word: {"either": word, "several": [word, 1], "own": word}, writes=PASSED)
    graph.add_path(START, "ask", "pass", END)
    async with Runner() as runner:
        await runner.start(graph, Texts(at=dt.datetime(2026, 7, 1, tzinfo=BERLIN)), run_id="r").result()
        run = await runner.answer("r", LATE, graph)
        result = await run.result()
    assert [result.state.word, result.state.either, result.state.several, result.state.own] == [
        *(LATE, LATE),
        *([LATE, 1], LATE),
    ]
