"""Values of many types, and what becomes of each between the node that writes it and a process that reads it.

A row is a group, the type as it is written in a state, and a value. `verdicts` takes each through the check of the
graph, a node, a record, and a reading of that record, and says what is left of it; `seen` is what it compares, without
the comparison of the package.
"""

# ruff: noqa: DTZ001 - times without a zone are among the values

import base64
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import json
import pathlib
import re
import tempfile
import typing
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, Final, Generic, Literal, NamedTuple, NewType, NotRequired, TypeVar
from zoneinfo import ZoneInfo

import pydantic
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from typing_extensions import TypedDict

from graphengine.checks.state import field_problems
from graphengine.errors import InvalidUpdate, NotRecordable
from graphengine.state.encoded import encode, opened
from graphengine.state.field import FieldType
from graphengine.state.field_from_model import field_type
from graphengine.state.schema import StateType
from graphengine.state.view import RecordsAlone, View

T = TypeVar("T")
BERLIN: Final = ZoneInfo("Europe/Berlin")
FOLDER: Final = pathlib.Path(tempfile.gettempdir())


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Word(str, enum.Enum):  # noqa: UP042 - as many write it
    YES = "yes"


class Unique(enum.Enum):
    ONE = object()


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Markup(str):
    """A text of a template engine."""

    __slots__ = ()


class Odd(dt.tzinfo):
    """A zone of another library."""

    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(hours=1)

    def dst(self, when: dt.datetime | None) -> None:
        return None

    def tzname(self, when: dt.datetime | None) -> str:
        return "Odd"


class Pair(NamedTuple):
    x: int
    y: str


class Hour(enum.Enum):
    LATE = "02:30[Europe/Berlin]"
    SHORT = "02:30"


class Priced(TypedDict, extra_items=int):  # type: ignore[call-arg]
    a: int


class Loose(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    a: int


class LooseBelow(Loose):
    b: int


class Keyed(TypedDict):
    a: int
    b: NotRequired[int | None]


@dataclass
class Plain:
    a: int = 1
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Frozen:
    a: int = 1


@dataclass
class Uncompared:
    a: int = 1
    b: int = field(default=2, compare=False)


@dataclass
class Made:
    a: int = 1
    b: int = field(init=False, default=7)


class Patch(BaseModel):
    name: str | None = None
    phone: str | None = None


class Nested(BaseModel):
    patch: Patch = Patch()
    many: list[Patch] = []
    at: dt.datetime | None = None


class Ice(BaseModel):
    model_config = ConfigDict(frozen=True)
    n: int = 0
    s: str = ""


class Aliased(BaseModel):
    size: int = Field(default=0, alias="Size")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int = 0


class Private(BaseModel):
    a: int = 0
    _seen: int = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Private) and self.a == other.a

    __hash__ = None  # type: ignore[assignment]


def _private() -> Private:
    made = Private(a=1)
    made._seen = 5  # noqa: SLF001 - an attribute of the test's own model
    return made


class Cache(BaseModel):
    __unrecorded__: typing.ClassVar = ("_cache",)
    a: int = 0
    _cache: int = 0


class Excluded(BaseModel):
    a: int = 0
    b: int = Field(default=0, exclude=True)


class Boxed(BaseModel, Generic[T]):
    held: T


class Root(pydantic.RootModel[list[int]]):
    pass


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


class Animal(BaseModel):
    legs: int = 4


class Bird(Animal):
    wings: int = 2


class Computed(BaseModel):
    a: int = 2

    @pydantic.computed_field
    def twice(self) -> int:
        return 2 * self.a

    @cached_property
    def thrice(self) -> int:
        return 3 * self.a


class Money:
    def __init__(self, text: object) -> None:
        self.text = str(text)


class Array:
    """As an array of numpy: its comparison has no truth."""

    def __init__(self, items: Sequence[float]) -> None:
        self.items = list(items)

    def __eq__(self, other: object) -> Any:
        return Truthless()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Array({self.items})"


class Truthless:
    def __bool__(self) -> bool:
        message = "the truth value of an array is ambiguous"
        raise ValueError(message)


def _made(kind: type, write: Any, **more: Any) -> Any:
    read = PlainValidator(lambda given: given if isinstance(given, kind) else kind(given))
    return Annotated[kind, read, PlainSerializer(write, when_used="json"), *more.values()]


MoneyText = _made(Money, lambda money: money.text, schema=WithJsonSchema({"type": "string"}))
MoneyBare = Annotated[Money, PlainValidator(Money)]
ArrayList = _made(Array, lambda array: array.items, schema=WithJsonSchema({"type": "array"}))
Holder: Any = Boxed[ArrayList]  # type: ignore[valid-type]
Name = NewType("Name", str)
Pet = Annotated[Cat | Dog, Discriminator("kind")]
Short = Annotated[collections.deque[int], AfterValidator(lambda held: collections.deque(held, maxlen=2))]
BASE64: Final = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

ROWS: Final[Mapping[str, Mapping[str, Sequence[object]]]] = {
    "Numbers": {
        "`int`": (int, 2**70, -1),
        "`int` of more digits than JSON readers take": (int, 10**5000),
        "`bool`": (bool, True),
        "`int`, given an `IntEnum`": (int, Level.HIGH),
        "`int`, given `True`": (int, True),
        "`float`": (float, 1.5, -0.0, 1e308),
        "`float`, given an `int`": (float, 2),
        "`float`, not finite": (float, float("inf")),
        "`float`, not a number": (float, float("nan")),
        "`complex`": (complex, 1 + 2j),
        "`complex`, with the sign of a zero": (complex, -(1j), complex(-0.0, 0.0)),
        "`Decimal`": (decimal.Decimal, decimal.Decimal("1.10"), decimal.Decimal("1E+3")),
        "`Fraction`": (fractions.Fraction, fractions.Fraction(1, 3)),
        "`Annotated[int, Field(ge=1)]`": (Annotated[int, Field(ge=1)], 3),
        "`pydantic.ByteSize`": (pydantic.ByteSize, pydantic.ByteSize(1024)),
    },
    "Texts and bytes": {
        "`str`": (str, "naïve ☃ \U0001f600", "\0"),
        "`str`, given a subclass": (str, Markup("<b>")),
        "`NewType`": (Name, Name("Ada")),
        "`bytes`": (bytes, b"\xff"),
        "`bytes`, with `ser_json_bytes` and `val_json_bytes` of base64": (bytes, b"\xff\x00", BASE64),
        "`bytearray`": (bytearray, bytearray(b"a")),
        "`pydantic.Base64Bytes`": (pydantic.Base64Bytes, base64.b64encode(b"\xff\x00")),
        "`pydantic.Base64Str`": (pydantic.Base64Str, base64.b64encode(b"text").decode()),
        "`re.Pattern`": (re.Pattern, re.compile("a+")),
        "`pydantic.HttpUrl`": (pydantic.HttpUrl, pydantic.HttpUrl("https://example.com/a")),
        "`pydantic.Json`": (pydantic.Json[list[int]], "[1]"),
    },
    "Choices": {
        "`Literal`": (Literal["a", 1], "a", 1),
        "`Enum`": (Colour, Colour.RED),
        "`IntEnum`": (Level, Level.HIGH),
        "`(str, Enum)`": (Word, Word.YES),
        "`Enum` of objects": (Unique, Unique.ONE),
        "`Flag`": (Rights, Rights.READ | Rights.WRITE),
        "`None`": (None, None),
        "`int | None`": (int | None, None, 1),
        "`int | str`": (int | str, 1, "1"),
        "`int | float`": (int | float, 1, 1.0),
    },
    "Times": {
        "`datetime` without a zone": (dt.datetime, dt.datetime(2026, 10, 25, 2, 30, 0, 123456)),
        "`datetime` without a zone, `fold=1`": (dt.datetime, dt.datetime(2026, 10, 25, 2, 30, fold=1)),
        "`datetime` of UTC": (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        "`datetime` of an offset": (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5.5)))),
        "`datetime` of a zone": (dt.datetime, dt.datetime(2026, 10, 24, 12, tzinfo=BERLIN)),
        "`datetime` of a zone, `fold=1`": (dt.datetime, dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)),
        '`datetime` of `ZoneInfo("UTC")`': (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC"))),
        "`datetime` of a zone of another library": (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=Odd())),
        "`list[datetime]`": (list[dt.datetime], [dt.datetime(2026, 7, 1, tzinfo=BERLIN), dt.datetime(2026, 7, 1)]),
        "`dict[str, datetime]`": (dict[str, dt.datetime], {"a": dt.datetime(2026, 7, 1, tzinfo=BERLIN)}),
        "`tuple[datetime, int]`": (tuple[dt.datetime, int], (dt.datetime(2026, 7, 1, tzinfo=BERLIN), 1)),
        "`frozenset[datetime]`": (frozenset[dt.datetime], frozenset({dt.datetime(2026, 7, 1, tzinfo=BERLIN)})),
        "`dict[datetime, int]`, of a zone": (dict[dt.datetime, int], {dt.datetime(2026, 7, 1, tzinfo=BERLIN): 1}),
        "`dict[datetime, int]`": (dict[dt.datetime, int], {dt.datetime(2026, 7, 1): 1}),
        "`str` that reads like a time in a zone": (str, "2026-10-25T02:30:00+01:00[Europe/Berlin]"),
        "`Literal` that reads like one": (Literal["02:30[Europe/Berlin]", "02:30"], "02:30[Europe/Berlin]", "02:30"),
        "`Enum` that reads like one": (Hour, Hour.LATE, Hour.SHORT),
        "`date`": (dt.date, dt.date(2026, 1, 1)),
        "`time`": (dt.time, dt.time(2, 30, 1, 5)),
        "`time` of a zone": (dt.time, dt.time(2, 30, tzinfo=BERLIN)),
        "`time`, `fold=1`": (dt.time, dt.time(2, 30, fold=1)),
        "`timedelta`": (dt.timedelta, dt.timedelta(days=-1, microseconds=1)),
        "`ZoneInfo`": (ZoneInfo, BERLIN),
        "`pydantic.AwareDatetime`": (pydantic.AwareDatetime, dt.datetime(2026, 1, 1, tzinfo=BERLIN)),
        "`pydantic.FutureDate`": (pydantic.FutureDate, dt.date(9999, 1, 1)),
        "`pydantic.PastDatetime`": (pydantic.PastDatetime, dt.datetime(2000, 1, 1)),
    },
    "Names of things": {
        "`Path`": (pathlib.Path, pathlib.Path("a/b")),
        "`PurePosixPath`": (pathlib.PurePosixPath, pathlib.PurePosixPath("a/b")),
        "`pydantic.DirectoryPath`": (pydantic.DirectoryPath, FOLDER),
        "`pydantic.NewPath`": (pydantic.NewPath, FOLDER / "no such file"),
        "`UUID`": (uuid.UUID, uuid.UUID(int=1)),
        "`IPv4Address`": (ipaddress.IPv4Address, ipaddress.IPv4Address("127.0.0.1")),
        "`IPv6Network`": (ipaddress.IPv6Network, ipaddress.IPv6Network("::/64")),
        "`type[int]`": (type[int], int),
        "`Callable`": (typing.Callable[[], int], int),
    },
    "Lists and tuples": {
        "`list[int]`": (list[int], [1, 2]),
        "`list[str]`, given a subclass": (list[str], [Markup("a")]),
        "`list[int]`, given a tuple": (list[int], (1, 2)),
        "`tuple[int, ...]`": (tuple[int, ...], (1, 2)),
        "`tuple[int, str]`": (tuple[int, str], (1, "a")),
        "`NamedTuple`": (Pair, Pair(1, "a")),
        "`Sequence[int]`, given a list": (Sequence[int], [1, 2]),
        "`Sequence[int]`, given a tuple": (Sequence[int], (1, 2)),
        "`set[str]`": (set[str], {"a", "b", "c"}),
        "`frozenset[int]`": (frozenset[int], frozenset({3, 1, 2})),
        "`set[Enum]`": (set[Colour], {Colour.RED}),
        "`frozenset` of frozen models": (frozenset[Ice], frozenset({Ice(n=1), Ice(n=2, s="x")})),
        "`deque[int]`": (collections.deque[int], collections.deque([1])),
        "`deque[int]` with a `maxlen`": (collections.deque[int], collections.deque([1], maxlen=2)),
        "`deque[int]` with a validator that sets it": (Short, collections.deque([1], maxlen=2)),
        "`Iterable[int]`, given a generator": (typing.Iterable[int], (each for each in (1, 2))),
    },
    "Dicts": {
        "`dict[str, int]`": (dict[str, int], {"b": 1, "a": 2}),
        "`dict[int, str]`": (dict[int, str], {1: "a"}),
        "`dict[UUID, int]`": (dict[uuid.UUID, int], {uuid.UUID(int=1): 1}),
        "`dict[tuple[int, int], str]`": (dict[tuple[int, int], str], {(1, 2): "a"}),
        "`dict[str, int]`, given a `defaultdict`": (dict[str, int], collections.defaultdict(int, a=1)),
        "`defaultdict[str, int]`": (collections.defaultdict[str, int], collections.defaultdict(int, a=1)),
        "`defaultdict[str, list[int]]`": (
            collections.defaultdict[str, list[int]],
            collections.defaultdict(list, a=[1]),
        ),
        "`OrderedDict[str, int]`": (collections.OrderedDict[str, int], collections.OrderedDict(b=1, a=2)),
        "`Counter[str]`": (collections.Counter[str], collections.Counter("aab")),
        "`Mapping[str, int]`": (Mapping[str, int], {"a": 1}),
        "`TypedDict`": (Keyed, {"a": 1}, {"a": 1, "b": None}),
        "`TypedDict` with `extra_items`": (Priced, {"a": 1, "tea": 3}),
        '`TypedDict` that inherits `extra="allow"`': (LooseBelow, {"a": 1, "b": 2, "more": [3]}),
    },
    "`Any` and JSON": {
        "`Any`, given JSON": (Any, {"a": [1, 1.5, None, True, {"b": "c"}]}),
        "`Any`, given a subclass of `str`": (Any, Markup("a")),
        "`Any`, given a tuple": (Any, (1, 2)),
        "`Any`, given a datetime": (Any, dt.datetime(2026, 1, 1)),
        "`Any`, given a model": (Any, Patch()),
        "`dict[str, Any]`": (dict[str, Any], {"a": [1, {"b": None}]}),
        "`dict[str, Any]`, with an `IntEnum` in it": (dict[str, Any], {"a": Level.HIGH}),
        "`dict[str, Any]`, with a `defaultdict` in it": (dict[str, Any], {"a": collections.defaultdict(int)}),
        "`dict[str, Any]`, with a set in it": (dict[str, Any], {"a": {1}}),
        "`dict[str, Any]`, with keys of marks": (dict[str, Any], {"__fields_set__": ["a"]}),
        "`list[Any]`": (list[Any], [1, "a", [True]]),
        "`pydantic.JsonValue`": (pydantic.JsonValue, {"a": [1, "b"]}),
        "`object`": (object, [1]),
    },
    "Dataclasses": {
        "a dataclass": (Plain, Plain(a=2, tags=["x"])),
        "a frozen one with slots": (Frozen, Frozen(a=2)),
        "a field with `compare=False`": (Uncompared, Uncompared(b=5)),
        "a field with `init=False`": (Made, Made(a=2)),
        "`list` of dataclasses": (list[Plain], [Plain(), Plain(a=3)]),
        "a model with one in it": (Boxed[Made], Boxed[Made](held=Made())),
    },
    "Models": {
        "all fields set": (Patch, Patch(name="a", phone="b")),
        "some fields set": (Patch, Patch(name="a"), Patch()),
        "a subfield changed": (Nested, Nested(patch=Patch(phone="1"), many=[Patch(), Patch(name="a")])),
        "a time of a zone in it": (Nested, Nested(at=dt.datetime(2026, 7, 1, tzinfo=BERLIN))),
        "`list` of them": (list[Patch], [Patch(), Patch(name="a"), Patch(name="a", phone="b")]),
        "`dict` of them": (dict[str, Patch], {"x": Patch(name="a")}),
        "`tuple` of them": (tuple[Patch, ...], (Patch(), Patch(name="a"))),
        "frozen": (Ice, Ice(n=1)),
        "with aliases": (Aliased, Aliased(Size=3)),
        "`extra='allow'`": (Open, Open.model_validate({"a": 1, "b": [2]})),
        "a private attribute": (Private, _private()),
        "a private attribute named in `__unrecorded__`": (Cache, Cache(a=1)),
        "an excluded field": (Excluded, Excluded(b=3)),
        "generic": (Boxed[int], Boxed[int](held=1)),
        "`RootModel`": (Root, Root([1, 2])),
        "computed and cached properties": (Computed, Computed(a=3)),
        "a union with a discriminator": (list[Pet], [Cat(), Dog()]),
        "`list[Base]`, given a subclass": (list[Animal], [Bird()]),
        "`SerializeAsAny[Base]`, given a subclass": (pydantic.SerializeAsAny[Animal], Bird()),
        "`Base`, given itself": (Animal, Animal(legs=2)),
    },
    "Types of your own": {
        "a validator, a serialiser and `WithJsonSchema`": (MoneyText, Money("1")),
        "a validator alone": (MoneyBare, Money("1")),
        "a comparison without a truth": (ArrayList, Array([1.5, 2])),
        "a model with such a field": (Holder, Holder(held=Array([1.0]))),
        "a class that pydantic does not know": (Money, Money("1")),
    },
}


FORMS: Final = (pydantic.Base64Bytes, pydantic.Base64Str, pydantic.Json[list[int]])
"""Types whose validators take another form than they give."""

_OWN: Final = "give the type a validator and a serialiser, and `WithJsonSchema({…})` or `json_schema_input_type=…`"
_UNION: Final = "a union of the subclasses with a discriminator"
INSTEAD: Final[Mapping[str, str]] = {
    "`int` of more digits than JSON readers take": "a text",
    "`float`, not finite": "`float | None`, or a text",
    "`float`, not a number": "`float | None`",
    "`bytes`": "base64 as in the next row, or `pydantic.Base64Bytes`",
    "`bytearray`": "`bytes`, as above",
    "`Enum` of objects": "members that are texts or numbers, as `enum.auto()`",
    "`pydantic.Base64Bytes`": "each write takes base64, also of a value that was read",
    "`pydantic.Base64Str`": "as above",
    "`pydantic.Json`": "each write takes a text of JSON, also of a value that was read",
    "`datetime` of a zone of another library": "`zoneinfo.ZoneInfo`",
    "`dict[datetime, int]`, of a zone": "keys of UTC, or texts",
    "`type[int]`": "its name, or a resource of the graph",
    "`Callable`": "its name, or a resource of the graph",
    "`Sequence[int]`, given a tuple": "declare `tuple[int, ...]`, or return a list",
    "`deque[int]` with a `maxlen`": "a validator in its type, as in the next row",
    "`Iterable[int]`, given a generator": "return a list",
    "`dict[tuple[int, int], str]`": "keys of text, or a list of pairs",
    "`Any`, given a subclass of `str`": "`str(value)`, or declare `str`",
    "`Any`, given a tuple": "a list, or declare the tuple",
    "`Any`, given a datetime": "declare `datetime`",
    "`Any`, given a model": "declare the model",
    "`dict[str, Any]`, with an `IntEnum` in it": "its `.value`, or declare it",
    "`dict[str, Any]`, with a `defaultdict` in it": "`dict(value)`, or declare it",
    "`dict[str, Any]`, with a set in it": "a list, or declare it",
    "a private attribute": "make it a field, or name it in `__unrecorded__`",
    "an excluded field": "remove `exclude=True`",
    "`list[Base]`, given a subclass": _UNION,
    "`SerializeAsAny[Base]`, given a subclass": _UNION,
    "a validator alone": _OWN,
    "a class that pydantic does not know": _OWN,
}
"""What to write where a value is refused, and what to know of some that are kept."""


def installed() -> Mapping[str, Any]:
    """Return the types of numpy and pandas, as users of pydantic write them, and a value of each, if installed."""
    found: dict[str, Any] = dict.fromkeys(("`numpy.ndarray`", "a model with one", "`float`, given a `numpy.float64`"))
    found |= dict.fromkeys(("`pandas.DataFrame`", "`datetime`, given a `pandas.Timestamp`"))
    if find_spec("numpy"):
        np = import_module("numpy")

        array = _made(np.ndarray, lambda each: each.tolist(), schema=WithJsonSchema({"type": "array"}))
        array = Annotated[np.ndarray, PlainValidator(np.asarray), *array.__metadata__[1:]]
        values = np.array([[1.5, 2.0], [3.0, 4.0]])
        found["`numpy.ndarray`"] = array, values
        found["a model with one"] = Boxed[array], Boxed[array](held=values)  # type: ignore[valid-type]
        found["`float`, given a `numpy.float64`"] = float, np.float64(1.5)
    if find_spec("pandas"):
        pd = import_module("pandas")

        frame = _made(pd.DataFrame, lambda each: each.to_dict("list"), schema=WithJsonSchema({"type": "object"}))
        found["`pandas.DataFrame`"] = frame, pd.DataFrame({"a": [1, 2]})
        found["`datetime`, given a `pandas.Timestamp`"] = dt.datetime, pd.Timestamp("2026-01-01")
    return found


def seen(value: Any) -> object:  # noqa: PLR0911 - one for each kind
    """Return all that there is to see of a value: types, set fields, private attributes, zones."""
    name = type(value).__name__
    if isinstance(value, BaseModel):
        held = {each: seen(part) for each, part in vars(value).items() if each in type(value).model_fields}
        private = {each: part for each, part in (value.__pydantic_private__ or {}).items() if each != "_cache"}
        given = sorted(value.model_fields_set) if not isinstance(value, pydantic.RootModel) else []
        return name, held, given, seen(value.__pydantic_extra__), seen(private)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return name, {each.name: seen(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, dict):
        kind = getattr(value, "default_factory", None)
        return name, str(kind), [(seen(key), seen(part)) for key, part in value.items()]
    if isinstance(value, (list, tuple, collections.deque)):
        return name, getattr(value, "maxlen", None), [seen(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return name, sorted(str(seen(each)) for each in value)
    if isinstance(value, (dt.datetime, dt.time)):
        zone = value.tzinfo
        key = getattr(zone, "key", None) or (zone and str(value.utcoffset()))
        return name, value.replace(tzinfo=None).isoformat(), value.fold, key
    if isinstance(value, (Money, re.Pattern)):
        return name, getattr(value, "text", None) or value.pattern  # type: ignore[union-attr]
    return name, repr(value)


def rows() -> Iterator[tuple[str, str, Any, Sequence[object], ConfigDict]]:
    """Yield the group, the words, the type, the values and the configuration of each row."""
    for group, found in ROWS.items():
        for words, (kind, *values) in found.items():
            config = values.pop() if values[-1] is BASE64 else ConfigDict()
            yield group, words, kind, values, config  # type: ignore[misc]


def state_of(kind: Any, config: ConfigDict) -> type[BaseModel]:
    """Return a state with one field `v` of a type."""
    whole = ConfigDict(**{**config, "arbitrary_types_allowed": True})
    return pydantic.create_model("S", __config__=whole, v=(kind, None))


def verdict(kind: Any, value: object, config: ConfigDict) -> str:
    """Return what becomes of a value, in words of the page."""
    try:
        model = state_of(kind, config)
        made = field_type(model, "v", model.model_fields["v"])
        if not all(problem.warning for problem in field_problems("v", made)):
            return "refused when the graph is checked"
        view = View(StateType.of(model), RecordsAlone({}))
        record, typed = made.take(value, view)
    except (InvalidUpdate, NotRecordable):
        return "refused when it is written"
    read = made.build(opened(record), View(StateType.of(model), RecordsAlone({})))
    assert seen(read) == seen(typed), "a process that reads the record must see what the next node saw"
    again = _record_of(made, read, view)
    if again is None or json.loads(again) != json.loads(encode(opened(record))):
        assert kind in FORMS or typing.get_args(kind)[:1] in [(each,) for each in FORMS], "its record must be the same"
        return "kept"
    if seen(read) == seen(value):
        return "kept"
    assert seen(made.validate(value, view)) == seen(read) or type(read) in (int, str, float, bool, dt.datetime), (
        "changed"
    )
    return f"converted to the field's type, `{type(read).__name__}`"


def copies(kind: Any, value: object, config: ConfigDict, size: int) -> int:
    """Return how many of a value make a list of more bytes than this."""
    model = state_of(kind, config)
    made = field_type(model, "v", model.model_fields["v"])
    return size // len(_record_of(made, value, View(StateType.of(model), RecordsAlone({}))) or b"12345678") + 2


def _record_of(made: FieldType, value: object, view: View) -> bytes | None:
    try:
        return encode(opened(made.take(value, view)[0]))
    except (InvalidUpdate, NotRecordable):
        return None


__all__ = ["INSTEAD", "Unique", "copies", "installed", "rows", "seen", "verdict"]
