"""Checksums of rows: a row that a disk, a program or a person changed must not pass for one that was recorded.

A CRC-32 finds every single damaged byte and nearly every other accident; it is no protection against somebody who
means to change a row, who could write a new checksum as well. It covers the row's place too, so that a row that turns
up in another's place is found.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

_PRIME: Final = 4_294_967_291  # the largest below 2**32


def message_place(run: int, kind: str, key: str) -> str:
    """What a message is found by, and what it is: its run's key, its kind and its own key."""
    return f"{run} {kind} {key}"


def sum_of(place: int | str, body: bytes) -> int:
    """The checksum of a row.

    Args:
        place: What the row is found by: the id of a step or snapshot, a fingerprint, a `message_place`.
        body: Its text as it is stored.
    """
    seed = crc32(place.encode()) if isinstance(place, str) else place % _PRIME
    return crc32(body, seed)
