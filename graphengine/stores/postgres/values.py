"""Values as PostgreSQL can carry them: its integers are shorter than Python's."""

from __future__ import annotations

from typing import Final

LARGEST: Final = (1 << 31) - 1
"""The largest `integer`."""


def clamped(number: int) -> int:
    """Return an integer that fits, for one that only has to compare like the given one."""
    return max(min(number, LARGEST), -LARGEST)


def signed(number: int) -> int:
    """Return an unsigned number of 32 bits as the signed one with the same bits."""
    return number - (1 << 32) if number > LARGEST else number
