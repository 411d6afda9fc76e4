"""What erasing a person deletes in SQLite besides runs and memories, and how nothing of it stays in the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.databases.sqlite.queries import rows_of
from graphengine.databases.statements import Statements, named

if TYPE_CHECKING:
    import sqlite3

STATEMENTS: Final = Statements(rows_of, named(__name__, "erasure.sql"))
_INDEXES: Final = ("run_words", "memory_words")


def merge_words(connection: sqlite3.Connection) -> None:
    """Make one segment of each index of words: until then, those that were deleted are in it, and marked as such."""
    for name in _INDEXES:
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone():
            connection.execute(f"INSERT INTO {name} ({name}) VALUES ('optimize')")  # noqa: S608 - one of ours
