"""SQL that only reads: a SQLite database for a model.

Three means of SQLite itself prevent writing, and none of them reads the text of a query: the file is opened
read-only, `query_only` is set, and an authorizer allows nothing but reading. So ATTACH, PRAGMA, temporary tables and
extensions are refused too. A query is stopped after some seconds, and its result is cut.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from os import PathLike

    from graphengine.state.json_values import JsonValue

MOST_ROWS: Final = 200
MOST_CHARACTERS: Final = 20_000
SECONDS: Final = 10.0
_ALLOWED: Final = frozenset(
    [sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE]
)
_FORBIDDEN: Final = frozenset(["load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"])
_STEPS: Final = 10_000
"""How many instructions of SQLite run between two looks at the clock."""
_MOST_BYTES: Final = 1_000_000
"""Of one value: `zeroblob(10**9)` would fill the memory."""
_MOST_COLUMNS: Final = 100
"""Of one result: SQLite holds a whole row, so both together bound what a query holds."""


def sql_reader(
    path: str | PathLike[str], *, most_rows: int = MOST_ROWS, seconds: float = SECONDS
) -> Callable[[str], Awaitable[dict[str, JsonValue]]]:
    """Return a tool with which a model can query a SQLite database, and never change it.

    Args:
        path: The database.
        most_rows: The most rows of a result.
        seconds: The longest that a query can take.

    Returns:
        The tool. Its calls raise FileNotFoundError as long as there is no such file.
    """
    file = Path(path).resolve()

    async def query(sql: str) -> dict[str, JsonValue]:
        """Read from the database with one SELECT. `SELECT sql FROM sqlite_schema` shows its tables and columns.

        Args:
            sql: One SELECT in the dialect of SQLite.
        """
        return await asyncio.to_thread(_rows, file, sql, most_rows, seconds)

    return query


def _rows(file: Path, sql: str, most_rows: int, seconds: float) -> dict[str, JsonValue]:
    """Return the columns and rows of a query, and whether rows were left out.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: SQLite refuses it, or it takes too long; the message is for the model.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no database {file}")
    until = time.monotonic() + seconds
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        database.execute("PRAGMA query_only = 1")
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
        database.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        database.set_authorizer(_authorized)
        try:
            database.execute("SELECT 1 FROM sqlite_schema").close()  # reads the schema, whose tables may be wider
            database.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, _MOST_COLUMNS)
            found = database.execute(sql)
            rows: list[JsonValue] = []
            characters = 0
            for row in found:
                values = [_shown(value) for value in row]
                characters += sum(len(str(value)) + 2 for value in values)
                if len(rows) == most_rows or characters > MOST_CHARACTERS:
                    return {"columns": _columns(found), "rows": rows, "is_cut": True}
                rows.append([*values])
        except (sqlite3.Error, sqlite3.Warning) as error:
            why = f"it took more than {seconds:g} s" if str(error) == "interrupted" else str(error)
            raise ValueError(f"the query is refused: {why}") from error
        return {"columns": _columns(found), "rows": rows, "is_cut": False}


def _authorized(action: int, first: str | None, second: str | None, *_: object) -> int:
    del first
    is_forbidden = action == sqlite3.SQLITE_FUNCTION and str(second).casefold() in _FORBIDDEN
    return sqlite3.SQLITE_OK if action in _ALLOWED and not is_forbidden else sqlite3.SQLITE_DENY


def _columns(found: sqlite3.Cursor) -> list[JsonValue]:
    return [column[0] for column in found.description or ()]


def _shown(value: object) -> JsonValue:
    """Return a value of SQLite as JSON; binary values only by their size."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return value if isinstance(value, (str, int, float)) else None


__all__ = ["sql_reader"]
