"""Reading rows from the pages of a SQLite file without SQLite, if a header, the schema or an inner page is damaged.

Each leaf page holds whole rows and the offsets where they begin, so a row can be read without the pages that lead to
its page. The page does not name the table of a row; `salvage.py` infers it from the row's shape, and checks the row by
its checksum. The write-ahead log is read too: for a page in the log, the newest version of a finished commit is used.

Source: https://sqlite.org/fileformat2.html (pages, cells, records, the write-ahead log).
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, TypeAlias

from graphengine.stores.sqlite.files import PAGE_BYTES, log_of
from graphengine.stores.sqlite.torn import read_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Cell: TypeAlias = "int | float | bytes | None"
"""One column; text as its stored bytes."""

_HEADER_BYTES: Final = 100
_TABLE_LEAF: Final = 13
_INDEX_LEAF: Final = 10
_INTEGER_BYTES: Final = (0, 1, 2, 3, 4, 6, 8)
_MORE: Final = 0x80  # bit of a varint's byte: another byte follows
_REAL: Final = 7
_FALSE_AND_TRUE: Final = (8, 9)
_FIRST_BYTES: Final = 12  # column types from here on are blobs and texts, by length
_SMALLEST_PAGE: Final = 512
_LARGEST_PAGE: Final = 65_536


class RawRow(NamedTuple):
    """A row as stored on a page.

    Attributes:
        rowid: Its key; None on a page of a table without rowid.
        cells: Its columns.
        is_free: Whether the page is on SQLite's list of free pages, so that the row can be out of date.
    """

    rowid: int | None
    cells: tuple[Cell, ...]
    is_free: bool


@dataclass(slots=True)
class Pages:
    """The pages of a file and its write-ahead log.

    Attributes:
        page_bytes: The size of a page.
        count: The number of pages.
    """

    file: BinaryIO
    log: BinaryIO | None
    page_bytes: int = PAGE_BYTES
    count: int = 0
    _in_log: dict[int, int] = field(default_factory=dict)
    _free: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        size = self.file.seek(0, 2)
        self.file.seek(0)
        header = self.file.read(_HEADER_BYTES).ljust(_HEADER_BYTES, b"\0")
        self.page_bytes = _page_bytes(header, size)
        if self.log is not None:
            self._read_log()
        self.count = max(-(-size // self.page_bytes), *self._in_log, 0)
        self._read_free(self.page(1)[:_HEADER_BYTES].ljust(_HEADER_BYTES, b"\0"))

    def page(self, number: int) -> bytes:
        """Return a page by its number, from 1; truncated or empty if the file is."""
        if number in self._in_log and self.log is not None:
            self.log.seek(self._in_log[number])
            return self.log.read(self.page_bytes)
        self.file.seek((number - 1) * self.page_bytes)
        return self.file.read(self.page_bytes)

    def rows(self) -> Iterator[RawRow]:
        """Yield every row that can be read, page by page."""
        for number in range(1, self.count + 1):
            page = self.page(number).ljust(self.page_bytes, b"\0")
            start = _HEADER_BYTES if number == 1 else 0
            kind = page[start]
            if kind not in (_TABLE_LEAF, _INDEX_LEAF):
                continue
            (cells,) = struct.unpack_from(">H", page, start + 3)
            for offset in struct.iter_unpack(">H", page[start + 8 : min(start + 8 + 2 * cells, len(page) // 2 * 2)]):
                found = self._cell(page, offset[0], is_table=kind == _TABLE_LEAF)
                if found is not None:
                    yield RawRow(*found, number in self._free)

    def _cell(self, page: bytes, offset: int, *, is_table: bool) -> tuple[int | None, tuple[Cell, ...]] | None:
        try:
            size, at = _varint(page, offset)
            rowid: int | None = None
            if is_table:
                rowid, at = _varint(page, at)
                rowid = rowid - (1 << 64) if rowid >= 1 << 63 else rowid
            payload = self._payload(page, at, size, is_table=is_table)
            return None if payload is None else (rowid, _record(payload))
        except (IndexError, struct.error, ValueError):
            return None

    def _payload(self, page: bytes, at: int, size: int, *, is_table: bool) -> bytes | None:
        """Return the bytes of a cell, including those on its chain of overflow pages."""
        usable = self.page_bytes
        largest = usable - 35 if is_table else (usable - 12) * 64 // 255 - 23
        if size <= largest:
            return page[at : at + size] if at + size <= len(page) else None
        if size > self.count * usable:
            return None
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        if local > largest:
            local = least
        parts = [page[at : at + local]]
        (following,) = struct.unpack_from(">I", page, at + local)
        left = size - local
        while left > 0:
            if not 1 <= following <= self.count:
                return None
            more = self.page(following)
            parts.append(more[4 : 4 + min(left, usable - 4)])
            left -= usable - 4
            (following,) = struct.unpack_from(">I", more)
        return b"".join(parts)

    def _read_log(self) -> None:
        """Find the newest finished version of each page in the log; ignore the remains of a dead process."""
        if self.log is None:
            return
        read = read_log(self.log)
        if read.page_bytes == self.page_bytes:
            self._in_log = {frame.page: frame.page_at for commit in read.commits for frame in commit.frames}

    def _read_free(self, header: bytes) -> None:
        trunk, _ = struct.unpack_from(">II", header, 32)
        while 1 < trunk <= self.count and trunk not in self._free:
            self._free.add(trunk)
            page = self.page(trunk).ljust(self.page_bytes, b"\0")
            trunk, leaves = struct.unpack_from(">II", page)
            self._free.update(struct.unpack_from(f">{min(leaves, self.page_bytes // 4 - 2)}I", page, 8))


def open_pages(path: Path) -> Pages:
    """Open the pages of a database; `close` them afterwards."""
    file = path.open("rb")
    try:
        log = None
        with suppress(FileNotFoundError):
            log = log_of(path).open("rb")
        return Pages(file, log)
    except BaseException:
        file.close()
        raise


def describe_loss(path: Path) -> str:
    """Describe what a damaged file has lost, according to its header."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES).ljust(_HEADER_BYTES, b"\0")
    size = path.stat().st_size
    count = int.from_bytes(header[28:32], "big") if header[:16] == b"SQLite format 3\0" else 0
    missing = count - size // _page_bytes(header, size) if count else 0
    if missing > 0:
        return f"{missing:,} of the file's {count:,} pages were missing: the steps on them are lost"
    return "pages of the file were damaged: steps on them may be lost"


def close(pages: Pages) -> None:
    """Close the files."""
    pages.file.close()
    if pages.log is not None:
        pages.log.close()


def _page_bytes(header: bytes, size: int) -> int:
    (found,) = struct.unpack_from(">H", header, 16)
    found = _LARGEST_PAGE if found == 1 else found
    is_power = _SMALLEST_PAGE <= found <= _LARGEST_PAGE and found & (found - 1) == 0
    # If the header is damaged, graphengine's page size is likelier than one that does not divide the file.
    return found if is_power and (header[:16] == b"SQLite format 3\0" or size % found == 0) else PAGE_BYTES


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < _MORE:
            return value, at + index + 1
    return value << 8 | data[at + 8], at + 9


def _record(payload: bytes) -> tuple[Cell, ...]:
    """Return the columns of a record.

    Raises:
        ValueError, IndexError: It is invalid.
    """
    header_bytes, at = _varint(payload, 0)
    kinds: list[int] = []
    while at < header_bytes:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    cells: list[Cell] = []
    at = header_bytes
    for kind in kinds:
        cell, at = _column(payload, kind, at)
        cells.append(cell)
    if at != len(payload):
        message = "the record's length is wrong"
        raise ValueError(message)
    return tuple(cells)


def _column(payload: bytes, kind: int, at: int) -> tuple[Cell, int]:
    if kind in _FALSE_AND_TRUE:
        return _FALSE_AND_TRUE.index(kind), at
    if kind < len(_INTEGER_BYTES):
        width = _INTEGER_BYTES[kind]
        return (int.from_bytes(payload[at : at + width], signed=True) if kind else None), at + width
    if kind == _REAL:
        return struct.unpack_from(">d", payload, at)[0], at + 8
    if kind < _FIRST_BYTES:
        message = f"unknown column type {kind}"
        raise ValueError(message)
    width = (kind - _FIRST_BYTES) // 2
    return payload[at : at + width], at + width
