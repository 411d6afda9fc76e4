"""Paths into the state, such as `draft`, `review.score`, `history[-1].issues` and `views[editor]`.

A path names a field, followed by parts `.name`, `[key]` or `[-1]`. In a run, a missing part reads as None. When a graph
is compiled, the path is checked against the annotations, so that a misspelt path is found before anything runs.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import is_typeddict

from graphengine.errors import DefinitionError
from graphengine.state.hints import hints_of, is_alias, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable

Part: TypeAlias = "tuple[str, str | int]"
"""("name", "score") for `.score`, ("item", -1) for `[-1]`, ("item", "editor") for `[editor]`."""

_TOKEN: Final = re.compile(r"\.([A-Za-z_]\w*)|\[([^\[\]{}]+)\]")
_ROOT: Final = re.compile(r"[A-Za-z_]\w*")
ANY: Final = (Any,)
LISTED: Final = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Path:
    """A parsed path into the state, such as `report.items[0]`: the name of the field, and the parts after it."""

    text: str
    root: str
    parts: tuple[Part, ...]

    def walk(self, value: object) -> object:
        """Follow this path from the value of its first field; None if a part of the path is missing."""
        return walk(value, self.parts) if self.parts else value


def walk(value: object, parts: Sequence[Part]) -> object:
    """Return the value that a path leads to from another value, through attributes, keys and indexes.

    Returns None if a part of the path is missing.
    """
    for part in parts:
        if value is None:
            return None
        value = _into(value, part)
    return value


def parse(text: str) -> Path:
    """Parse the text of a path into the state, such as `report.items[0]`.

    Raises:
        DefinitionError: The text is not a path.
    """
    root = _ROOT.match(text)
    if root is None:
        raise _bad_path(text)
    parts: list[Part] = []
    position = root.end()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise _bad_path(text)
        name, key = token.group(1), token.group(2)
        parts.append(("name", name) if name else ("item", _parse_key(key)))
        position = token.end()
    return Path(text, root.group(), tuple(parts))


def is_path(text: str) -> bool:
    """Return whether a text has the form of a path into the state, such as `report.items[0]`."""
    try:
        parse(text)
    except DefinitionError:
        return False
    return True


def _bad_path(text: str) -> DefinitionError:
    repair = "write a field, then .name, [key] or [-1], as in 'history[-1].score'"
    if "[{" in text:
        repair += "; only writes= takes keys with {paths}: read such a key with a function of fields"
    return DefinitionError(f"{text!r} is not a path", repair=repair)


def _parse_key(text: str) -> str | int:
    text = text.strip()
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return text.strip("\"'")


def _into(value: object, part: Part) -> object:
    kind, key = part
    if kind == "name":
        if isinstance(value, Mapping):
            return value.get(key)
        return getattr(value, str(key), None)
    if isinstance(value, Mapping):
        return value.get(key, value.get(str(key)))
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and isinstance(key, int):
        return value[key] if -len(value) <= key < len(value) else None
    return None


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is closest to a misspelt word; "" if none is close."""
    return next(iter(difflib.get_close_matches(word, sorted(set(known)), n=1, cutoff=0.6)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the known word that is closest to a misspelt word, or list all known words if none is close."""
    names = sorted(set(known))
    near = nearest(word, names)
    if near:
        return f"did you mean {near!r}?"
    if not names:
        return ""
    listed = ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")
    return f"use one of: {listed}"


def unknown_fields(given: Sequence[object], known: Iterable[str]) -> str:
    """Return an error text about unknown fields, with suggestions for the first ones."""
    found = [f"unknown field {name!r}: {did_you_mean(str(name), known)}" for name in given[:LISTED]]
    if len(given) > LISTED:
        found.append(f"and {len(given) - LISTED:,} more unknown fields")
    return "; ".join(found)


def members(annotation: object) -> tuple[object, ...]:
    """Split an annotation into its alternatives: the members of a union, with `Annotated` and aliases removed."""
    return _list_union_members(annotation, ())


def _list_union_members(annotation: object, inside: tuple[object, ...]) -> tuple[object, ...]:
    if is_alias(annotation):
        return ANY if annotation in inside else _list_union_members(value_of(annotation), (*inside, annotation))
    origin = get_origin(annotation)
    if origin is Annotated:
        return _list_union_members(get_args(annotation)[0], inside)
    if origin is Union or origin is types.UnionType:
        return tuple(m for part in get_args(annotation) for m in _list_union_members(part, inside))
    return (annotation,)


def type_at(annotation: object, path: Path) -> tuple[tuple[object, ...], str]:
    """Return the types of the values that a path into the state can lead to, starting from a field's annotation.

    Returns:
        A pair: the types, and an empty text. If the path cannot exist, the pair contains no types, and a message that
        explains how to repair the first wrong part of the path.
    """
    current: tuple[object, ...] = members(annotation)
    walked = path.root
    for part in path.parts:
        found: list[object] = []
        names: set[str] = set()
        for member in current:
            below = _find_part_type(member, part, names)
            if below is not None:
                found.extend(members(below))
        text = f".{part[1]}" if part[0] == "name" else f"[{part[1]}]"
        if not found:
            nearest = difflib.get_close_matches(str(part[1]), sorted(names), n=1, cutoff=0.6)
            if nearest:
                return (), f"did you mean '{walked}.{nearest[0]}{path.text[len(walked) + len(text) :]}'?"
            items = any(_find_part_type(member, ("item", -1), set()) is not None for member in current)
            nothing = f"items: name one, as in {walked}[-1]" if items else "no fields"
            return (), f"{walked} has {', '.join(sorted(names)) or nothing}"
        current = tuple(found)
        walked += text
    return current, ""


def _find_part_type(member: object, part: Part, names: set[str]) -> object:  # noqa: PLR0911 - one return for each case
    """Return the annotation of one part of a type, such as a field of a model; None if the type has no such part.

    For example, the part `items` leads from a model to the annotation of its field `items`. The names that would have
    been valid are added to `names`, for an error message.
    """
    if member is Any or member is object:
        return Any
    kind, key = part
    origin = get_origin(member) or member
    args = get_args(member)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if is_typeddict(origin):
            return _find_named_type(hints_of(origin, include_extras=False), key, names)
        return args[1] if len(args) == 2 else Any  # noqa: PLR2004 - a mapping's key and value
    if is_typeddict(origin):
        return _find_named_type(hints_of(origin, include_extras=False), key, names)
    if kind == "item":
        return _find_item_type(origin, args, key)
    if isinstance(origin, type):
        return _attribute(origin, str(key), names)
    return None


def _find_named_type(hints: Mapping[str, object], key: str | int, names: set[str]) -> object:
    names.update(hints)
    return hints.get(str(key))


def _find_item_type(origin: object, args: tuple[object, ...], key: str | int) -> object:
    if not (isinstance(origin, type) and issubclass(origin, Sequence)) or issubclass(origin, (str, bytes)):
        return None
    if not isinstance(key, int):
        return None
    if issubclass(origin, tuple) and args and args[-1] is not Ellipsis:
        return args[key] if -len(args) <= key < len(args) else None
    return args[0] if args else Any


def _attribute(origin: type, name: str, names: set[str]) -> object:
    if issubclass(origin, BaseModel):
        names.update(origin.model_fields)
        field = origin.model_fields.get(name)
        if field is not None:
            return field.annotation
        return Any if name in origin.model_computed_fields else None
    if dataclasses.is_dataclass(origin):
        hints = hints_of(origin, include_extras=False)
        names.update(hints)
        return hints.get(name)
    if isinstance(getattr(origin, name, None), property):
        return Any
    return None
