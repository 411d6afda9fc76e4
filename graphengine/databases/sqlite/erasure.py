"""The removal of traces that deleted words leave in the indexes of a SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

_INDEXES: Final = ("run_words", "memory_words")


def merge_words(connection: sqlite3.Connection) -> None:
    """Merge each index of words into one segment. Before, words that were deleted are only marked as deleted."""
    for name in _INDEXES:
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone():
            connection.execute(f"INSERT INTO {name} ({name}) VALUES ('optimize')")  # noqa: S608 - one of ours
