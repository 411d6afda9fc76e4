"""Lists as PostgreSQL's binary arrays, packed in one call each.

psycopg's own dumper goes item by item, which costs more than the server needs to insert the rows.
"""

from __future__ import annotations

import struct
from abc import abstractmethod
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, ClassVar, Final

from psycopg.adapt import Dumper
from psycopg.pq import Format

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg.abc import AdaptContext

_HEAD: Final = struct.Struct(">iiI")  # dimensions, whether there are nulls, the type of the items
_SIZE: Final = struct.Struct(">ii")  # of the dimension: its length, and the number of its first item
_LENGTH: Final = struct.Struct(">i")
_NULL: Final = _LENGTH.pack(-1)


class Bigints(list["int"]):
    """`bigint[]`."""


class Ints(list["int | None"]):
    """`integer[]`."""


class Floats(list["float | None"]):
    """`double precision[]`."""


class Strings(list["str | bytes | None"]):
    """`text[]`; bytes are UTF-8."""


class Bytes(list["bytes"]):
    """`bytea[]`."""


class Bools(list["bool"]):
    """`boolean[]`."""


class _ArrayDumper(Dumper):
    """Packs a list; a subclass defines how."""

    format = Format.BINARY
    item: ClassVar[int]

    def dump(self, obj: Any) -> bytes:  # noqa: ANN401 - the signature of psycopg
        """Return the array as PostgreSQL reads it."""
        if not obj:
            return _HEAD.pack(0, 0, self.item)
        first, has_null = obj[0], None in obj
        if not isinstance(first, float) and obj.count(first) == len(obj):  # 0.0 equals -0.0
            packed = self.items_of([first]) * len(obj)  # a column of a batch, such as the statuses, is often so
        else:
            packed = self.items_of(obj) if has_null else self.full(obj)
        return _HEAD.pack(1, has_null, self.item) + _SIZE.pack(len(obj), 1) + packed

    def full(self, items: list[Any]) -> bytes:
        """Return the packed items, none of which is None."""
        return self.items_of(items)

    def items_of(self, items: Iterable[Any]) -> bytes:
        """Return the packed items."""
        parts: list[bytes] = []
        for item in items:
            if item is None:
                parts.append(_NULL)
                continue
            raw = self.one(item)
            parts += _LENGTH.pack(len(raw)), raw
        return b"".join(parts)

    @abstractmethod
    def one(self, item: Any) -> bytes:  # noqa: ANN401 - each subclass has its own items
        """Return one packed item."""


class _FixedDumper(_ArrayDumper):
    """Packs items of a fixed size."""

    code: ClassVar[str]

    def full(self, items: list[Any]) -> bytes:
        size = struct.calcsize(f">{self.code}")
        return struct.pack(f">{f'i{self.code}' * len(items)}", *chain.from_iterable(zip(repeat(size), items)))

    def one(self, item: Any) -> bytes:  # noqa: ANN401
        return struct.pack(f">{self.code}", item)


class _BigintsDumper(_FixedDumper):
    oid, item, code = 1016, 20, "q"


class _IntsDumper(_FixedDumper):
    oid, item, code = 1007, 23, "i"


class _FloatsDumper(_FixedDumper):
    oid, item, code = 1022, 701, "d"


class _BoolsDumper(_FixedDumper):
    oid, item, code = 1000, 16, "?"


class _StringsDumper(_ArrayDumper):
    oid, item = 1009, 25

    def one(self, item: str | bytes) -> bytes:
        return item if isinstance(item, bytes) else item.encode()


class _BytesDumper(_ArrayDumper):
    oid, item = 1001, 17

    def one(self, item: bytes) -> bytes:
        return item


_DUMPERS: Final[dict[type, type[Dumper]]] = {
    Bigints: _BigintsDumper,
    Ints: _IntsDumper,
    Floats: _FloatsDumper,
    Strings: _StringsDumper,
    Bytes: _BytesDumper,
    Bools: _BoolsDumper,
}


def packed(value: object) -> tuple[bytes | None, int]:
    """Return a parameter as the server reads it, and its format: a list of this file, a text, a number or None."""
    dumper = _DUMPERS.get(type(value))
    if dumper is not None:
        return bytes(dumper(type(value)).dump(value) or b""), Format.BINARY
    if isinstance(value, str):
        return value.encode(), Format.BINARY  # libpq would cut a text with NUL, which the server refuses
    return None if value is None else repr(value).encode(), Format.TEXT


def register(context: AdaptContext) -> None:
    """Let a connection take these lists as parameters."""
    adapters = context.adapters
    if adapters is not None:
        for kind, dumper in _DUMPERS.items():
            adapters.register_dumper(kind, dumper)
