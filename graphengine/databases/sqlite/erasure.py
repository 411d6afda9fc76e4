"""The statements that erase a person's data in SQLite, except runs and memories, and the removal of traces of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.databases.sqlite.queries import rows_of
from graphengine.databases.statements import Statements, named

if TYPE_CHECKING:
    import sqlite3

STATEMENTS: Final = Statements(rows_of, named(__name__, "erasure.sql"))
_INDEXES: Final = ("run_words", "memory_words")


def merge_words(connection: sqlite3.Connection) -> None:
    """Merge each index of words into one segment. Before, words that were deleted are only marked as deleted."""
    for name in _INDEXES:
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone():
            connection.execute(f"INSERT INTO {name} ({name}) VALUES ('optimize')")  # noqa: S608 - one of ours
