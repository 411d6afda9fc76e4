"""Checksums of rows, to detect rows that a disk, a program or a person changed after they were recorded.

A CRC-32 detects every single damaged byte and nearly every other accident. It does not protect against deliberate
changes, since a program that changes a row can also write a new checksum. It covers the row's place too, so that a
row that moved to another place is detected.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

_PRIME: Final = 4_294_967_291  # the largest below 2**32


def message_place(run: int | str, kind: str, key: str) -> str:
    """Return the place of a message for its checksum: its run's key or id, its kind and its own key."""
    return f"{run} {kind} {key}"


def sum_of(place: int | str, body: bytes) -> int:
    """Return the checksum of a row.

    Args:
        place: What identifies the row: the id of a step or snapshot, a fingerprint, a `message_place`.
        body: Its text as stored.
    """
    seed = crc32(place.encode()) if isinstance(place, str) else place % _PRIME
    return crc32(body, seed)
