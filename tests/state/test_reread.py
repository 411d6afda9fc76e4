"""Records that are read under changed types: every recorded value is in what is read, or is noted, or stops the run.

Types are drawn as descriptions (`Class`, `Either`, `Many`), so that an edit of a type is a change of its description.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Annotated, Any, Literal, NotRequired, Protocol, TypeAlias, TypeVar

import pydantic
import pytest
from annotated_types import Le, MaxLen
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, Field, TypeAdapter, create_model
from typing_extensions import TypedDict

from graphengine.compile.described_types import types_in
from graphengine.errors import RecordUnreadable
from graphengine.state.encoded import encode, opened
from graphengine.state.marks import FIELDS_SET
from graphengine.state.reread import Reread
from graphengine.state.schema import StateType
from graphengine.state.view import RecordsAlone, View

T = TypeVar("T")


class Draw(Protocol):
    """Draws from a strategy."""

    def __call__(self, strategy: st.SearchStrategy[T], /) -> T:
        """Return a value of the strategy."""
        ...


KINDS = ("model", "dataclass", "typeddict")
TAG = "kind"


@dataclass(frozen=True)
class Part:
    """A field of a class; a strict one refuses each value but its default."""

    name: str
    shape: "Shape"
    has_default: bool = False
    aliases: tuple[str, ...] = ()
    is_strict: bool = False


@dataclass(frozen=True)
class Class:
    """A class with fields; one of a tagged union has a Literal, too."""

    name: str
    kind: str
    parts: tuple[Part, ...]
    is_tagged: bool = False


@dataclass(frozen=True)
class Many:
    """A list, a dict or an optional value."""

    of: Literal["list", "dict", "optional"]
    shape: "Shape"


@dataclass(frozen=True)
class Either:
    """A union of classes, which differ by their tags if it is a tagged one."""

    members: tuple[Class, ...]


Shape: TypeAlias = Literal["int", "str"] | Class | Many | Either


# --- drawing ------------------------------------------------------------------------------------------------------


@st.composite
def shapes(draw: st.DrawFn, numbers: Iterator[int], depth: int = 3) -> Shape:
    """Draw a shape, with other names of classes and fields each time."""
    kinds = ["scalar", "scalar", "class", "many", "either"] if depth else ["scalar"]
    kind = draw(st.sampled_from(kinds))
    if kind == "class":
        return draw(classes(numbers, depth - 1))
    if kind == "many":
        return Many(draw(st.sampled_from(("list", "dict", "optional"))), draw(shapes(numbers, depth - 1)))
    if kind == "either":
        return draw(unions(numbers, depth - 1))
    return draw(st.sampled_from(("int", "str")))


@st.composite
def unions(draw: st.DrawFn, numbers: Iterator[int], depth: int) -> Either:
    """Draw a union of two or three classes, which can have the same fields, or some of them."""
    drawn = [draw(classes(numbers, depth)) for _ in range(draw(st.integers(2, 3)))]
    if draw(st.booleans()):
        first = drawn[0].parts
        drawn = [replace(each, parts=(*first[: 3 - at], *each.parts[:at])) for at, each in enumerate(drawn)]
    if draw(st.booleans()):
        drawn = [replace(each, is_tagged=True, kind="model") for each in drawn]
    return Either(tuple(drawn))


@st.composite
def classes(draw: st.DrawFn, numbers: Iterator[int], depth: int) -> Class:
    """Draw a class with up to three fields."""
    held = [draw(shapes(numbers, depth)) for _ in range(draw(st.integers(1, 3)))]
    can_default = [not isinstance(shape, (Class, Either)) for shape in held]
    parts = [Part(f"f{next(numbers)}", *each) for each in zip(held, can_default, strict=True)]
    parts = [replace(each, has_default=each.has_default and draw(st.booleans())) for each in parts]
    return Class(f"C{next(numbers)}", draw(st.sampled_from(KINDS)), tuple(parts))


Parts: TypeAlias = tuple[Part, ...]


def swap_with_the_next(before: Parts, one: Part, after: Parts, _: str) -> Parts:
    """Give two fields each other's names as aliases."""
    if not after:
        return (*before, one)
    other, *rest = after
    return (*before, replace(one, aliases=(other.name,)), replace(other, aliases=(one.name,)), *rest)


EDITS: dict[str, Callable[[Parts, Part, Parts, str], Parts]] = {
    "none": lambda before, one, after, _: (*before, one, *after),
    "rename": lambda before, one, after, _: (*before, replace(one, name=f"{one.name}_new"), *after),
    "remove": lambda before, one, after, _: (*before, *after) or (one,),
    "add": lambda before, one, after, name: (*before, one, *after, Part(f"{name}_added", "str", has_default=True)),
    "add_required": lambda before, one, after, name: (*before, one, *after, Part(f"{name}_needed", "str")),
    "alias": lambda before, one, after, _: (*before, replace(one, aliases=("another", "other")), *after),
    "rename_with_alias": lambda before, one, after, _: (
        *before,
        replace(one, name=f"{one.name}_new", aliases=(one.name,)),
        *after,
    ),
    "swap": swap_with_the_next,
    "strict": lambda before, one, after, _: (*before, replace(one, is_strict=one.shape in ("int", "str")), *after),
}
HARMLESS = ("add", "alias", "rename_with_alias")


def edited(draw: Draw, shape: Shape, edits: tuple[str, ...], known: dict[str, Class]) -> Shape:
    """Return a shape with some of its classes edited; those of one name alike."""
    if isinstance(shape, Many):
        return replace(shape, shape=edited(draw, shape.shape, edits, known))
    if isinstance(shape, Either):
        return Either(tuple(edited(draw, each, edits, known) for each in shape.members))  # type: ignore[misc]
    if not isinstance(shape, Class):
        return shape
    if shape.name not in known:
        parts = tuple(replace(each, shape=edited(draw, each.shape, edits, known)) for each in shape.parts)
        edit = EDITS[draw(st.sampled_from(("none", *edits)))]
        at = draw(st.integers(0, len(parts) - 1))
        known[shape.name] = replace(shape, parts=edit(parts[:at], parts[at], parts[at + 1 :], shape.name.lower()))
    return known[shape.name]


# --- types and values of a shape ----------------------------------------------------------------------------------


def annotation_of(shape: Shape) -> Any:
    """Return the type of a shape."""
    if isinstance(shape, Many):
        inner: Any = annotation_of(shape.shape)
        return {"list": list[inner], "dict": dict[str, inner], "optional": inner | None}[shape.of]
    if isinstance(shape, Either):
        members: Any = None
        for each in map(annotation_of, shape.members):
            members = each if members is None else members | each
        return Annotated[members, Field(discriminator=TAG)] if shape.members[0].is_tagged else members
    return class_of(shape) if isinstance(shape, Class) else {"int": int, "str": str}[shape]


def class_of(shape: Class) -> Any:
    """Return a new class of this description."""
    fields = {each.name: _field_of(each) for each in shape.parts}
    if shape.kind == "typeddict":
        keys = {name: NotRequired[kind] if make else kind for name, (kind, make) in fields.items()}
        return TypedDict(shape.name, keys)  # type: ignore[operator]
    if shape.kind == "dataclass":
        makes = {name: dataclasses.field(default_factory=make) for name, (_, make) in fields.items() if make}
        rows = [(name, kind, makes[name]) if name in makes else (name, kind) for name, (kind, _) in fields.items()]
        made = dataclasses.make_dataclass(shape.name, rows, kw_only=True)
        made.__module__ = __name__
        return made
    members: dict[str, Any] = {
        name: (kind, Field(default_factory=make)) if make else (kind, ...) for name, (kind, make) in fields.items()
    }
    if shape.is_tagged:
        members[TAG] = (Literal[shape.name], shape.name)
    return create_model(shape.name, __module__=__name__, **members)


def _field_of(part: Part) -> tuple[Any, Any]:
    """Return the annotation of a field, and what makes its default; None if it has none."""
    kind = annotation_of(part.shape)
    if part.is_strict:
        kind = Annotated[kind, Le(0) if part.shape == "int" else MaxLen(0)]
    if part.aliases:
        kind = Annotated[kind, Field(validation_alias=AliasChoices(*part.aliases))]
    makes = {"int": int, "str": str, "list": list, "dict": dict, "optional": lambda: None}
    return kind, makes[part.shape.of if isinstance(part.shape, Many) else part.shape] if part.has_default else None  # type: ignore[index]


def drawn_value(draw: Draw, shape: Shape, leaves: Iterator[int]) -> Any:
    """Draw the JSON of a value, in which no leaf is found twice."""
    if isinstance(shape, Many):
        if shape.of == "optional":
            return drawn_value(draw, shape.shape, leaves) if draw(st.booleans()) else None
        items = [drawn_value(draw, shape.shape, leaves) for _ in range(draw(st.integers(0, 2)))]
        return items if shape.of == "list" else {f"k{at}": item for at, item in enumerate(items)}
    if isinstance(shape, Either):
        return drawn_value(draw, draw(st.sampled_from(shape.members)), leaves)
    if isinstance(shape, Class):
        made = {each.name: drawn_value(draw, each.shape, leaves) for each in shape.parts}
        return {**made, TAG: shape.name} if shape.is_tagged else made
    leaf = next(leaves)
    return leaf if shape == "int" else f"text {leaf}"


# --- reading ------------------------------------------------------------------------------------------------------


def state_of(annotation: Any) -> StateType[Any]:
    """Return a state that holds one value of a type."""
    return StateType.of(create_model("State", __module__=__name__, held=(annotation, ...)))


def recorded_of(annotation: Any, json: Any) -> tuple[Any, Any]:
    """Return the record of a value, and the value."""
    state = state_of(annotation)
    value = TypeAdapter(annotation).validate_json(encode(json), by_name=True, by_alias=False)
    record, typed = state.fields["held"].record(value, View(state, RecordsAlone({})))
    return opened(record), typed


def reread(before: Any, after: Any, record: Any) -> tuple[Reread[Any], Any]:
    """Return what a record is read as under other types, and what that is written as."""
    state = state_of(after)
    view = View(state, RecordsAlone({"held": record}))
    found = state.fields["held"].reread(record, view, types_in([before]), types_in([after]))
    again, _ = state.fields["held"].record(found.value, view)
    return found, opened(again)


def leaves_in(json: Any, path: str = "held") -> Iterator[tuple[str, object]]:
    """Yield the leaves of a record with their paths, but tags and defaults."""
    if isinstance(json, dict):
        for key, each in json.items():
            if key not in (FIELDS_SET, TAG):
                yield from leaves_in(each, f"{path}.{key}")
    elif isinstance(json, list):
        for each in json:
            yield from leaves_in(each, f"{path}[]")
    elif json:
        yield path, json


def classes_in(value: Any) -> Iterator[str]:
    """Yield the names of the classes of a value's objects in the order of their leaves, with the leaves below each."""
    if isinstance(value, BaseModel) or dataclasses.is_dataclass(value):
        yield f"{type(value).__name__}: {sorted(map(str, _scalars(value)))}"
    for each in _parts(value):
        yield from classes_in(each)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, BaseModel) or dataclasses.is_dataclass(value):
        value = {name: each for name, each in vars(value).items() if name != TAG}
    return [*value.values()] if isinstance(value, Mapping) else value if isinstance(value, list) else []


def _scalars(value: Any) -> Iterator[object]:
    yield from (each for each in _parts(value) if isinstance(each, (int, str)) and each)


@given(st.data())
def test_reading_under_changed_types_keeps_each_value_or_notes_it_or_stops(data: st.DataObject) -> None:
    """No leaf of a record vanishes without a note, and no object becomes another member of its union."""
    numbers = count()
    shape = data.draw(shapes(numbers) | unions(numbers, 0))
    before, after = annotation_of(shape), annotation_of(edited(data.draw, shape, tuple(EDITS), {}))
    record, typed = recorded_of(before, drawn_value(data.draw, shape, count(1)))
    try:
        found, again = reread(before, after, record)
    except RecordUnreadable:
        return
    kept = {leaf for _, leaf in leaves_in(again)}
    noted = [each.path for each in found.notes]
    for path, leaf in leaves_in(record):
        assert leaf in kept or any(path == each or path.startswith((f"{each}.", f"{each}[]")) for each in noted)
    if not noted:
        assert [*classes_in(found.value)] == [*classes_in(typed)]


@pytest.mark.skipif(
    tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 13),
    reason="models inside keep their validators there",
)
@given(st.data())
def test_reading_after_an_edit_that_keeps_the_meaning_neither_notes_nor_stops(data: st.DataObject) -> None:
    """A new field with a default, an added alias, and a field renamed with an alias lose nothing: nobody is told."""
    shape = data.draw(shapes(count()))
    before, after = annotation_of(shape), annotation_of(edited(data.draw, shape, HARMLESS, {}))
    record, typed = recorded_of(before, drawn_value(data.draw, shape, count(1)))
    found, again = reread(before, after, record)
    assert not found.notes
    assert [leaf for _, leaf in sorted(leaves_in(again), key=str)] or not [*leaves_in(record)]
    assert {leaf for _, leaf in leaves_in(again)} == {leaf for _, leaf in leaves_in(record)}
    assert [*classes_in(found.value)] == [*classes_in(typed)]
