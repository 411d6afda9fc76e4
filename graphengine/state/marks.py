"""Marks: additions to the JSON of a record for details that JSON lacks. They stay with the value wherever it is moved.

- An object contains the set fields of a model under `__fields_set__`, unless all of them are set.
- A time in a time zone contains the name of the zone, as RFC 9557 writes it:
  `2026-10-25T02:30:00+01:00[Europe/Berlin]`. A time with `fold=1` that its offset does not distinguish contains
  `[_fold=1]`.
- The items of a set are in the order of their JSON.
- A complex number contains the sign of a real part that is zero: `-0+1j`.

A mark has an effect only where a model or a time is read: only there is the key left out, or is the text refused with
its zone. The same text is read as it is if it is a Literal, the value of an Enum or a value of another library's type.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import operator
import re
from collections import deque
from collections.abc import Set as AbstractSet
from functools import lru_cache
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import from_json, to_json

from graphengine.state.json_values import raw_items, raw_members

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

T = TypeVar("T")

FIELDS_SET: Final = "__fields_set__"
"""The key of an object under which the names of a model's set fields are."""

_KEY: Final = FIELDS_SET.encode()
_ZONED: Final = re.compile(
    r"((?:\d{4}-\d\d-\d\dT)?\d\d:\d\d[\d:.+Z-]*)\[(_fold=1|[A-Za-z][\w+/-]{0,60})\](\[_fold=1\])?"
)
_Place: TypeAlias = tuple[int | str, ...]
_SIGNED: Final = (b'"-0+', b'"-0-')
_FOLD: Final = "[_fold=1]"
_MINUTE: Final = datetime.timedelta(minutes=1)
_BARE: Final = frozenset((str, int, bool, float, NoneType, bytes))

_LISTS: Final = (list, tuple, deque, set, frozenset)


@lru_cache
def keeps_set_fields(model: type[BaseModel]) -> bool:
    """Return whether records of this model tell which fields of an instance were set explicitly.

    The other fields of the instance have their defaults. A model can turn this off by listing `model_fields_set` in its
    `__unrecorded__`.
    """
    return not issubclass(model, RootModel) and "model_fields_set" not in getattr(model, "__unrecorded__", ())


def marked(value: Any, body: bytes) -> bytes:  # noqa: ANN401 - any value
    """Return the JSON of a value, with marks for details that plain JSON would lose, such as the name of a time zone.

    Args:
        value: The value.
        body: Its JSON, as pydantic wrote it. Only parts that can need a mark are decoded.
    """
    if type(value) in _BARE:
        return body
    if isinstance(value, RootModel):
        return marked(value.root, body)
    if isinstance(value, (datetime.datetime, datetime.time, complex)):
        if body[:1] != b'"':
            return body
        return _sign_zeros(value, body) if isinstance(value, complex) else body[:-1] + _suffix(value) + body[-1:]
    if body[:1] == b"{":
        return _mark_object(value, body)
    return _mark_list(value, body) if body[:1] == b"[" and isinstance(value, _LISTS) else body


def _mark_list(value: Any, body: bytes) -> bytes:  # noqa: ANN401 - as above
    is_set = isinstance(value, AbstractSet)
    if _BARE.issuperset(map(type, value)) and not is_set:
        return body
    parts = list(map(bytes, raw_items(body)))
    if len(parts) == len(value):
        parts = list(map(marked, value, parts))
    return b"[" + b",".join(sorted(parts) if is_set else parts) + b"]"


def _mark_object(value: Any, body: bytes) -> bytes:  # noqa: ANN401 - as above
    """Return the JSON of a model, a dataclass or a dict, with marks for details that plain JSON would lose."""
    suffix = b""
    if isinstance(value, BaseModel):
        held = vars(value)
        set_names = value.__pydantic_fields_set__
        if value.__pydantic_extra__:
            held = {**held, **value.__pydantic_extra__}
        if not set_names.issuperset(held) and keeps_set_fields(type(value)):
            suffix = _set_fields(tuple(held), frozenset(set_names))
    else:
        held = value if isinstance(value, dict) else _set_fields_of(value)
    if not _BARE.issuperset(map(type, held.values())):
        parts = raw_members(body)
        if isinstance(value, dict):  # JSON has the keys of a dict as texts, in the same order.
            held = dict(zip(parts, held.values(), strict=len(held) == len(parts)))
        names_of = _names_of(type(value)) if isinstance(value, BaseModel) else {}
        members = [
            b"%b:%b" % (to_json(key), marked(held.get(names_of.get(key, key)), bytes(part)))
            for key, part in parts.items()
        ]
        body = b"{" + b",".join(members) + b"}"
    comma = b"," if suffix and len(body) > len(b"{}") else b""
    return body[:-1] + comma + suffix + b"}"


@lru_cache
def _set_fields(names: tuple[str, ...], given: frozenset[str]) -> bytes:
    """Return the mark that records which fields of a model were set explicitly."""
    return b'"%b":%b' % (_KEY, to_json([name for name in names if name in given]))


@lru_cache
def _names_of(model: type[BaseModel]) -> Mapping[str, str]:
    """Return the names of a model's fields by the aliases under which the fields appear in JSON."""
    fields = model.__pydantic_fields__.items()
    return {alias: name for name, each in fields for alias in (each.alias, each.serialization_alias) if alias}


def _set_fields_of(value: Any) -> dict[str, Any]:  # noqa: ANN401 - perhaps a dataclass
    if not dataclasses.is_dataclass(value):
        return {}
    return {each.name: getattr(value, each.name, None) for each in dataclasses.fields(value)}


def _suffix(value: datetime.datetime | datetime.time) -> bytes:
    key = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None
    zone = f"[{key}]" if key else ""
    return (zone + _FOLD if value.fold else zone).encode()


def _sign_zeros(value: complex, body: bytes) -> bytes:
    """Return the JSON of a complex number with a negative zero written out, which pydantic reads but does not write."""
    if value.real != 0 or math.copysign(1, value.real) > 0 or body[:4] in _SIGNED:
        return body
    return b'"-0' + (b"" if body[1:2] == b"-" else b"+") + body[1:]


def has_marks(body: bytes) -> bool:
    """Return whether JSON may contain marks, which keep details such as the name of a time zone."""
    # Searching from the right takes half the time, because few texts contain a bracket.
    return _KEY in body or body.rfind(b']"') >= 0


def read_json(validate: Callable[[bytes], T], body: bytes) -> T:
    """Decode JSON that may contain marks, and return the value with the details that the marks keep.

    A mark is an addition to the JSON for a detail that JSON lacks, such as the name of a time zone. `validate` decodes
    the JSON without marks.
    """
    if not has_marks(body):
        return validate(body)
    json = from_json(body)

    def made(plain: Any) -> T:  # noqa: ANN401 - JSON
        return validate(body if plain is json else to_json(plain))

    return read(made, json)


def read(validate: Callable[[Any], T], json: Any) -> T:  # noqa: ANN401 - JSON
    """Convert JSON values that may contain marks to a value that has the details which the marks keep.

    A mark is an addition to JSON, such as the `[Europe/Paris]` in `2026-01-02T08:30+01:00[Europe/Paris]`. The JSON
    alone does not show whether such a text is a time or just a text: only the type decides this. So `validate` first
    gets the text with its zone. If the type refuses it as a time, `validate` gets it again without the zone.
    """
    plain = _strip_marks(json, ())
    while True:
        try:
            found: T = restored(validate(plain), json)
        except ValidationError as error:
            refused = _find_refused_times(plain, error)
            if not refused:
                raise
            plain = _strip_marks(plain, refused)
        else:
            return found


def _find_refused_times(json: Any, error: ValidationError) -> Collection[_Place]:  # noqa: ANN401 - JSON
    """Return where in JSON a type refused a text as a time, although the text is a time with the name of its zone.

    The name of the zone is an addition by which the record keeps the zone, and which the type does not know. If a
    validator of the user refused a whole object, any text in the object may be the cause, so all times with a zone are
    returned.
    """
    texts = dict(_find_zoned_texts(json))
    found: set[_Place] = set()
    anywhere: set[str] = set()
    for each in error.errors(include_url=False, include_context=False) if texts else ():
        refused: object = each["input"]
        is_own = each["type"] in ("value_error", "assertion_error")
        if is_own and not isinstance(refused, str):
            return texts.keys()
        if isinstance(refused, str) and (is_own or each["type"].startswith(("datetime_", "time_"))):
            near = [place for place in _follow(json, each["loc"]) if texts.get(place) == refused]
            found.update(near)
            if not near:
                anywhere.add(refused)
    found.update(place for place, text in texts.items() if text in anywhere)
    return found


def _follow(json: Any, loc: _Place, place: _Place = ()) -> Iterator[_Place]:  # noqa: ANN401 - JSON
    """Yield the places in JSON that the location of a pydantic error (`loc`) can mean.

    The location also contains the names of union members, which do not occur in the JSON, so several places are
    possible.
    """
    yield place
    tried: set[int | str] = set()
    for at, part in enumerate(loc):
        key: Any = str(part) if isinstance(json, dict) else part
        has = (
            key in json
            if isinstance(json, dict)
            else isinstance(json, list) and isinstance(key, int) and key < len(json)
        )
        if has and key not in tried:
            tried.add(key)
            yield from _follow(json[key], loc[at + 1 :], (*place, key))


def _find_zoned_texts(json: Any, place: _Place = ()) -> Iterator[tuple[_Place, str]]:  # noqa: ANN401 - JSON
    """Yield the place and the text of every string in JSON that looks like a time with the name of a zone."""
    if isinstance(json, str):
        if bare(json) is not json:
            yield place, json
    elif isinstance(json, (dict, list)):
        for key, part in json.items() if isinstance(json, dict) else enumerate(json):
            yield from _find_zoned_texts(part, (*place, key))


def carries_marks(value: Any) -> bool:  # noqa: ANN401 - any value
    """Return whether a value may be JSON from a record, with additions (marks) for details that plain JSON lacks.

    A mark keeps, for example, the name of a time zone. The result is False if the value is not JSON.
    """
    try:
        return has_marks(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError):  # the value is not JSON
        return False


def bare(json: Any) -> Any:  # noqa: ANN401 - JSON
    """Return JSON without its marks, which keep details such as time zones and which fields of a model were set.

    If the JSON contains no marks, the same object is returned. A text that merely looks like a time with a marked zone
    loses its suffix too.
    """
    if isinstance(json, str):
        # The zone stays if this machine does not know it, and the text is then refused as a time.
        found = _ZONED.fullmatch(json)
        return found[1] if found and (f"[{found[2]}]" == _FOLD or _zone_of(found[2])) else json
    return _strip_marks(json, None)


def without_set_fields(json: Any) -> Any:  # noqa: ANN401 - JSON
    """Return JSON without the marks that record which fields of models were set. If there are none, the same object."""
    return _strip_marks(json, ())


def _strip_marks(json: Any, times: Collection[_Place] | None, place: _Place = ()) -> Any:  # noqa: ANN401 - JSON
    """Return JSON without the marks by which records keep details that plain JSON lacks.

    The marks that show which fields of models were set are removed everywhere. Marks of time zones are removed only at
    the places in `times`, or everywhere if `times` is None.
    """
    if isinstance(json, str):
        return bare(json) if times is None or place in times else json
    if isinstance(json, dict):
        made = {name: _strip_marks(part, times, (*place, name)) for name, part in json.items() if name != FIELDS_SET}
        is_bare = len(made) == len(json) and all(made[name] is part for name, part in json.items())
        return json if is_bare else made
    if isinstance(json, list):
        items = [_strip_marks(part, times, (*place, at)) for at, part in enumerate(json)]
        return json if all(made is item for made, item in zip(items, json, strict=True)) else items
    return json


def restored(value: Any, json: Any) -> Any:  # noqa: ANN401 - any value, and its JSON
    """Return a value with the details that the marks in its JSON keep, such as time zones.

    Args:
        value: The value that was read from the JSON without marks. Models, lists and dicts are changed in place.
        json: The JSON with the marks.
    """
    if isinstance(json, str):
        return _restore_zone(value, json) if isinstance(value, (datetime.datetime, datetime.time)) else value
    if isinstance(value, RootModel):
        attributes: Any = value.__dict__
        attributes["root"] = restored(value.root, json)
    elif isinstance(json, dict):
        _restore_parts(value, json)
    elif isinstance(json, list) and isinstance(value, (list, tuple, deque)) and len(json) == len(value):
        items = list(map(restored, value, json))
        if all(map(operator.is_, items, value)):
            return value
        if isinstance(value, tuple):
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
        for at, item in enumerate(items):
            value[at] = item
    elif isinstance(json, list) and isinstance(value, (set, frozenset)) and bare(json) is not json:
        return _restore_set(value, json)
    return value


def _restore_set(value: Any, json: list[Any]) -> Any:  # noqa: ANN401 - as above
    by_json = {to_json(item, by_alias=False, round_trip=True, fallback=repr): item for item in value}
    found = [(by_json.get(to_json(_strip_marks(item, ())), by_json.get(to_json(bare(item)))), item) for item in json]
    if any(item is None for item, _ in found):
        return value
    return type(value)(restored(item, with_marks) for item, with_marks in found)


def _restore_parts(value: Any, json: dict[str, Any]) -> None:  # noqa: ANN401 - as above
    if isinstance(value, BaseModel):
        held: Any = value.__dict__
        extra = value.__pydantic_extra__ or {}
        names_of = _names_of(type(value))
        for key, part in json.items():
            name = names_of.get(key, key)
            for parts in (held, extra):
                if name in parts:
                    parts[name] = restored(parts[name], part)
        if isinstance(names := json.get(FIELDS_SET), list):
            set_names = {name for name in names if isinstance(name, str) and (name in held or name in extra)}
            object.__setattr__(value, "__pydantic_fields_set__", set_names)
    elif isinstance(value, dict):
        keys = [name for name in json if name != FIELDS_SET]
        is_text = value.keys() == set(keys)  # Otherwise each key was made from its text, in the same order.
        for key, name in zip(keys if is_text else list(value), keys, strict=False):
            value[key] = restored(value[key], json[name])
    else:
        for name, part in _set_fields_of(value).items():
            if name in json:
                object.__setattr__(value, name, restored(part, json[name]))


def _restore_zone(value: Any, json: str) -> Any:  # noqa: ANN401 - a datetime or time
    """Return a time in the time zone whose name its JSON contains. The moment in time does not change."""
    found = _ZONED.fullmatch(json)
    if found is None:
        return value
    zone = _zone_of(found[2])
    restored = value.replace(tzinfo=zone or value.tzinfo, fold=int(json.endswith(_FOLD)))
    if not isinstance(restored, datetime.datetime) or value.utcoffset() is None:
        return restored
    gap = abs(value.utcoffset() - restored.utcoffset())
    # An old offset contains seconds, which JSON does not have.
    return value.astimezone(zone) if gap >= _MINUTE else restored


@lru_cache
def _zone_of(key: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(key)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones, or a name that belongs to no file
        return None
