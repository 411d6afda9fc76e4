"""Types of states, drawn as descriptions (`Class`, `Either`, `Many`), edits of them, and values with leaves.

An edit of a type is a change of its description.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Annotated, Any, Literal, NotRequired, Protocol, TypeAlias, TypeVar

from annotated_types import Le, MaxLen
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, Field, create_model
from typing_extensions import TypedDict

from graphengine.state.marks import FIELDS_SET

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
    """A class with fields; one of a tagged union has a Literal, too. An open one keeps what it does not name."""

    name: str
    kind: str
    parts: tuple[Part, ...]
    is_tagged: bool = False
    is_open: bool = False


@dataclass(frozen=True)
class Many:
    """A list, a tuple, a set, a dict or an optional value."""

    of: Literal["list", "tuple", "set", "dict", "optional"]
    shape: "Shape"


@dataclass(frozen=True)
class Either:
    """A union of classes, which differ by their tags if it is a tagged one."""

    members: tuple[Class, ...]


Scalar: TypeAlias = Literal["int", "str", "digits", "float", "bool", "few"]
Shape: TypeAlias = Scalar | Class | Many | Either
SCALARS: dict[Scalar, Any] = {
    "int": int,
    "str": str,
    "digits": str,
    "float": float,
    "bool": bool,
    "few": Literal[1, 2, "3", "text 4"],
}
"""The types of leaves. Values of `digits` are texts that can be read as numbers."""


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
    return draw(st.sampled_from(("int", "str", "digits")))


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


OTHERS: dict[str, Any] = {"list": "tuple", "tuple": "set", "set": "list", "dict": "optional", "optional": "list"}


def with_another_type(shape: Shape) -> Shape:
    """Return a shape whose values can be read otherwise, or not at all."""
    if isinstance(shape, Many):
        return replace(shape, of=OTHERS[shape.of])
    others: dict[Shape, Scalar] = {"int": "bool", "str": "few", "digits": "int", "float": "int"}
    return others.get(shape, Many("optional", shape))


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
    "another_type": lambda before, one, after, _: (
        *before,
        replace(one, shape=with_another_type(one.shape), has_default=False),
        *after,
    ),
    "float": lambda before, one, after, _: (
        *before,
        replace(one, shape="float" if one.shape in ("int", "digits") else one.shape),
        *after,
    ),
    "open": lambda before, one, after, _: (*before, *after) or (one,),
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
        name = draw(st.sampled_from(("none", *edits)))
        at = draw(st.integers(0, len(parts) - 1))
        parts = EDITS[name](parts[:at], parts[at], parts[at + 1 :], shape.name.lower())
        known[shape.name] = replace(shape, parts=parts, is_open=name == "open")
    return known[shape.name]


# --- types and values of a shape ----------------------------------------------------------------------------------


def annotation_of(shape: Shape) -> Any:
    """Return the type of a shape."""
    if isinstance(shape, Many):
        inner: Any = annotation_of(shape.shape)
        if shape.of == "optional":
            return inner | None
        return {"list": list[inner], "tuple": tuple[inner, ...], "set": set[inner], "dict": dict[str, inner]}[shape.of]
    if isinstance(shape, Either):
        members: Any = None
        for each in map(annotation_of, shape.members):
            members = each if members is None else members | each
        return Annotated[members, Field(discriminator=TAG)] if shape.members[0].is_tagged else members
    return class_of(shape) if isinstance(shape, Class) else SCALARS[shape]


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
    config: Any = {"__config__": {"extra": "allow"}} if shape.is_open else {}
    return create_model(shape.name, __module__=__name__, **config, **members)


def _field_of(part: Part) -> tuple[Any, Any]:
    """Return the annotation of a field, and what makes its default; None if it has none."""
    kind = annotation_of(part.shape)
    if part.is_strict:
        kind = Annotated[kind, Le(0) if part.shape == "int" else MaxLen(0)]
    if part.aliases:
        kind = Annotated[kind, Field(validation_alias=AliasChoices(*part.aliases))]
    makes: dict[Any, Any] = {**SCALARS, "digits": str, "list": list, "dict": dict, "optional": lambda: None}
    return kind, makes[part.shape.of if isinstance(part.shape, Many) else part.shape] if part.has_default else None


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
    return {"int": leaf, "digits": str(leaf)}.get(shape, f"text {leaf}")


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
        more = (value.__pydantic_extra__ or {}) if isinstance(value, BaseModel) else {}
        value = {name: each for name, each in {**vars(value), **more}.items() if name != TAG}
    return (
        [*value.values()] if isinstance(value, Mapping) else [*value] if isinstance(value, (list, tuple, set)) else []
    )


def _scalars(value: Any) -> Iterator[object]:
    for each in _parts(value):
        if isinstance(each, (int, float, str)) and each:
            yield int(each) if isinstance(each, float) else each


def changed_types(draw: Draw) -> tuple[Shape, Shape, Any]:
    """Draw a type, the type that it has become, and the JSON of a value of the first one."""
    numbers = count()
    before = draw(shapes(numbers) | unions(numbers, 0))
    after = edited(draw, before, tuple(EDITS), {})
    if not isinstance(after, (Class, Either)):
        after = draw(st.sampled_from((after, with_another_type(after))))
    return before, after, drawn_value(draw, before, count(1))


def lost_leaves(record: Any, again: Any, noted: Collection[str]) -> list[str]:
    """Return the paths of the leaves of a record that were not read again, and are not below a path of a note."""
    kept = {(type(leaf) is bool, leaf) for _, leaf in leaves_in(again)}  # `1` became `1.0`, and not `True`
    left = [path for path, leaf in leaves_in(record) if (False, leaf) not in kept]
    return [
        path for path in left if not any(path == each or path.startswith((f"{each}.", f"{each}[]")) for each in noted)
    ]
