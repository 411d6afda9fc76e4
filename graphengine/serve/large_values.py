"""Limit the size of the page's documents: a large value is sent by a second request, when the reader asks for it.

Every document of the page is limited here and nowhere else. A short document is sent unchanged. In a long document,
null replaces each large value, and `large` lists these values: where each value is in the document, how long the value
is, and how it begins. To get a value whole, the page repeats the request with the `part` and the `digest` of the value.
The repeated request is the same read: it needs the same right, and it finds the runs of the same tenant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from types import UnionType
from typing import Any, Final, TypeAlias, Union, cast, get_args, get_origin

from msgspec import Struct, to_builtins
from pydantic_core import to_json

from graphengine.errors import InputError
from graphengine.kernel.extension import clipped, hints_of

Pointer: TypeAlias = tuple[str | int, ...]
"""The place of a value in a document: the names and the numbers that lead to the value."""
MOST_OF_VALUE: Final = 100_000
"""The maximum number of characters of a value that is sent with its document."""
MOST_OF_DOCUMENT: Final = 300_000
"""The maximum number of characters of all values of a document together. The largest values are left out first."""
MOST_PLACES: Final = 100
"""The maximum number of differences that a document lists inside one value.

A value with more differences is listed as one difference.
"""
_ALWAYS_SENT: Final = 1_000
"""A value with fewer characters than this is always sent with its document."""
_MEMBERS: Final = 20
"""A large list or object with more members than this is left out as a whole. If it has this many members or fewer, only
its large members are left out."""
_BEGINS: Final = 400
_OF_GRAPH: Final = frozenset(("agents", "commands", "schema", "svg"))
"""The fields that contain data of a graph instead of its runs. The page needs these fields whole."""
_JSON_TYPES: Final = (Any, object)
_UNIONS: Final = (Union, UnionType)


class Large(Struct):
    """A placeholder for a large value that was left out of a document of the page. The page can load the value later.

    Attributes:
        part: The place of the value in the document, as a JSON Pointer such as `/state/text`.
        digest: A digest of the value. A request for the value sends the digest, so that a value that has changed in the
            meantime is detected.
        characters: The length of the value: of the text, or of the JSON text of a list or an object.
        items: The number of items of a list, or of fields of an object; null for a text.
        begins: The beginning of the value.
    """

    part: str
    digest: str
    characters: int
    items: int | None
    begins: str


def shorten_document(document: object) -> object:
    """Convert a document for the page to plain JSON values, with null in place of values that are too large to send.

    The field `large` of the result lists the values that were left out. Values are left out, the largest first, until
    every value has at most `MOST_OF_VALUE` characters and all together have at most `MOST_OF_DOCUMENT`. If a large list
    or object has few members, only its large members are left out, so that the page can still show the names of the
    others.
    """
    plain = to_builtins(document, str_keys=True)
    if not isinstance(document, Struct) or not isinstance(plain, dict) or len(to_json(plain)) <= MOST_OF_VALUE:
        return plain
    found = [(-size, number, place) for number, (size, place) in enumerate(_places(document, plain, Any, ()))]
    left, number, large = -sum(size for size, _, _ in found), len(found), list[Large]()
    heapify(found)
    while found and (-found[0][0] > MOST_OF_VALUE or left > MOST_OF_DOCUMENT) and -found[0][0] >= _ALWAYS_SENT:
        size, _, place = heappop(found)
        value, around = _read_place(plain, place), _read_place(plain, place[:-1])
        if isinstance(value, (dict, list)) and len(value) <= _MEMBERS:
            left += size
            for key, each in value.items() if isinstance(value, dict) else enumerate(value):
                number, left = number + 1, left + _size(each)
                heappush(found, (-_size(each), number, (*place, key)))
            continue
        large.append(_describe_large_value(value, place))
        around[place[-1]] = None
        left += size
    return {**plain, "large": to_builtins(large)} if large else plain


def read_part(document: object, part: str, digest: str) -> object:
    """Return one whole value of a document that was sent to the page without this value.

    Args:
        document: The document, which was read again for this request.
        part: The place of the value, as `shorten_document` described it in `Large.part`.
        digest: The digest of the value, from `Large.digest`.

    Raises:
        InputError: The value has changed since, or does not exist.
    """
    value: Any = to_builtins(document, str_keys=True)
    try:
        for name in part.split("/")[1:]:
            key = name.replace("~1", "/").replace("~0", "~")
            value = value[int(key) if isinstance(value, list) else key]
    except (KeyError, IndexError, TypeError, ValueError):
        value = None
    if _hash_value(value) != digest:
        raise InputError("the value has changed since the page was read", where=part, repair="load the page again")
    return value


def _size(value: object) -> int:
    return len(value if isinstance(value, str) else to_json(value, inf_nan_mode="null"))


def _hash_value(value: object) -> str:
    return blake2b(to_json(value, inf_nan_mode="null"), digest_size=8).hexdigest()


def _describe_large_value(value: Any, place: Pointer) -> Large:  # noqa: ANN401 - JSON
    part = "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in place)
    text = value if isinstance(value, str) else to_json(value, inf_nan_mode="null").decode()
    items = None if isinstance(value, str) else len(value)
    return Large(part, _hash_value(value), len(text), items, clipped(text, _BEGINS))


def _read_place(plain: Any, place: Pointer) -> Any:  # noqa: ANN401 - JSON
    for key in place:
        plain = plain[key]
    return plain


def _places(content: object, plain: Any, kind: object, place: Pointer) -> Iterator[tuple[int, Pointer]]:  # noqa: ANN401 - JSON
    """Yield the values of a document that may be left out because they are large, each with its size and its place.

    Only texts, and values whose declared type allows any JSON value, may be left out. Otherwise the document would no
    longer fit its type.

    Args:
        content: A part of the document, as a struct.
        plain: The same part as plain values.
        kind: The declared type of the part.
        place: The place of the part in the document.
    """
    if isinstance(content, Struct) or is_dataclass(content):
        for name, shown, inner in _fields(cast("type", type(content))):
            if shown in plain and name not in _OF_GRAPH:
                yield from _places(getattr(content, name), plain[shown], inner, (*place, shown))
    elif isinstance(plain, str) or _is_open(kind):
        if plain and isinstance(plain, (str, dict, list)):
            yield _size(plain), place
    elif isinstance(content, Mapping):
        inner = _member_kind(kind, Mapping)
        for key, each in content.items():
            yield from _places(each, plain[str(key)], inner, (*place, str(key)))
    elif isinstance(content, Sequence):
        inner = _member_kind(kind, Sequence)
        for index, each in enumerate(content):
            yield from _places(each, plain[index], inner, (*place, index))


@cache
def _fields(kind: type) -> Sequence[tuple[str, str, object]]:
    hints = hints_of(kind, include_extras=False)
    names = kind.__struct_fields__ if issubclass(kind, Struct) else tuple(hints)
    shown = kind.__struct_encode_fields__ if issubclass(kind, Struct) else names
    return [(name, other, hints[name]) for name, other in zip(names, shown, strict=True)]


def _is_open(kind: object) -> bool:
    return kind in _JSON_TYPES or (get_origin(kind) in _UNIONS and any(map(_is_open, get_args(kind))))


@cache
def _member_kind(kind: object, container: type) -> object:
    """Return the declared type of the values of a mapping, or of the items of a sequence."""
    kinds = get_args(kind) if get_origin(kind) in _UNIONS else (kind,)
    return next((get_args(each)[-1] for each in kinds if issubclass(get_origin(each) or type, container)), Any)


__all__ = ["MOST_OF_VALUE", "MOST_PLACES", "read_part", "shorten_document"]
