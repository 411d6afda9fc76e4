"""Memories in SQLite. Words are found by an FTS5 index, and vectors are compared one by one.

With the extra `memory`, and a Python whose sqlite3 module can load extensions, sqlite-vec compares the vectors.
Otherwise Python compares them: a search in 10,000 vectors of 1,536 numbers then takes half a second.
"""

from __future__ import annotations

import importlib
import sqlite3
from array import array
from operator import mul
from typing import TYPE_CHECKING, Any, Final

from graphengine.databases.memories import Memories
from graphengine.databases.sqlite.queries import rows_of
from graphengine.databases.statements import Statements, named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.databases.memories import Scope


class SQLiteMemories(Memories[sqlite3.Connection]):
    def exist(self, connection: sqlite3.Connection) -> bool:
        return bool(self._do(connection, "exist", {}))

    def create(self, connection: sqlite3.Connection) -> None:
        """Create the table if it does not exist."""
        self._do(connection, "create", {})

    def _match(self, words: Sequence[str]) -> str:
        return " OR ".join(f'"{word}"' for word in words)

    def _vector(self, vector: Sequence[float] | None) -> bytes | None:
        return None if vector is None else array("f", vector).tobytes()

    def by_meaning(
        self, connection: sqlite3.Connection, scope: Scope, vector: Sequence[float], limit: int
    ) -> list[tuple[Any, ...]]:
        values = {**scope, "vector": self._vector(vector), "limit": limit}
        if _loads_vec(connection):
            return self._do(connection, "by_meaning_of_vec", values)
        numbers: list[float] = [*vector]  # a list is faster to read than an array

        def cosine(kept: bytes) -> float:
            return float(sum(map(mul, memoryview(kept).cast("f"), numbers)))

        connection.create_function("cosine", 1, cosine)
        return self._do(connection, "by_meaning", values)

    def restore_words(self, connection: sqlite3.Connection) -> None:
        """Rebuild the index of words from the table."""
        connection.execute("INSERT INTO memory_words (memory_words) VALUES ('rebuild')")


def _loads_vec(connection: sqlite3.Connection) -> bool:
    """Load the SQLite extension sqlite-vec into a connection, to compare vectors.

    Return False if the extension cannot be loaded.
    """
    try:
        vec: Any = importlib.import_module("sqlite_vec")
        connection.enable_load_extension(True)  # noqa: FBT003 - by its only parameter
    except (ImportError, AttributeError):  # many builds of Python cannot load extensions
        return False
    try:
        vec.load(connection)
    finally:
        connection.enable_load_extension(False)  # noqa: FBT003 - as above
    return True


_SQL: Final = named(__name__, "memories.sql")
_OF_VEC: Final = _SQL["by_meaning"].replace("cosine(vector)", "1 - vec_distance_cosine(vector, :vector)")
MEMORIES: Final = SQLiteMemories(Statements(rows_of, {**_SQL, "by_meaning_of_vec": _OF_VEC}))
