"""Records as encoded JSON: a list or dict is kept as the bytes that go into the log, until something reads its parts.

A record is a JSON value. In the process that decides a step, the record itself, or each of its items, can be a
`msgspec.Raw`: bytes that are neither parsed nor encoded again when the step is folded and stored. `opened` returns the
JSON value.
"""

from __future__ import annotations

import functools
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NotRequired,
    Required,
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
    from collections.abc import Mapping, Sequence

    from graphengine.state.json_values import Op

encode: Final = msgspec.json.Encoder().encode
_plain: Final = msgspec.json.Decoder(list[Any]).decode
_items: Final = msgspec.json.Decoder(list[Raw]).decode
_keys: Final = msgspec.json.Decoder(dict[str, Raw]).decode

_OPENING: Final = (b"[", b"{")
_PARTS: Final = (list, dict, Raw)
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


class Exact:
    """The codec of a type of JSON values: lists, dicts with text keys, TypedDicts, texts, numbers, booleans, None.

    A value of exactly this type is valid, and its JSON reads back as an equal value, which `take` checks in one pass.
    """

    __slots__ = ("decode",)

    def __init__(self, decode: msgspec.json.Decoder[Any]) -> None:
        self.decode = decode.decode

    def take(self, value: object) -> tuple[bytes, object] | None:
        """Return a value's JSON and the value read back from it; None if it is not exactly of the type."""
        try:
            body = encode(value)
            back = self.decode(body)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
            return None
        return (body, back) if back == value else None


def codec_of(annotation: object) -> Exact | None:
    """Return the codec of a list or dict type; None if other values than JSON's can be of this type."""
    try:
        return _codec(annotation)
    except (TypeError, NameError, RecursionError):  # not hashable, an ambiguous union, an unknown name
        return None


@functools.cache
def _codec(annotation: object) -> Exact | None:
    if any(_is_container(member) for member in _members(annotation)) and _is_exact(annotation):
        return Exact(msgspec.json.Decoder(annotation))
    return None


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
