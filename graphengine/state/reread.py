"""Decode records that were written under earlier types, and report each value that is lost or changed.

pydantic ignores keys that a model does not name. If one member of a union refuses a value, pydantic tries the next
member. Under the types that wrote a record this does no harm, because the record was compared with its value when it
was written. Under changed types, values would be lost silently. So records whose types have changed are decoded by
`EarlierReader`, with these rules:

- A field is found by its name. An alias is used only if the record lacks the name, and if no other field has the alias
  as its name.
- The decoded value is encoded again and compared with the record. Each key that is missing and each value that differs
  becomes a `Note`. Fields that the current type adds are not reported.
- A value is refused if it would be decoded as another member of a union than the recorded one.

A record does not name the member of a union to which it belongs. The graph spec under which the record was written
describes the fields of each type of that time. Each member that has the keys of the record can be the recorded one.
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
"""The types that the state of a graph names, as the graph spec describes them: by name, a text for each field."""

_SHOWN: Final = 120  # of a value in a note
_SCALARS: Final = ("int", "float", "bool", "str")
_NOT_SCHEMAS: Final = ("cls", "config", "default", "expected", "function", "metadata", "serialization")
_FIELDS: Final = ("model-fields", "typed-dict", "dataclass-args")
_NUMBERED: Final = re.compile(r" \(\d+\)$")
_LEFT_OUT: Final = ", not required"
_OPTIONAL: Final = re.compile(r"(^|, )(default|not required)")
_Record: TypeAlias = Any


class Note(NamedTuple):
    """Something that is lost or changed when an old record is decoded with the current types.

    Attributes:
        code: `field_removed` if the current type does not name a recorded field. `value_changed` if a validator or
            another type turned a recorded value into a different one.
        path: The path of the value, made of the recorded names; `[]` stands for each item of a list.
        was: The recorded value.
        now: The value after decoding; None for `field_removed`.
    """

    code: Literal["field_removed", "value_changed"]
    path: str
    was: object
    now: object = None

    def text(self, *, hide: bool = False) -> str:
        """Describe the lost or changed value in a sentence for people. With `hide`, the values are left out."""
        if self.code == "field_removed":
            return f"field {self.path!r} is gone, and its value with it"
        if hide:
            return f"{self.path!r} is read as another value"
        now, was = clipped(repr(self.now), _SHOWN), clipped(repr(self.was), _SHOWN)
        return f"{self.path!r} is read as {now}, recorded as {was}"


class Then(NamedTuple):
    """The types of a graph's state when a record was written, and the current types.

    Attributes:
        recorded: The types when the record was written, from the graph's description; empty if they are not known.
        today: The current types; empty if they are not known.
    """

    recorded: Types = MappingProxyType({})
    today: Types = MappingProxyType({})


class Reread(NamedTuple, Generic[T]):
    """The result of decoding an old record with the current types.

    Attributes:
        value: The decoded value.
        notes: The recorded values that decoding loses or changes.
        is_same: Whether encoding the value gives exactly the record again.
    """

    value: T
    notes: Sequence[Note] = ()
    is_same: bool = True


class AnotherMember(ValueError):
    """Raised if an old record would be decoded as a different member of a union than the member that was recorded."""


class _Member(NamedTuple):
    """One member of a union type such as `Cat | Dog`, with the names of its fields, by which it can be recognised.

    Attributes:
        name: The name of the member's class, or of the class of its items if the member is a list. "" if the member has
            no fields.
        fields: The names of the fields of that class; empty if there are none.
    """

    name: str
    fields: Collection[str]


_Taken: TypeAlias = tuple[object, Sequence[_Member], int]
"""An object that a member of a union decoded, all members of that union, and the index of the member that decoded the
object. While a record is decoded, these tuples are kept by the ids of the objects, in the context of pydantic. The
tuples keep the objects alive, so that no id is used twice."""


class EarlierReader:
    """Decodes records that were written when a field had another type, and notes which recorded values are lost.

    Before pydantic 2.13, nested models keep their own validators. The special rules for aliases and unions then do not
    apply inside nested models, but lost values are still noted.

    Args:
        schema: pydantic's core schema of the current type.
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
        """Decode an old record, and list the recorded values that are lost or changed.

        Args:
            record: The record, as JSON values.
            load: Decodes a record. Its second argument is a function that validates the JSON of the record.
            dump: Encodes a value as a record.
            path: The beginning of the paths in the notes.
            then: The types under which the record was written, and the current types.

        Raises:
            AnotherMember: The record would be decoded as another member of a union than the recorded one. Exceptions of
                `load` and `dump` are raised unchanged.
        """
        taken: dict[int, _Taken] = {}
        validate = partial(self._validator.validate_json, by_alias=True, by_name=False, context=taken)
        value = load(record, validate)
        again = dump(value)
        found = _LossFinder(self._moved, taken, then)
        moved = found.follow(record, again, value, path)
        if moved != record:  # Some fields have new names, so decode once more under the new names.
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
        left = _NOT_SCHEMAS if isinstance(kind, str) else ()  # otherwise these are fields, or members by their tag
        prepared = {key: part if key in left else self._prepare(part) for key, part in schema.items()}
        if kind in _FIELDS:
            fields = prepared["fields"]
            named = fields if isinstance(fields, dict) else {each["name"]: each for each in fields}
            for name, field in named.items():
                self._by_name_first(name, field, named)
        elif kind == "union":
            members = [self._member(each[0] if type(each) is tuple else each) for each in schema["choices"]]
            prepared["choices"] = [_watch(each, members, place) for place, each in enumerate(prepared["choices"])]
        return prepared

    def _by_name_first(self, name: str, field: dict[str, Any], named: Collection[str]) -> None:
        """Change the schema of a field so that the name of the field takes precedence over its aliases when it is read.

        An alias that is also the name of another field is not used.
        """
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
    """Change the schema of a union member so that decoding notes which objects were decoded as this member.

    Returns the changed schema. Members that are scalar types become strict. Otherwise a text such as "12" that the
    right member refuses could be decoded as a number.
    """
    if type(schema) is tuple:
        return (_watch(schema[0], members, place), *schema[1:])
    if schema["type"] in _SCALARS:
        # Otherwise "12", which was recorded as a text, would become a number when the text is refused.
        return {**schema, "strict": True}

    def note(value: object, info: ValidationInfo) -> object:
        if info.context is not None:
            info.context[id(value)] = (value, members, place)
        return value

    return {"type": "function-after", "function": {"type": "with-info", "function": note}, "schema": schema}


class _LossFinder:
    """Compares an old record with the value that was decoded from it, and notes what was lost or changed.

    Attributes:
        notes: The notes, by code and path.
    """

    def __init__(self, moved: Mapping[str, Sequence[str]], taken: Mapping[int, _Taken], then: Then) -> None:
        self.notes: dict[tuple[str, str], Note] = {}
        self._moved, self._taken, self._today = moved, taken, then.today
        self._recorded = [(_NUMBERED.sub("", name), parts) for name, parts in then.recorded.items()]

    def follow(
        self, record: _Record, again: _Record, value: object, path: str, around: _Taken | None = None
    ) -> _Record:
        """Compare one part of an old record with the value that was decoded from it, and note the differences.

        Args:
            record: The part of the record.
            again: The part after decoding and encoding it again.
            value: The decoded value of the part.
            path: The path of the part.
            around: The union member that decoded the list around this part; None if there is no such list.

        Returns:
            The part of the record. Fields that were recorded under an alias have their current names.
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
        """Return the name that the current type has for a recorded key; "" if the current type has no such field."""
        if key in again:
            return key
        return next((name for name in self._moved.get(key, ()) if name in again and name not in record), "")

    def _follow_parts(
        self, record: _Record, again: _Record, value: object, path: str, places: Mapping[str, str]
    ) -> _Record:
        renamed: dict[str, Any] = {}
        for key, place in places.items():
            below = f"{path}.{key}"
            if place:
                renamed[place] = self.follow(record[key], again[place], _part_of(value, place), below)
            else:
                renamed[key] = record[key]
                self._note(Note("field_removed", below, record[key]))
        if FIELDS_SET in record:
            renamed[FIELDS_SET] = [places.get(name) or name for name in record[FIELDS_SET]]
        return renamed

    def _note(self, note: Note) -> None:
        self.notes.setdefault((note.code, note.path), note)

    def _check_member(
        self, record: _Record, lost: Collection[str], members: Sequence[_Member], place: int, path: str
    ) -> None:
        """Check that a recorded object is decoded as the same member of a union that wrote it.

        If the types have changed since, another member may accept the object first, and part of it would be lost.

        Args:
            record: The recorded object.
            lost: The keys of the object that the decoded value lacks.
            members: The members of the union.
            place: The index of the member that decoded the object.
            path: The path of the object.

        Raises:
            AnotherMember: The object was recorded as another member, or may have been.
        """
        read, others = members[place], [each for each in members if each is not members[place]]
        fitting = [*self._list_recorded(record)]
        names = {name for name, _ in self._recorded}
        # Another member with these keys may be the recorded one, if it accepted more values at that time.
        if read.name in fitting:
            meant = [each for each in others if each.name in fitting and self._is_stricter(each.name)]
        else:
            meant = [each for each in others if each.name in fitting or each.fields & {*lost}]  # type: ignore[operator]
            if fitting and read.name in names:
                meant = meant or [_Member(fitting[0], ())]
        if meant:
            as_what = read.name or "a dict"
            raise AnotherMember(f"{path} was recorded as {meant[0].name}, and would be read as {as_what} today")

    def _list_recorded(self, record: _Record) -> Iterator[str]:
        """Yield the names of the recorded types that may have written an object.

        Recorded types are the types as they were when the record was written. If some of them have exactly the keys of
        the object, only these are yielded.
        """
        keys = record.keys() - {FIELDS_SET}
        found = [(name, {**parts}) for name, parts in self._recorded if _can_be(record, keys, parts)]
        exact = [
            name for name, parts in found if all(part in keys or _LEFT_OUT in parts[part] for part in parts if part)
        ]
        yield from exact or [name for name, _ in found]

    def _is_stricter(self, name: str) -> bool:
        """Return whether a type has changed since a record was written, so that it may refuse recorded values."""
        now = self._today.get(name, {})
        before = next((parts for each, parts in self._recorded if each == name), {})
        names = {part: next((new for new in self._moved.get(part, ()) if new in now), part) for part in before}
        is_other = any(now.get(names[part]) != text for part, text in before.items())
        return is_other or any(not _OPTIONAL.search(now[part]) for part in now.keys() - {*names.values()})


def _can_be(record: _Record, keys: Collection[str], parts: Mapping[str, str]) -> bool:
    """Return whether an object in a record may have been an instance of the type with the fields `parts`.

    This is so if three conditions hold. The type declares all keys of the object, or allows extra keys. The object has
    all required fields. Each field whose type is a `Literal` has one of the listed values.
    """
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
    numbers = (int, float)
    return record == again and (type(record) is type(again) or (type(record) in numbers and type(again) in numbers))


__all__ = ["AnotherMember", "EarlierReader", "Note", "Reread", "Then", "Types"]
