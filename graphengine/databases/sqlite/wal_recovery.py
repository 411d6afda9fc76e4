"""Finds finished commits in a write-ahead log that SQLite does not read, because a byte before them is damaged.

SQLite reads the log up to the first frame (a page with a header) whose checksum is wrong, treats the rest as remains of
unfinished writes, and overwrites it. That is correct after a kill or a power cut. But if a byte of the log was damaged,
finished commits may follow, and they must not be lost silently. The format of the log is described by SQLite
(sqlite.org/fileformat2.html, "The Write-Ahead Log").

The checksum of a frame continues the checksum of the frame before it; such a frame is called linked. The remains of
unfinished transactions are linked too, even their commit frames. Example:

1. Process A writes frames 7 to 16 of a transaction and is killed while it syncs them. No process reads them as
   committed, and none ever will.
2. Process B commits one frame. It overwrites frame 7. Frames 8 to 16 of A stay, each linked to the one before.

So a linked commit frame does not prove that its transaction was finished. The next transaction proves it, since a
process writes directly after a commit only if the commit is finished. A transaction is whole if its first frame is
linked to a commit frame, and every other frame to its predecessor. Everything before the end of a whole transaction was
finished. In the example, no whole transaction follows frame 7.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from graphengine.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADER_BYTES: Final = 32
_FRAME_BYTES: Final = 24
"""The size of a frame's header. The page follows the header."""

_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
_PAGE_BYTES: Final = 4096
_PAGE_SIZES: Final = tuple(1 << bits for bits in range(9, 17))
_REPAIR: Final = (
    "do not write to it: `graphengine doctor --repair` keeps a copy of both files and saves what can be read from them"
)


class _Header(NamedTuple):
    """The header of a write-ahead log of SQLite.

    Attributes:
        page_bytes: The size of a page.
        salts: The random bytes that all frames of the log contain.
        sums: The checksum with which the checksum of the first frame continues.
        order: The byte order of checksums.
        is_whole: Whether the header is undamaged.
    """

    page_bytes: int
    salts: bytes
    sums: tuple[int, ...]
    order: str
    is_whole: bool


class _WalFrame(NamedTuple):
    """A frame of a write-ahead log: a short header, followed by a page of the database.

    Attributes:
        at: The offset of the frame in the log.
        page: The number of the page in the database that the frame contains.
        pages: For the last frame of a transaction, the number of pages that the database has afterwards; otherwise 0.
        is_own: Whether the frame contains the log's salts, so that it is not older than the log's header.
        is_linked: Whether its checksum continues that of the previous frame, or of the header.
    """

    at: int
    page: int
    pages: int
    is_own: bool
    is_linked: bool


class _FinishedLog(NamedTuple):
    """The finished transactions of a write-ahead log.

    Attributes:
        page_bytes: The size of a page.
        frames: The frames of these transactions that contain the log's salts.
        unread: How many of these transactions SQLite does not read, because they follow a damaged place.
        damaged_at: The offset at which SQLite stops reading.
    """

    page_bytes: int
    frames: list[_WalFrame]
    unread: int
    damaged_at: int


def log_of(path: Path) -> Path:
    """Return the path of a database's write-ahead log, which may not exist."""
    return path.with_name(path.name + "-wal")


def bytes_of_log(path: Path) -> int:
    """Return the size of a database's write-ahead log in bytes; 0 if the log does not exist.

    Another process can remove the log at any time.

    Raises:
        OSError: The log cannot be accessed.
    """
    try:
        return log_of(path).stat().st_size
    except FileNotFoundError:
        return 0


def refuse_damaged_log(path: Path) -> None:
    """Check that SQLite reads every finished commit in the write-ahead log of a database.

    SQLite stops reading a log at a damaged place, and then silently loses the commits that follow.

    Raises:
        StoreCorrupt: A place in the log is damaged, and finished commits follow it.
    """
    found = describe_damage(path)
    if found:
        log = log_of(path)
        raise StoreCorrupt(f"the write-ahead log {log.name} {found}", where=str(log), repair=_REPAIR)


def describe_damage(path: Path) -> str:
    """Describe where the write-ahead log is damaged.

    Return "" if the log is intact, or if another process wrote to it meanwhile.
    """
    log = log_of(path)
    with suppress(OSError):
        before = log.stat()
        if before.st_size <= _HEADER_BYTES + _FRAME_BYTES:
            return ""
        with log.open("rb") as file:
            read = _read_log(file)
        after = log.stat()
        if read.unread and (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            place = f"is damaged at byte {read.damaged_at:,}"
            return f"{place}: SQLite reads none of the {read.unread:,} commits from there on"
    return ""


def apply_log(path: Path) -> None:
    """Write the pages of all finished commits in a log into the database, and remove the log.

    No process may use the database meanwhile. The page of a damaged frame is written as well; later checks of pages and
    rows find out whether it can be used. If this function is interrupted, the log still exists and is still refused.

    Raises:
        OSError: A file cannot be read or written.
    """
    log = log_of(path)
    with log.open("rb") as file, path.open("r+b") as database:
        read = _read_log(file)
        count = [frame.pages for frame in read.frames if frame.pages and frame.is_linked][-1]
        for frame in read.frames:
            if 1 <= frame.page <= count:
                file.seek(frame.at + _FRAME_BYTES)
                database.seek((frame.page - 1) * read.page_bytes)
                database.write(file.read(read.page_bytes))
        database.truncate(count * read.page_bytes)
        database.flush()
        os.fsync(database.fileno())
    log.unlink()
    path.with_name(path.name + "-shm").unlink(missing_ok=True)


def sync_log(path: Path) -> None:
    """Sync the log of a database to the disk, if it exists.

    A process that is killed while it syncs a commit leaves a commit that other processes read, but that may not be on
    the disk. If a later commit reached the disk before it, a power cut would leave a log that looks damaged.
    """
    if os.name != "posix":  # other systems can only sync a file that is open for writing
        return
    with suppress(FileNotFoundError):
        descriptor = os.open(log_of(path), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read_log(file: BinaryIO) -> _FinishedLog:
    header = _header_of(file)
    finished: list[_WalFrame] = []
    unproved: list[_WalFrame] = []
    unread = unproved_commits = 0
    is_read = is_whole = after_commit = header.is_whole  # the beginning of a log counts as a commit
    damaged_at = 0
    for frame in _read_frames(file, header):
        if is_read and not frame.is_linked:
            is_read, damaged_at = False, frame.at
        # If the header is damaged, the first frame cannot be checked: frames linked to it confirm it.
        is_unchecked = not header.is_whole and frame.at == _HEADER_BYTES and not frame.pages
        is_whole = is_unchecked or (frame.is_linked and (is_whole or after_commit))
        after_commit = frame.is_own and frame.pages > 0
        if frame.is_own:
            unproved.append(frame)
        if after_commit:
            unproved_commits += not is_read
            if is_whole:
                finished += unproved
                unread += unproved_commits
                unproved, unproved_commits = [], 0
    return _FinishedLog(header.page_bytes, finished, unread, damaged_at)


def _header_of(file: BinaryIO) -> _Header:
    """Read the header of a write-ahead log.

    If the header is damaged, assume default values, and take the salts from the first frame.
    """
    file.seek(0)
    raw = file.read(_HEADER_BYTES)
    magic, _, page_bytes = struct.unpack_from(">3I", raw.ljust(_HEADER_BYTES, b"\0"))
    order = _MAGIC.get(magic, "")
    if order and page_bytes in _PAGE_SIZES:
        sums = _sum_data(raw[:24], (0, 0), order)
        if sums == struct.unpack_from(">2I", raw, 24):
            return _Header(page_bytes, raw[16:24], sums, order, is_whole=True)
    return _Header(_PAGE_BYTES, file.read(_FRAME_BYTES)[8:16], (0, 0), "<", is_whole=False)


def _read_frames(file: BinaryIO, header: _Header) -> Iterator[_WalFrame]:
    before: tuple[int, ...] | None = header.sums if header.is_whole else None
    file.seek(_HEADER_BYTES)
    while True:
        at = file.tell()
        head, page = file.read(_FRAME_BYTES), file.read(header.page_bytes)
        if len(head) < _FRAME_BYTES or len(page) < header.page_bytes:
            return
        number, pages = struct.unpack_from(">2I", head)
        is_own = head[8:16] == header.salts
        recorded = struct.unpack_from(">2I", head, 16)
        is_linked = (
            is_own
            and before is not None
            and _sum_data(page, _sum_data(head[:8], before, header.order), header.order) == recorded
        )
        before = recorded if is_own else None
        yield _WalFrame(at, number, pages, is_own, is_linked)


def _sum_data(data: bytes, sums: tuple[int, ...], order: str) -> tuple[int, ...]:
    one, other = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + other) & 0xFFFFFFFF
        other = (other + odd + one) & 0xFFFFFFFF
    return one, other
