"""Whether commits lie behind a damaged place of the write-ahead log, where SQLite does not look for them.

SQLite reads the log up to the first frame whose checksum is wrong and takes what follows for remains of an unfinished
write; the next commit then writes over it. After a power cut that is right: nothing whole lies there. But where a byte
of the log was damaged, finished commits do, and they must not be lost without a word. The format of the log is SQLite's
(sqlite.org/fileformat2.html, "The Write-Ahead Log").

Each checksum goes on from that of the frame before. So a commit behind the damage is known for one by its link to the
frame before it; what a killed process left half written has none.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.errors import StoreCorrupt

if TYPE_CHECKING:
    from pathlib import Path

HEADER_BYTES: Final = 32
FRAME_BYTES: Final = 24
"""Of a frame's own header; a page follows."""

_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
_PAGE_BYTES: Final = 8192
_REPAIR: Final = (
    "do not write to it: `graphengine doctor --repair` keeps a copy of both files and saves what can be read of them"
)


class Header(NamedTuple):
    """The log's own: the size of pages, what marks frames as its own, and whether it is as it was written."""

    page_bytes: int
    salts: bytes
    sums: tuple[int, ...]
    order: str
    is_whole: bool


def header_of(raw: bytes, first_frame: bytes) -> Header:
    """The header of a log; where that is damaged, as its first frame tells."""
    magic, _, page_bytes = struct.unpack_from(">3I", raw.ljust(HEADER_BYTES, b"\0"))
    order = _MAGIC.get(magic, "")
    if order:
        sums = _summed(raw[:24], (0, 0), order)
        if sums == struct.unpack_from(">2I", raw, 24):
            return Header(page_bytes, raw[16:24], sums, order, is_whole=True)
    return Header(_PAGE_BYTES, first_frame[8:16], (0, 0), "<", is_whole=False)


def refuse_damaged_log(path: Path) -> None:
    """See that SQLite reads every finished commit of the log beside a database.

    Raises:
        StoreCorrupt: Some lie behind a damaged place.
    """
    found = commits_behind_damage(path)
    if found:
        log = path.with_name(path.name + "-wal")
        raise StoreCorrupt(f"the write-ahead log {log.name} {found}", where=str(log), repair=_REPAIR)


def commits_behind_damage(path: Path) -> str:
    """What is wrong with the log, in words; "" where nothing is, or where somebody wrote to it meanwhile."""
    log = path.with_name(path.name + "-wal")
    with suppress(OSError):
        before = log.stat()
        if before.st_size <= HEADER_BYTES + FRAME_BYTES:
            return ""
        found = _looked_at(log)
        after = log.stat()
        if found and (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            return found
    return ""


def _looked_at(log: Path) -> str:
    with log.open("rb") as file:
        raw = file.read(HEADER_BYTES)
        first = file.read(FRAME_BYTES)
        header = header_of(raw, first)
        file.seek(HEADER_BYTES)
        sums, damaged_at, behind = header.sums, -1 if header.is_whole else 0, 0
        linked: tuple[int, ...] | None = None  # the checksum that the frame before has, where that is one of these
        while True:
            at = file.tell()
            frame, page = file.read(FRAME_BYTES), file.read(header.page_bytes)
            if len(frame) < FRAME_BYTES or len(page) < header.page_bytes:
                break
            if damaged_at < 0:
                sums = _summed(page, _summed(frame[:8], sums, header.order), header.order)
                if frame[8:16] == header.salts and sums == struct.unpack_from(">2I", frame, 16):
                    continue
                damaged_at = at
            is_own = frame[8:16] == header.salts
            told = struct.unpack_from(">2I", frame, 16)
            if is_own and linked is not None and struct.unpack_from(">I", frame, 4)[0]:
                behind += _summed(page, _summed(frame[:8], linked, header.order), header.order) == told
            linked = told if is_own else None
    if not behind:
        return ""
    return f"is damaged at byte {damaged_at:,}: SQLite reads none of the {behind:,} commits behind that"


def _summed(data: bytes, sums: tuple[int, ...], order: str) -> tuple[int, ...]:
    one, other = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + other) & 0xFFFFFFFF
        other = (other + odd + one) & 0xFFFFFFFF
    return one, other
