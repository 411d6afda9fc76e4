"""Reading a record that was written under earlier types, so that nothing in it disappears without a note.

pydantic accepts more than fits: it ignores the keys that a model does not name, and takes the next member of a union if
one refuses. Under the types that wrote a record that is right, since the record was compared with its value then. Under
other types it would lose values in silence. So where types have changed, a record is read by `EarlierReader`:

- A field counts by its name. An alias counts only if the name is absent, and if no other field has that name.
- What was read is written again, and compared with the record: each key that is gone, and each value that differs,
  becomes a `Note`. What today's type adds is no loss.
- A value that would be read as another member of a union than the one that was recorded is refused.

A record does not say which member of a union it is. The graph spec that was in force describes the types of that time,
and so does the record by its keys: the members with these keys are those that it can have been.
"""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from pydantic import BaseModel, RootModel
from pydantic_core import SchemaValidator

from graphengine.state.json_values import clipped
from graphengine.state.marks import FIELDS_SET

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from pydantic import ValidationInfo

T = TypeVar("T")

Types: TypeAlias = Mapping[str, Mapping[str, str]]
"""What a graph spec says of the types that its state names: by name, a text for each field."""

_SHOWN: Final = 120  # characters of a value in a note
_SCALARS: Final = ("int", "float", "bool", "str")
_NOT_SCHEMAS: Final = ("cls", "config", "default", "expected", "function", "metadata", "serialization")
_FIELDS: Final = ("model-fields", "typed-dict", "dataclass-args")
_NUMBERED: Final = re.compile(r" \(\d+\)$")
_LEFT_OUT: Final = ", not required"
_OPTIONAL: Final = re.compile(r"(^|, )(default|not required)")
_Record: TypeAlias = Any


class Note(NamedTuple):
    """What reading a record under today's types leaves behind, or changes.

    Attributes:
        code: `field_removed` if today's type does not name a recorded field, `value_changed` if a validator or another
            type made another value of a recorded one.
        path: Where, by names as recorded; `[]` stands for each item of a list.
        was: The recorded value.
        now: What it is read as; None for `field_removed`.
    """

    code: Literal["field_removed", "value_changed"]
    path: str
    was: object
    now: object = None

    def text(self, *, hide: bool = False) -> str:
        """Return the note in words; with `hide`, without the values."""
        if self.code == "field_removed":
            return f"field {self.path!r} is gone, and its value with it"
        if hide:
            return f"{self.path!r} is read as another value"
        now, was = clipped(repr(self.now), _SHOWN), clipped(repr(self.was), _SHOWN)
        return f"{self.path!r} is read as {now}, recorded as {was}"


class Then(NamedTuple):
    """What is known of the types of a record.

    Attributes:
        recorded: The types of the graph spec under which it was written; empty if they are not known.
        today: The types of today's graph spec.
    """

    recorded: Types = MappingProxyType({})
    today: Types = MappingProxyType({})


class Reread(NamedTuple, Generic[T]):
    """What a record is under today's types.

    Attributes:
        value: The value that it is read as.
        notes: What reading leaves behind, or changes.
        is_same: Whether the value is written as the record is.
    """

    value: T
    notes: Sequence[Note] = ()
    is_same: bool = True


class AnotherMember(ValueError):
    """A recorded value would be read as another member of a union than the one that was recorded."""


class _Member(NamedTuple):
    """A member of a union: the name of its class, or of that of its items, and its fields; "" if it has none."""

    name: str
    fields: Collection[str]


_Taken: TypeAlias = tuple[object, Sequence[_Member], int]
"""An object that a member of a union made, the members, and the place of that one. A read keeps them by the ids of the
objects, which it keeps too, so that no id is used twice. They are the context of pydantic: an empty dict to others."""


class EarlierReader:
    """Reads records of one type that were written under an earlier form of it.

    Args:
        schema: The core schema of the type. Before pydantic 2.13, models inside keep their own validators: there,
            aliases and unions inside them are not seen, and what is lost is noted all the same.
    """

    def __init__(self, schema: Any) -> None:  # noqa: ANN401 - a core schema of pydantic
        self._definitions = {each["ref"]: each for each in schema.get("definitions", ())}
        self._moved: dict[str, list[str]] = {}
        prepared = self._prepare(schema)
        try:
            self._validator = SchemaValidator(prepared, _use_prebuilt=False)
        except TypeError:  # before pydantic 2.13
            self._validator = SchemaValidator(prepared)

    def read(
        self,
        record: _Record,
        load: Callable[[_Record, Callable[[bytes], Any]], T],
        dump: Callable[[T], _Record],
        path: str,
        then: Then,
    ) -> Reread[T]:
        """Return the value of a record, with what is not in that value.

        Args:
            record: The record, as JSON values.
            load: Reads such a record by a function that validates JSON without marks.
            dump: Writes a value as a record.
            path: How the paths of notes begin.
            then: The types of the record.

        Raises:
            AnotherMember: It would be read as another member of a union. Also raises what `load` and `dump` raise.
        """
        taken: dict[int, _Taken] = {}
        validate = partial(self._validator.validate_json, by_alias=True, by_name=False, context=taken)
        value = load(record, validate)
        again = dump(value)
        found = _LossFinder(self._moved, taken, then)
        moved = found.follow(record, again, value, path)
        if moved != record:  # its set fields have their names of then
            value = load(moved, validate)
            again = dump(value)
        return Reread(value, [*found.notes.values()], is_same=again == record)

    def _prepare(self, schema: Any) -> Any:  # noqa: ANN401 - a part of a core schema
        if isinstance(schema, list):
            return [self._prepare(part) for part in schema]
        if type(schema) is tuple:
            return tuple(map(self._prepare, schema))
        if not isinstance(schema, dict):
            return schema
        kind = schema.get("type")
        left = _NOT_SCHEMAS if isinstance(kind, str) else ()  # else these are fields, or members by their tag
        made = {key: part if key in left else self._prepare(part) for key, part in schema.items()}
        if kind in _FIELDS:
            fields = made["fields"]
            named = fields if isinstance(fields, dict) else {each["name"]: each for each in fields}
            for name, field in named.items():
                self._by_name_first(name, field, named)
        elif kind == "union":
            members = [self._member(each[0] if type(each) is tuple else each) for each in schema["choices"]]
            made["choices"] = [_watch(each, members, place) for place, each in enumerate(made["choices"])]
        return made

    def _by_name_first(self, name: str, field: dict[str, Any], named: Collection[str]) -> None:
        """Let a field be found by its name, then by those of its aliases that are no other field's name."""
        alias = field.pop("validation_alias", None) or []
        paths = [[alias]] if isinstance(alias, str) else alias if not alias or isinstance(alias[0], list) else [alias]
        kept = [path for path in paths if path[0] not in named]
        if kept:
            field["validation_alias"] = [[name], *kept]
        for path in kept:
            if len(path) == 1:
                self._moved.setdefault(path[0], []).append(name)

    def _member(self, schema: Any) -> _Member:  # noqa: ANN401 - a part of a core schema
        name = ""
        while isinstance(schema, dict):
            cls = schema.get("cls")
            name = name or (cls.__name__ if isinstance(cls, type) else "")
            if schema["type"] in _FIELDS:
                fields = schema["fields"]
                return _Member(name, frozenset(fields if isinstance(fields, dict) else (f["name"] for f in fields)))
            inner = schema.get("schema", schema.get("items_schema"))
            schema = self._definitions.get(schema.get("schema_ref", ""), inner)
        return _Member("", ())


def _watch(schema: Any, members: Sequence[_Member], place: int) -> Any:  # noqa: ANN401 - a part of a core schema
    """Return the schema of a union's member that notes which objects it made; scalars are taken strictly."""
    if type(schema) is tuple:
        return (_watch(schema[0], members, place), *schema[1:])
    if schema["type"] in _SCALARS:
        return {**schema, "strict": True}  # else "12", once a text, would be a number when the text is refused

    def note(value: object, info: ValidationInfo) -> object:
        if info.context is not None:
            info.context[id(value)] = (value, members, place)
        return value

    return {"type": "function-after", "function": {"type": "with-info", "function": note}, "schema": schema}


class _LossFinder:
    """What is not in the value that a record was read as.

    Attributes:
        notes: What was found, by code and path.
    """

    def __init__(self, moved: Mapping[str, Sequence[str]], taken: Mapping[int, _Taken], then: Then) -> None:
        self.notes: dict[tuple[str, str], Note] = {}
        self._moved, self._taken, self._today = moved, taken, then.today
        self._recorded = [(_NUMBERED.sub("", name), parts) for name, parts in then.recorded.items()]

    def follow(
        self, record: _Record, again: _Record, value: object, path: str, around: _Taken | None = None
    ) -> _Record:
        """Compare a part of the record. Return it with its moved fields under today's names.

        Args:
            record: The part.
            again: What its value is written as.
            value: Its value.
            path: Where it is.
            around: How the list that it is an item of was taken, if that is a member of a union.
        """
        taken = self._taken.get(id(value), around)
        while isinstance(value, RootModel):
            value = value.root
            taken = taken or self._taken.get(id(value))
        if isinstance(record, dict) and isinstance(again, dict):
            places = {key: self._place_of(key, record, again) for key in record if key != FIELDS_SET}
            if taken is not None:
                self._check_member(record, [key for key, place in places.items() if not place], *taken[1:], path)
            return self._follow_parts(record, again, value, path, places)
        if isinstance(record, list) and isinstance(again, list) and len(record) == len(again):
            held = [*value] if isinstance(value, (list, tuple, deque)) and len(value) == len(record) else None
            values = held or [None] * len(record)
            triples = zip(record, again, values, strict=True)
            return [self.follow(item, other, part, f"{path}[]", taken) for item, other, part in triples]
        if not _is_equal_json(record, again):
            self._note(Note("value_changed", path, record, again))
        return record

    def _place_of(self, key: str, record: _Record, again: _Record) -> str:
        """Return the name that a recorded key has today; "" if it has none."""
        if key in again:
            return key
        return next((name for name in self._moved.get(key, ()) if name in again and name not in record), "")

    def _follow_parts(
        self, record: _Record, again: _Record, value: object, path: str, places: Mapping[str, str]
    ) -> _Record:
        made: dict[str, Any] = {}
        for key, place in places.items():
            below = f"{path}.{key}"
            if place:
                made[place] = self.follow(record[key], again[place], _part_of(value, place), below)
            else:
                made[key] = record[key]
                self._note(Note("field_removed", below, record[key]))
        if FIELDS_SET in record:
            made[FIELDS_SET] = [places.get(name) or name for name in record[FIELDS_SET]]
        return made

    def _note(self, note: Note) -> None:
        self.notes.setdefault((note.code, note.path), note)

    def _check_member(
        self, record: _Record, lost: Collection[str], members: Sequence[_Member], place: int, path: str
    ) -> None:
        """Check that an object was read as the member of a union that it was recorded as.

        Raises:
            AnotherMember.
        """
        read, others = members[place], [each for each in members if each is not members[place]]
        fitting = [*self._list_recorded(record)]
        names = {name for name, _ in self._recorded}
        if read.name in fitting:  # of several with these keys, another may have been taken, which accepted more then
            meant = [each for each in others if each.name in fitting and self._is_stricter(each.name)]
        else:
            meant = [each for each in others if each.name in fitting or each.fields & {*lost}]  # type: ignore[operator]
            if fitting and read.name in names:
                meant = meant or [_Member(fitting[0], ())]
        if meant:
            as_what = read.name or "a dict"
            raise AnotherMember(f"{path} was recorded as {meant[0].name}, and would be read as {as_what} today")

    def _list_recorded(self, record: _Record) -> Iterator[str]:
        """Yield the types of the recorded graph spec that an object can have been: those with just its keys, if any."""
        keys = record.keys() - {FIELDS_SET}
        found = [(name, {**parts}) for name, parts in self._recorded if _can_be(record, keys, parts)]
        exact = [
            name for name, parts in found if all(part in keys or _LEFT_OUT in parts[part] for part in parts if part)
        ]
        yield from exact or [name for name, _ in found]

    def _is_stricter(self, name: str) -> bool:
        """Return whether today's form of a type can refuse what the recorded form accepted."""
        now = self._today.get(name, {})
        before = next((parts for each, parts in self._recorded if each == name), {})
        names = {part: next((new for new in self._moved.get(part, ()) if new in now), part) for part in before}
        is_other = any(now.get(names[part]) != text for part, text in before.items())
        return is_other or any(not _OPTIONAL.search(now[part]) for part in now.keys() - {*names.values()})


def _can_be(record: _Record, keys: Collection[str], parts: Mapping[str, str]) -> bool:
    """Return whether an object with these keys can have been of a type: one that was recorded before it had all."""
    fields = parts.keys() - {""}
    if not fields or (not fields.issuperset(keys) and "extra=allow" not in parts.get("", "")):
        return False
    if any(key not in record and not _OPTIONAL.search(parts[key]) for key in fields):
        return False
    tags = [key for key in fields if key in record and parts[key].startswith("Literal['")]
    return all(repr(record[key]) in parts[key] for key in tags)


def _part_of(value: Any, name: str) -> object:  # noqa: ANN401 - a value with parts
    if isinstance(value, BaseModel) or dataclasses.is_dataclass(value):
        return getattr(value, name, None)
    return value.get(name) if isinstance(value, Mapping) else None


def _is_equal_json(record: _Record, again: _Record) -> bool:
    """Return whether two scalars, or two things of other kinds, are the same; a number counts by its value."""
    numbers = (int, float)
    return record == again and (type(record) is type(again) or (type(record) in numbers and type(again) in numbers))


__all__ = ["AnotherMember", "EarlierReader", "Note", "Reread", "Then", "Types"]
