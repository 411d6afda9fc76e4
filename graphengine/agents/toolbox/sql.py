"""SQL that only reads: queries of a model to a SQLite database.

Three features of SQLite itself prevent changes, without looking at the text of a query: the file is opened read-only,
`query_only` is set, and an authorizer allows only reading. ATTACH, PRAGMA, temporary tables and extensions are
therefore refused as well. A query is stopped after some seconds, and a long result is cut.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiosqlite
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from os import PathLike

    from graphengine.kernel.extension import JsonValue

MOST_ROWS: Final = 200
MOST_CHARACTERS: Final = 20_000
SECONDS: Final = 10.0
_ALLOWED: Final = frozenset(
    [sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE]
)
_FORBIDDEN: Final = frozenset(["load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"])
_STEPS: Final = 10_000
"""How many instructions SQLite runs between two checks of the time."""
_MOST_BYTES: Final = 1_000_000
"""The largest size of one value: `zeroblob(10**9)` would fill the memory."""
_MOST_COLUMNS: Final = 100
"""The largest number of columns of a result.

SQLite keeps a whole row in memory, so this limit and `_MOST_BYTES` together limit the memory of a query.
"""


def sql_reader(
    path: str | PathLike[str], *, most_rows: int = MOST_ROWS, seconds: float = SECONDS
) -> Callable[[str], Awaitable[dict[str, JsonValue]]]:
    """Return a tool with which a model can query a SQLite database, but never change it.

    Args:
        path: The path of the database.
        most_rows: The largest number of rows in a result.
        seconds: The longest time that a query may take.

    Returns:
        A tool with which an agent queries the SQLite database. If the file of the database does not exist, a call of
        the tool raises FileNotFoundError.
    """
    file = Path(path).resolve()

    async def query(sql: str) -> dict[str, JsonValue]:
        """Read from the database with one SELECT. `SELECT sql FROM sqlite_schema` shows its tables and columns.

        Args:
            sql: One SELECT in the dialect of SQLite.
        """
        if not file.is_file():
            raise FileNotFoundError(f"there is no database {file}")
        return await _query_rows(file, sql, most_rows, seconds)

    return query


class _OnlyReads(sqlite3.Connection):
    """A connection to SQLite with which a model can only read, and whose queries are limited in time and size.

    A query stops when `must_stop` returns True.
    """

    def __init__(self, must_stop: Callable[[], bool], *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # the arguments of sqlite3.connect
        super().execute("PRAGMA query_only = 1")
        self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
        self.set_progress_handler(must_stop, _STEPS)
        self.set_authorizer(_authorize)

    @override
    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        super().execute("SELECT 1 FROM sqlite_schema").close()  # reads the schema, whose tables may have more columns
        self.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, _MOST_COLUMNS)
        return super().execute(sql, parameters)


async def _query_rows(file: Path, sql: str, most_rows: int, seconds: float) -> dict[str, JsonValue]:
    """Run a query, and return its columns, its rows, and whether rows were left out. A cancelled query is stopped.

    Raises:
        ValueError: SQLite refuses the query, or it takes too long; the message is for the model.
    """
    until = time.monotonic() + seconds
    ended = threading.Event()
    factory = partial(_OnlyReads, lambda: ended.is_set() or time.monotonic() > until)
    rows: list[JsonValue] = []
    characters, is_cut = 0, False
    try:
        # Rows are fetched one at a time, because a row may be large.
        async with aiosqlite.connect(f"{file.as_uri()}?mode=ro", iter_chunk_size=1, uri=True, factory=factory) as read:
            try:
                async with read.execute(sql) as found:
                    async for row in found:
                        values = [_cell(value) for value in row]
                        characters += sum(len(str(value)) + 2 for value in values)
                        if is_cut := len(rows) == most_rows or characters > MOST_CHARACTERS:
                            break
                        rows.append([*values])
                    columns: list[JsonValue] = [column[0] for column in found.description or ()]
                    return {"columns": columns, "rows": rows, "is_cut": is_cut}
            finally:
                ended.set()  # if the caller is cancelled, the connection is closed once its query has ended
    except (sqlite3.Error, sqlite3.Warning) as error:
        why = f"it took more than {seconds:g} s" if str(error) == "interrupted" else str(error)
        raise ValueError(f"the query is refused: {why}") from error


def _authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
    del first
    is_forbidden = action == sqlite3.SQLITE_FUNCTION and str(second).casefold() in _FORBIDDEN
    return sqlite3.SQLITE_OK if action in _ALLOWED and not is_forbidden else sqlite3.SQLITE_DENY


def _cell(value: object) -> JsonValue:
    """Convert a value of SQLite to JSON. The model only sees the size of a binary value."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return value if isinstance(value, (str, int, float)) else None


__all__ = ["sql_reader"]
