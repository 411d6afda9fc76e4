"""Faults that are known: a program that fails in such a way is no news. This list only shrinks, and is empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

KNOWN: Final[Mapping[str, str]] = {}
"""What the text of a failure has, and the fault."""


def is_known(error: BaseException) -> str:
    """Return which known fault this is; "" for none."""
    return next((fault for text, fault in KNOWN.items() if text in str(error)), "")
