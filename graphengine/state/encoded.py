"""Records as encoded JSON: a list or dict is kept as the bytes that are written to the log, until its parts are read.

A record is a JSON value. In the process that decides a step, the record itself, or each of its items, can be a
`msgspec.Raw`: bytes that are neither parsed nor encoded again when the step is folded and stored. `opened` returns the
JSON value.
"""

from __future__ import annotations

import functools
import gc
import marshal
import operator
from contextlib import suppress
from itertools import chain
from math import isfinite
from types import GenericAlias, NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import Raw
from pydantic_core import from_json
from typing_extensions import NoExtraItems

from graphengine.state.json_values import DEEPEST, check_depth, raw_items, raw_members
from graphengine.state.update import Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence


T = TypeVar("T")

encode: Final = msgspec.json.Encoder().encode
_plain: Final = msgspec.json.Decoder(list[Any]).decode

LARGE: Final = 1 << 16
"""The number of bytes of JSON from which it matters in which way a value is read."""

_OPENING: Final = (b"[", b"{")
_CONTAINERS: Final = (list, dict)
_PARTS: Final = (*_CONTAINERS, Raw)
_QUALIFIERS: Final = (Required, NotRequired)

_SCALARS: Final = frozenset((str, int, float, bool, NoneType))
_EXACT_SCALARS: Final = _SCALARS - {float}
_JSON: Final = _SCALARS.union(_CONTAINERS)
_MOST_DIGITS: Final = 2000  # half of the digits that JSON readers accept in an int
_MOST_COLUMNS: Final = 16
_FEW_HOLDERS: Final = 200


def record_of(body: bytes | memoryview) -> Any:  # noqa: ANN401 - a record
    """Convert the bytes of one JSON value to the form in which records keep it.

    Lists and objects stay encoded as bytes; other values are decoded.

    Raises:
        ValueError: The bytes are not JSON, or are nested too deeply to be read again as part of a larger record.
    """
    check_numbers(body)
    if body[:1] in _OPENING:
        check_depth(body, DEEPEST - 1)  # the object of all fields is a level too
        return Raw(body)
    return from_json(bytes(body))


def check_numbers(body: bytes | memoryview) -> None:
    """Refuse JSON that contains `NaN` or `Infinity`, which pydantic writes but which are not valid JSON.

    A model writes them if it is declared with `ser_json_inf_nan="constants"`. The value could not be read again.

    Raises:
        ValueError: The JSON contains such a constant outside of its texts.
    """
    text = bytes(body)
    if b"NaN" in text or b"Infinity" in text:  # a text in the JSON can contain these words too
        try:
            msgspec.json.decode(text, type=Raw)
        except msgspec.DecodeError as error:
            message = "it contains NaN or Infinity, which JSON does not have"
            raise ValueError(message) from error


def body_of(value: object) -> bytes | None:
    """Encode a value as JSON; the result is None if JSON cannot represent the value.

    That can happen to a value of the state: for example, a node may have put an object that is not JSON into a list
    that it read.
    """
    try:
        return encode(value)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def is_deeper(value: object, levels: int) -> bool:
    """Return whether a JSON value is nested deeper than this many lists and dicts."""
    level = [value]
    for _ in range(levels):
        level = gc.get_referents(*level)  # the items of all lists and dicts of a level
        if not level:
            return False
    return any(type(item) in _CONTAINERS for item in level)


def items_of(record: Any) -> list[Any]:  # noqa: ANN401 - a record
    """Return the items of a recorded list, whether or not the list is still encoded as JSON bytes.

    Items that are lists or objects may stay encoded. None becomes an empty list.
    """
    if not isinstance(record, Raw):
        return record or []
    body = bytes(record)
    is_flat = body[1:2] not in _OPENING and body.count(b"[") + body.count(b"{") == 1
    return _plain(body) if is_flat else raw_items(body)


def keys_of(record: Any) -> dict[str, Any]:  # noqa: ANN401 - a record
    """Return the entries of a dict as records keep it, encoded or not. None becomes an empty dict."""
    return raw_members(record) if isinstance(record, Raw) else (record or {})


def opened(record: Any) -> Any:  # noqa: ANN401 - a record
    """Return a recorded value as JSON values, with all parts decoded that are still kept as JSON bytes."""
    if isinstance(record, Raw):
        return from_json(bytes(record))
    if isinstance(record, list) and any(isinstance(item, _PARTS) for item in record):
        return [opened(item) for item in record]
    if isinstance(record, dict) and any(isinstance(item, _PARTS) for item in record.values()):
        return {key: opened(item) for key, item in record.items()}
    return record


def decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    if len(body) < LARGE or not gc.isenabled():
        return decode(body)
    gc.disable()  # The decoder makes many objects and no garbage, for which Python would search again and again.
    try:
        return decode(body)
    finally:
        gc.enable()


class Exact:
    """Encodes and checks values of a field type that consists of plain JSON values only, without pydantic.

    Such a type is built from lists, dicts with text keys, TypedDicts, texts, numbers, booleans and None. A value of
    exactly this type is valid, and reading its JSON gives an equal value, so that no comparison is needed.

    Attributes:
        items: Which of `list` and `dict` can be items of a list of this type, with any JSON value as content. For
            `list[list[Any]]` this is `list`.
    """

    __slots__ = ("_decode", "_is_open", "_levels", "items")

    def __init__(
        self,
        decode: msgspec.json.Decoder[Any],
        items: Collection[type],
        levels: Sequence[frozenset[object]],
        *,
        is_open: bool,
    ) -> None:
        self._decode, self.items, self._levels, self._is_open = decode.decode, items, levels, is_open

    def decode(self, body: bytes) -> object:
        """Decode JSON to a value of this type.

        Raises:
            MsgspecError: The JSON does not fit the type.
        """
        return decoded(self._decode, body)

    def take(self, value: object, *, later: bool = False) -> tuple[bytes, object] | None:
        """Encode a value, and return its JSON together with the value that is read back from the JSON.

        Returns None if the value does not have exactly this type, or is not read back as an equal value.

        Args:
            value: The value.
            later: Whether a large value may be returned as an `Unread` value, which is decoded when it is first used.
        """
        body = body_of(value)
        if body is None:
            return None
        if later and len(body) >= LARGE and self._levels and _proves(value, body, self._levels):
            return body, Unread(Raw(body))
        try:
            # Under Any, an instance of a subclass would not be converted. marshal refuses such an instance.
            if self._is_open:
                marshal.dumps(cast("Any", value))
            back = self.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if back != value or (len(body) > 2 * DEEPEST and is_deeper(back, DEEPEST - 1)):
            return None
        return body, back


def _proves(value: object, body: bytes, levels: Sequence[frozenset[object]]) -> bool:
    """Return whether the types inside a value prove that its JSON is read back as an equal value.

    The alternative, decoding the JSON and comparing the result, takes three to nine times as long. So the value is
    examined level by level, in loops that run in C. If all lists or dicts of a level have the same length, the items at
    each position form a column. A column probably has a single type, and a column of texts or numbers is the cheapest
    to check.

    Args:
        value: The value.
        body: The JSON of the value.
        levels: The types of the values of each level. The last types apply to all levels below, too.
    """
    if any(body[at : at + _MOST_DIGITS].isdigit() for at in range(0, len(body), _MOST_DIGITS)):
        return False
    level: list[Any] = [value]
    columns = 1
    for depth in range(DEEPEST):
        allowed = levels[min(depth, len(levels) - 1)]
        level = _unproven(level, columns, allowed)
        kinds = set(map(type, level))
        if not (allowed.issuperset(kinds) and (float not in kinds or _are_finite(level))):
            return False
        if kinds.isdisjoint(_CONTAINERS):
            return True
        holders = level if kinds.issubset(_CONTAINERS) else [item for item in level if type(item) in _CONTAINERS]
        level = gc.get_referents(*holders)
        if dict in kinds and len(level) != sum(map(len, holders)):  # Then keys that are not texts are among the items.
            return False
        columns, rest = divmod(len(level), len(holders))
        if rest or columns > _MOST_COLUMNS or len(holders) < _FEW_HOLDERS:
            columns = 1
    return False


def _unproven(level: list[Any], columns: int, known: frozenset[object]) -> list[Any]:
    """Return the columns of values that still have to be examined, without those that contain only safe scalars."""
    parts = [level[at::columns] for at in range(columns)] if columns > 1 else [level]
    left = [part for part in parts if not _are_scalars(part, known)]
    return level if len(left) == len(parts) else [*chain.from_iterable(left)]


def _are_scalars(values: list[Any], known: frozenset[object]) -> bool:
    """Return whether JSON can represent all of these values, and each has one of the scalar types in `known`.

    Scalars are texts, numbers, booleans and None.
    """
    if not values or type(values[0]) in _CONTAINERS:
        return not values
    kind = _list_of(known)
    with suppress(msgspec.ValidationError):
        # The fastest loop. It accepts enums that equal a scalar.
        if kind is not None and msgspec.convert(values, kind):
            return True
    kinds = set(map(type, values))
    return known.issuperset(kinds) and kinds.isdisjoint(_CONTAINERS) and _are_finite(values)


@functools.cache
def _list_of(known: frozenset[object]) -> Any:  # noqa: ANN401 - a type
    """Return a list type with which msgspec can check in one call that many values have one of the `known` types.

    For `{str, int, list}` this is `list[str | int]`. Floats are left out, because msgspec could convert another number
    to a float. None if no scalar type is left, or if `known` contains both list and dict, as for `Any`.
    """
    if known.issuperset(_CONTAINERS):  # Under Any, an enum or an instance of a subclass would not be converted.
        return None
    scalars = known & _EXACT_SCALARS
    return GenericAlias(list, (functools.reduce(operator.or_, scalars),)) if scalars else None


def _are_finite(values: list[Any]) -> bool:
    with suppress(TypeError, OverflowError):  # not all are numbers, or a number is larger than any float
        if isfinite(sum(values)):
            return True
    return all(isfinite(item) for item in values if type(item) is float)


def codec_of(annotation: object) -> Exact | None:
    """Return an encoder for a list or dict type that contains only JSON values; None for all other types."""
    try:
        return _codec(annotation)
    # not hashable, an ambiguous union, or an unknown name
    except (TypeError, NameError, AttributeError, RecursionError):
        return None


@functools.cache
def _codec(annotation: object) -> Exact | None:
    has_lists = any(member in (Any, object) or _is_container(member) for member in _list_members(annotation))
    if has_lists and _is_exact(annotation):
        items = [_find_item_type(member) for member in _list_members(annotation)]
        opens = frozenset(kind for item in items for kind in _find_open_containers(item))
        return Exact(msgspec.json.Decoder(annotation), opens, _levels(annotation), is_open=_has_any(annotation))
    return None


def _has_any(annotation: object) -> bool:
    if annotation in (Any, object, list, dict):
        return True
    if _is_typed_dict(annotation):
        return any(map(_has_any, get_type_hints(annotation, include_extras=True).values()))
    return get_origin(annotation) is not Literal and any(map(_has_any, get_args(annotation)))


def _levels(annotation: object) -> Sequence[frozenset[object]]:
    """Return which Python types can occur at each level of nesting of an annotated type.

    For `dict[str, list[int]]` the result is `({dict}, {list}, {int})`. The last entry applies to all deeper levels. The
    result is empty if the annotation does not decide this.
    """
    kinds: set[object] = set()
    inner: set[object] = set()
    for member in _list_members(annotation):
        origin, parts = get_origin(member) or member, get_args(member)
        if origin in (Any, object):
            return (_JSON,)
        kinds.add(NoneType if origin is None else origin)
        if origin in _CONTAINERS:
            inner.add(parts[-1] if parts else Any)
    below = _levels(next(iter(inner))) if inner else ()
    decides = kinds <= _JSON and len(inner) <= 1 and bool(below) == bool(inner)
    return (frozenset(kinds), *below) if decides else ()


def _find_item_type(annotation: object) -> object:
    if annotation in (list, Any, object):
        return Any
    return get_args(annotation)[0] if get_origin(annotation) is list else None


def _find_open_containers(annotation: object) -> Sequence[type]:
    """Return which of `list` and `dict` an annotation accepts with any JSON value as content.

    The result is both for `Any`, only `list` for `list[Any]`, and empty for `list[int]`.
    """
    if annotation in (Any, object):
        return _CONTAINERS
    members = _list_members(annotation)
    if len(members) > 1:
        return [kind for member in members for kind in _find_open_containers(member)]
    origin, parts = get_origin(annotation) or annotation, get_args(annotation)
    return [kind for kind in _CONTAINERS if origin is kind and (not parts or parts[-1] in (Any, object))]


def _list_members(annotation: object) -> Sequence[object]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _is_container(annotation: object) -> bool:
    return (get_origin(annotation) or annotation) in (list, dict) or _is_typed_dict(annotation)


def _is_exact(annotation: object) -> bool:
    """Return whether all values that an annotation allows consist of plain JSON values only.

    Such values are lists, dicts with text keys, and JSON scalars.
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation in (Any, object, list, dict, str, int, float, bool, None, NoneType):
        return True
    if origin in (list, Union, UnionType, *_QUALIFIERS):
        return all(map(_is_exact, parts))
    if origin is dict:
        return parts[0] is str and _is_exact(parts[1])
    if origin is Literal:
        return all(type(part) in (str, int, NoneType) for part in parts)
    if _is_typed_dict(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        return _has_own_keys(annotation) and all(map(_is_exact, hints.values()))
    return False


def _has_own_keys(typed_dict: Any) -> bool:  # noqa: ANN401 - a type
    """Return whether the annotations of a TypedDict list all keys that its values can have.

    This is false, for example, for a TypedDict with `extra_items`. msgspec would drop keys that are not annotated.
    """
    own: Mapping[str, object] = vars(typed_dict)
    bases = [get_origin(base) or base for base in own.get("__orig_bases__", ())]  # type: ignore[attr-defined]
    is_open = own.get("__extra_items__", NoExtraItems) is not NoExtraItems
    return not is_open and "__pydantic_config__" not in own and all(map(_has_own_keys, filter(_is_typed_dict, bases)))


def _is_typed_dict(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, dict) and hasattr(annotation, "__total__")
