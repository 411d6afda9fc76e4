"""Records as encoded JSON: a list or dict is kept as the bytes that go into the log, until something reads its parts.

A record is a JSON value. In the process that decides a step, the record itself, or each of its items, can be a
`msgspec.Raw`: bytes that are neither parsed nor encoded again when the step is folded and stored. `opened` returns the
JSON value.
"""

from __future__ import annotations

import functools
import gc
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import Raw
from pydantic_core import from_json

from graphengine.state.json_values import DEEPEST, check_depth

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from graphengine.state.json_values import Op

T = TypeVar("T")

encode: Final = msgspec.json.Encoder().encode
_plain: Final = msgspec.json.Decoder(list[Any]).decode
_items: Final = msgspec.json.Decoder(list[Raw]).decode
_keys: Final = msgspec.json.Decoder(dict[str, Raw]).decode

LARGE: Final = 1 << 16
"""The bytes of JSON from which it matters how a value is made."""

_OPENING: Final = (b"[", b"{")
_CONTAINERS: Final = (list, dict)
_PARTS: Final = (*_CONTAINERS, Raw)
_QUALIFIERS: Final = (Required, NotRequired)


def record_of(body: bytes | memoryview) -> Any:  # noqa: ANN401 - a record
    """Return the record that these bytes of one JSON value are: a list or object stays encoded.

    Raises:
        ValueError: It is nested too deep to be read again from any place in a record, or is not JSON.
    """
    if body[:1] in _OPENING:
        check_depth(body, DEEPEST - 1)  # the object of all fields is a level too
        return Raw(body)
    return from_json(bytes(body))


def body_of(value: object) -> bytes | None:
    """Return a value's JSON; None if it has none, as after it was changed in place."""
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
    """Return the records of a list's items; an empty list for None."""
    if not isinstance(record, Raw):
        return record or []
    body = bytes(record)
    is_flat = body[1:2] not in _OPENING and body.count(b"[") + body.count(b"{") == 1
    return _plain(body) if is_flat else _items(body)


def keys_of(record: Any) -> dict[str, Any]:  # noqa: ANN401 - a record
    """Return the records of a dict's values; an empty dict for None."""
    return _keys(record) if isinstance(record, Raw) else (record or {})


def opened(record: Any) -> Any:  # noqa: ANN401 - a record
    """Return a record as JSON values."""
    if isinstance(record, Raw):
        return from_json(bytes(record))
    if isinstance(record, list) and any(isinstance(item, _PARTS) for item in record):
        return [opened(item) for item in record]
    if isinstance(record, dict) and any(isinstance(item, _PARTS) for item in record.values()):
        return {key: opened(item) for key, item in record.items()}
    return record


def opened_ops(ops: Sequence[Op]) -> Sequence[Op]:
    """Return operations whose records are JSON values."""
    if any(isinstance(part, _PARTS) for op in ops for part in op):
        return [type(op)(map(opened, op)) for op in ops]  # type: ignore[call-arg]
    return ops


def decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    """Return the value that a decoder makes of JSON."""
    if len(body) < LARGE or not gc.isenabled():
        return decode(body)
    gc.disable()  # it makes many objects and no garbage, which Python would search for again and again
    try:
        return decode(body)
    finally:
        gc.enable()


class Exact:
    """The codec of a type of JSON values: lists, dicts with text keys, TypedDicts, texts, numbers, booleans, None.

    A value of exactly this type is valid, and its JSON reads back as an equal value, which `take` checks in one pass.

    Attributes:
        items: The containers of which any JSON value can be an item of its lists: `list`, `dict`, both or none.
    """

    __slots__ = ("_decode", "items")

    def __init__(self, decode: msgspec.json.Decoder[Any], items: Collection[type]) -> None:
        self._decode, self.items = decode.decode, items

    def decode(self, body: bytes) -> object:
        """Return the value of JSON.

        Raises:
            MsgspecError: It is not of the type.
        """
        return decoded(self._decode, body)

    def take(self, value: object) -> tuple[bytes, object] | None:
        """Return a value's JSON and the value read back from it; None if it is not exactly of the type."""
        body = body_of(value)
        if body is None:
            return None
        try:
            back = self.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if back != value or (len(body) > 2 * DEEPEST and is_deeper(back, DEEPEST - 1)):
            return None
        return body, back


def codec_of(annotation: object) -> Exact | None:
    """Return the codec of a list or dict type; None if other values than JSON's can be of this type."""
    try:
        return _codec(annotation)
    except (TypeError, NameError, RecursionError):  # not hashable, an ambiguous union, an unknown name
        return None


@functools.cache
def _codec(annotation: object) -> Exact | None:
    has_lists = any(member in (Any, object) or _is_container(member) for member in _members(annotation))
    if has_lists and _is_exact(annotation):
        items = [_item(member) for member in _members(annotation)]
        return Exact(msgspec.json.Decoder(annotation), frozenset(kind for item in items for kind in _open(item)))
    return None


def _item(annotation: object) -> object:
    """Return the type of a list's items; None if it is no list."""
    if annotation in (list, Any, object):
        return Any
    return get_args(annotation)[0] if get_origin(annotation) is list else None


def _open(annotation: object) -> Sequence[type]:
    """Return the containers of which any JSON value is of this type: both for Any, `list` for list[Any]."""
    if annotation in (Any, object):
        return _CONTAINERS
    members = _members(annotation)
    if len(members) > 1:
        return [kind for member in members for kind in _open(member)]
    origin, parts = get_origin(annotation) or annotation, get_args(annotation)
    return [kind for kind in _CONTAINERS if origin is kind and (not parts or parts[-1] in (Any, object))]


def _members(annotation: object) -> Sequence[object]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _is_container(annotation: object) -> bool:
    return (get_origin(annotation) or annotation) in (list, dict) or _is_typed_dict(annotation)


def _is_exact(annotation: object) -> bool:
    """Return whether only JSON values are of this type."""
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
        own: Mapping[str, object] = vars(annotation)
        hints = get_type_hints(annotation, include_extras=True)
        return "__pydantic_config__" not in own and all(map(_is_exact, hints.values()))
    return False


def _is_typed_dict(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, dict) and hasattr(annotation, "__total__")
