"""Records that stay encoded: the same records and errors as without, and values that are handed on unchanged."""

import datetime
import decimal
import enum
import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import GenericAlias
from typing import Annotated, Any, Literal, NotRequired

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic_core import from_json
from typing_extensions import TypedDict

from graphengine import END, START, Graph, RunFailed, Runner
from graphengine.errors import InvalidUpdate, NotRecordable
from graphengine.reducers import extend
from graphengine.state import encoded
from graphengine.state.encoded import codec_of, encode, is_deeper, items_of, keys_of, opened, record_of
from graphengine.state.field import FieldType
from graphengine.state.json_values import check_depth
from graphengine.state.schema import StateType
from graphengine.state.update import Unread
from graphengine.state.view import RecordsAlone, View


class Row(TypedDict):
    """A row with a key that can be missing."""

    name: str
    tags: NotRequired[list[str]]


class State(BaseModel):
    """Lists and dicts of JSON values."""

    anything: list[Any] = []
    table: dict[str, Any] = {}
    rows: list[Row] = []
    deep: list[dict[str, list[int | float | str | bool | None]]] | None = None
    numbers: list[float] = []
    words: dict[str, Literal["a", "b"]] = {}
    log: Annotated[list[dict[str, Any]], extend] = []


class Level(enum.IntEnum):
    """An int that is more than an int."""

    LOW = 1


STATE = StateType.of(State)


def outcome(field: FieldType, value: object, view: View | None = None) -> object:
    """Return the record and the typed value of an update, or the error."""
    view = view or View(STATE, RecordsAlone({}))
    try:
        op, typed = field.reduce(view, value)
    except (InvalidUpdate, NotRecordable) as error:
        return type(error), error.message
    if isinstance(typed, Unread):
        typed = field.build(typed.record, view)
    return from_json(encode(op)), typed, type(typed)


def validated(field: FieldType, value: object) -> object:
    """Return the same, as pydantic alone validates and writes it."""
    exact, field.exact = field.exact, None
    try:
        return outcome(field, value)
    finally:
        field.exact = exact


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ODD = st.sampled_from(
    [
        (1, 2),
        {1, 2},
        {1: "int key"},
        b"bytes",
        math.nan,
        -math.inf,
        "lone \ud800",
        Level.LOW,
        decimal.Decimal("1.5"),
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        State(),
        object,
    ]
)
HUGE = st.integers(14_000, 20_000).map(lambda bits: 2**bits)  # more digits than JSON readers accept
NEAR = st.recursive(
    JSON | ODD | HUGE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@pytest.mark.parametrize("name", list(State.model_fields))
@given(value=NEAR)
def test_an_update_is_recorded_as_pydantic_would(name: str, value: object) -> None:
    """The record, the typed value and the errors are the same, whatever the value."""
    field = STATE.fields[name]
    assert field.exact is not None
    assert outcome(field, value) == validated(field, value)
    with as_large_ones():
        assert outcome(field, value) == validated(field, value)


@contextmanager
def as_large_ones() -> Iterator[None]:
    """Let each value that a codec takes count as large, and each level of one as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoded, "LARGE", 0)
        patch.setattr(encoded, "_FEW_HOLDERS", 2)
        yield


def kinds_in(value: object) -> object:
    """Return a value with its types, since 1, 1.0 and True are equal, and with the order of its keys."""
    if isinstance(value, dict):
        return dict, [(kinds_in(key), kinds_in(item)) for key, item in value.items()]
    return (list, [kinds_in(item) for item in value]) if isinstance(value, list) else (type(value), value)


SMALL_INTS = st.integers(-(2**63), 2**63)
CELLS = st.none() | st.booleans() | SMALL_INTS | st.floats(allow_nan=False, allow_infinity=False) | st.text()
ITEMS = st.lists(CELLS, max_size=3) | st.dictionaries(st.text(max_size=2), CELLS, max_size=3) | CELLS
TABLES = st.lists(st.lists(st.sampled_from([CELLS, ITEMS]), max_size=3)).flatmap(
    lambda columns: st.lists(st.tuples(*(columns[0] if columns else ())).map(list), max_size=5)
)


@given(value=st.lists(JSON, min_size=1) | st.dictionaries(st.text(), JSON, min_size=1) | TABLES)
def test_a_large_value_of_json_is_not_read_back(value: object) -> None:
    """What is built from its record at the first read has the same types and values, and the same order."""
    codec = codec_of(Any)
    assert codec is not None
    with as_large_ones():
        taken = codec.take(value, later=True)
    if taken is None:
        assert "inf" in repr(value)
        return
    body, typed = taken
    assert isinstance(typed, Unread)
    assert kinds_in(codec.decode(body)) == kinds_in(value)


@pytest.mark.parametrize(
    ("annotation", "fitting", "others"),
    [
        (list[str], ["a"], [["a", 1], [None], [["a"]], ("a",), [b"a"]]),
        (list[int], [1], [[True], [1.0], ["1"], [decimal.Decimal(1)], [10**4200]]),
        (list[float], [1.5], [[1], [math.inf], [True], ["1"]]),
        (list[int | float], [1, 1.5], [[1, math.nan], [True], [None], [1.5, decimal.Decimal("1.5")]]),
        (
            list[Any],
            [1, None, 1.5],
            [[1.5, decimal.Decimal("1.5")], [decimal.Decimal(2)], [1, math.nan], [State()], [1j]],
        ),
        (dict[str, list[str]], {"a": ["b"]}, [{"a": [1]}, {"a": "b"}, {1: ["b"]}]),
        (dict[str, str | list[str]], {"a": "b", "c": ["d"]}, [{"a": 1}, {"a": {"b": "c"}}]),
        (list[dict[str, Any]], [{"a": [1, {}]}], [[{"a": (1,)}], [[1]], [{"a": b"1"}], [{"a": {1: 2}}]]),
        (list[dict[str, Any]], [{"a": None, "b": 1.5}], [[{"a": [datetime.date(2026, 1, 1)]}], [{"a": {1}}]]),
    ],
)
def test_a_large_value_of_another_type_is_read_back(annotation: Any, fitting: Any, others: list[Any]) -> None:
    """The types in a value decide: one of another type is read back and compared, whatever it equals."""
    codec = codec_of(annotation)
    assert codec is not None
    with as_large_ones():
        assert [type(made) for _, made in [codec.take(fitting, later=True) or (b"", 0)]] == [Unread]
        for other in others:
            assert not isinstance((codec.take(other, later=True) or (b"", 0))[1], Unread), other


ROWS = st.lists(st.fixed_dictionaries({"name": st.text()}, optional={"tags": st.lists(st.text())}))


@given(rows=ROWS)
def test_a_typed_dict_is_recorded_as_pydantic_would(rows: list[object]) -> None:
    """A TypedDict is recorded as pydantic would, also with keys that may be missing."""
    assert outcome(STATE.fields["rows"], rows) == validated(STATE.fields["rows"], rows)


class Model(BaseModel):
    """A model, which only pydantic can read."""

    n: int = 0


@pytest.mark.parametrize(
    "annotation",
    [
        int,
        str | None,
        list[Model],
        dict[int, str],
        list[Annotated[int, Field(gt=0)]],
        set[int],
        tuple[int, ...],
        list[bytes],
        dict[str, datetime.date],
        list["Unknown"],  # type: ignore[name-defined]  # noqa: F821
    ],
    ids=str,
)
def test_other_types_have_no_codec(annotation: object) -> None:
    """Other types have no codec, since their values need pydantic."""
    assert codec_of(annotation) is None


@given(data=st.data(), docs=st.lists(JSON, max_size=5), rows=ROWS, deep=st.dictionaries(st.text(), JSON, max_size=3))
def test_what_is_passed_on_is_recorded_as_if_it_were_new(
    data: st.DataObject, docs: list[object], rows: list[object], deep: dict[str, object]
) -> None:
    """Whatever items of whatever fields a list has: the record, the typed value and the errors are the same."""
    held = RecordsAlone({})
    long = {"long": "." * 1000}  # few bytes are encoded again
    for name, value in {"anything": [*docs, long, [long]], "rows": rows, "log": [deep, long], "table": deep}.items():
        with suppress(InvalidUpdate, NotRecordable):
            held.values[name] = STATE.fields[name].reduce(View(STATE, RecordsAlone({})), value)[0][2]
    view = View(STATE, held)
    view.passes = tuple(held.values)
    read = [view.get(name) for name in held.values]
    items = [*read, *(item for value in read if isinstance(value, list) for item in value), {"new": 1}, 2]
    given = data.draw(st.lists(st.sampled_from(items), max_size=4))
    field = STATE.fields[data.draw(st.sampled_from(["anything", "rows", "deep", "log"]))]
    assert outcome(field, given, view) == validated(field, given)


class Stripped(BaseModel):
    """A state whose settings change values."""

    model_config = ConfigDict(str_strip_whitespace=True)

    words: list[str] = []
    few: Annotated[list[str], Field(max_length=1)] = []


def test_settings_and_rules_are_kept() -> None:
    """A setting of the state or a rule of a field leaves the field to pydantic."""
    state = StateType.of(Stripped)
    view = View(state, RecordsAlone({}))
    assert state.fields["words"].reduce(view, [" a "])[1] == ["a"]
    with pytest.raises(InvalidUpdate, match="at most 1 item"):
        state.fields["few"].reduce(view, ["a", "b"])


@given(value=JSON)
def test_an_encoded_record_opens_to_its_value(value: Any) -> None:
    """Whole, split into items or keys, and inside operations."""
    body = encode(value)
    record = record_of(body)
    assert isinstance(record, msgspec.Raw) == isinstance(value, (list, dict))
    assert opened(record) == from_json(body)
    if isinstance(value, list):
        assert opened(items_of(record)) == from_json(body)
    if isinstance(value, dict):
        assert opened(keys_of(record)) == from_json(body)


@given(value=JSON, levels=st.integers(0, 4))
def test_the_depth_of_a_value_is_that_of_its_json(value: object, levels: int) -> None:
    """Its objects tell whether it is nested too deep, as its brackets do."""
    try:
        check_depth(encode(value), levels)
    except (ValueError, OverflowError):
        assert is_deeper(value, levels)
    else:
        assert not is_deeper(value, levels)


@pytest.mark.parametrize("depth", [126, 127, 128])
def test_a_long_value_has_the_same_greatest_depth_as_others(depth: int) -> None:
    """A value of 127 levels is recorded, whatever its length, and a deeper one is not."""
    inner: list[Any] = ["." * 1000]
    for _ in range(depth - 1):
        inner = [inner]
    found = outcome(STATE.fields["anything"], inner)
    assert found == validated(STATE.fields["anything"], inner)
    assert (found[0] is NotRecordable) == (depth > 127)  # type: ignore[index]


@pytest.mark.parametrize("is_on", [True, False])
def test_decoding_leaves_garbage_collection_as_it_was(is_on: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """It pauses while a large value is decoded, also one that does not fit; a process that has it off keeps it off."""
    codec = codec_of(list[str])
    assert codec is not None
    before = gc.isenabled()
    (gc.enable if is_on else gc.disable)()
    try:
        assert codec.decode(encode(["." * 100_000])) == ["." * 100_000]
        with pytest.raises(msgspec.MsgspecError):
            codec.decode(encode(["." * 100_000, 1]))
        assert gc.isenabled() == is_on
    finally:
        (gc.enable if before else gc.disable)()


# -- values that a node hands on


class Talk(BaseModel):
    """Messages, and other fields of their type."""

    messages: Annotated[list[dict[str, Any]], extend] = []
    recent: list[dict[str, Any]] = []
    first: dict[str, Any] | None = None
    n: int = 0


def talk(*nodes: tuple[Any, str]) -> Graph[Talk]:
    """Return a chain of nodes, each with the field that it writes."""
    graph = Graph("talk", Talk)
    for function, writes in nodes:
        graph.add_node(function.__name__, function, writes=writes)
    graph.add_path(START, *(function.__name__ for function, _ in nodes), END)
    return graph


async def keep(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Hand all messages on."""
    return messages


async def write(n: int) -> list[dict[str, Any]]:
    """Write one more."""
    return [{"text": f"new {n}"}]


async def look(recent: list[dict[str, Any]], messages: list[dict[str, Any]]) -> int:
    """Read both fields."""
    return 100 * len(recent) + len(messages)


GIVEN = [{"text": "a"}, {"text": "b"}]


async def test_fields_with_one_value_grow_separately() -> None:
    """A list that was handed on to another field does not grow with it."""
    result = await talk((keep, "recent"), (write, "messages"), (look, "n")).run(Talk(messages=GIVEN))
    assert (result.state.n, result.state.recent) == (203, GIVEN)
    assert result.state.messages == [*GIVEN, {"text": "new 0"}]


async def test_a_list_can_be_added_to_itself() -> None:
    """Adding a list to itself adds its messages once."""
    result = await talk((keep, "messages"), (look, "n")).run(Talk(messages=GIVEN))
    assert (result.state.messages, result.state.n) == ([*GIVEN, *GIVEN], 4)


async def test_a_handed_on_value_is_checked_for_changes() -> None:
    """The node that changes it fails; after a resume no field has the change."""

    async def spoil(recent: list[dict[str, Any]], n: int) -> int:
        if n == 1:
            recent[0]["text"] = "spoilt"
        return 2

    async def collect(recent: list[dict[str, Any]], messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [*recent, *messages]

    graph = talk((keep, "recent"), (spoil, "n"), (collect, "messages"))
    async with Runner() as runner:
        with pytest.raises(RunFailed, match="spoil changed its input 'recent' in place"):
            await runner.start(graph, Talk(messages=GIVEN, n=1), run_id="run").result()
        result = await runner.branch("run", graph, 2, update={"n": 0}).result()
    assert result.state.messages == [*GIVEN, *GIVEN, *GIVEN]


async def test_only_the_changed_field_of_a_state_is_named() -> None:
    """A node that takes the whole state, and changes one field of it in place."""

    async def spoil(state: Talk) -> int:
        state.messages[0]["text"] = "spoilt"
        return 2

    with pytest.raises(RunFailed, match="spoil changed its input 'messages' in place"):
        await talk((spoil, "n")).run(Talk(messages=GIVEN))


class Prices(TypedDict, extra_items=int):  # type: ignore[call-arg]
    """A dict with any keys of numbers beside its own."""

    currency: str


class More(Prices):
    """The same, inherited."""

    shop: str


class Anything(TypedDict):
    """A dict that pydantic leaves open."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    a: str


class Below(Anything):
    """The same, inherited."""

    b: int


class Trimmed(TypedDict):
    """A dict whose texts pydantic changes."""

    __pydantic_config__ = ConfigDict(str_strip_whitespace=True)  # type: ignore[misc]
    a: str


class TrimmedBelow(Trimmed):
    """The same, inherited."""


OPEN: list[tuple[Any, dict[str, object]]] = [
    (Prices, {"currency": "EUR", "tea": 3}),
    (More, {"currency": "EUR", "shop": "a", "tea": 3}),
    (Anything, {"a": "x", "more": {"b": 2}}),
    (Below, {"a": "x", "b": 1, "more": 2}),
]


@pytest.mark.parametrize(("kind", "value"), OPEN)
@pytest.mark.parametrize("within", ["alone", "list", "dict"])
async def test_open_typed_dicts_keep_their_items(kind: Any, value: dict[str, object], within: str) -> None:
    """Items beyond the keys of a TypedDict are read back, also where it is inherited that it has some."""
    if TypeAdapter(kind).validate_python(value) != value:
        pytest.skip("pydantic itself drops them, as 2.12 does where it is inherited that it has some")
    kinds: dict[str, Any] = {
        "alone": kind | None,
        "list": GenericAlias(list, kind),
        "dict": GenericAlias(dict, (str, kind)),
    }
    written: Any = {"alone": value, "list": [value], "dict": {"k": value}}[within]
    state: Any = create_model("State", v=(kinds[within] | None, None))
    graph = Graph("open", state)
    graph.add_node("write", lambda: written, writes="v")
    graph.add_node("look", lambda v: v, writes="v")
    graph.add_path(START, "write", "look", END)
    async with Runner() as runner:
        result = await runner.start(graph, run_id="r").result()
        branch = await runner.branch("r", graph, at=("write", 1)).result()
    assert result.state.v == branch.state.v == written


def test_a_typed_dict_whose_configuration_is_inherited_has_no_codec() -> None:
    """What pydantic does to its texts is not done by msgspec."""
    assert codec_of(list[Trimmed]) is codec_of(list[TrimmedBelow]) is None
    assert codec_of(list[Row]) is not None
