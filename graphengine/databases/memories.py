"""The table of memories: the texts that a `Memory` stores in the database that also contains the runs.

PostgreSQL creates the table with its schema, since later users may lack the right to create tables. A SQLite file gets
the table, and an index of words, when a memory is first used.

The files `memories.sql` of both SQL dialects contain the same statements under the same names, with named parameters.
An operation runs one or more of them in one transaction. `words_of` and not the database decides which words find a
text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from graphengine.kernel.store import sought_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.databases.statements import Statements

ConnectionT = TypeVar("ConnectionT")
Scope: TypeAlias = "Mapping[str, str]"
"""The values of `scope_of`."""


def scope_of(namespace: str) -> dict[str, str]:
    """Return the SQL parameters that select the entries of a namespace of memories and of all namespaces below it.

    The namespace "" selects all entries. The namespaces below `a` are found as a range of texts, because all texts
    between `a/` and `a0` begin with `a/`.
    """
    low, high = (f"{namespace}/", f"{namespace}0") if namespace else ("", "\U0010ffff")
    return {"namespace": namespace, "low": low, "high": high}


class Memories(ABC, Generic[ConnectionT]):
    """Reads and writes the table of memories in one kind of database. Call all methods on a thread of the store.

    Args:
        statements: The statements of `memories.sql`.
    """

    def __init__(self, statements: Statements[ConnectionT]) -> None:
        self._statements, self._do = statements, statements.do

    @abstractmethod
    def _match(self, words: Sequence[str]) -> str:
        """Return the search query of the database that finds each text with one of these words."""

    @abstractmethod
    def _vector(self, vector: Sequence[float] | None) -> object:
        """Convert an embedding vector to the form in which the database stores it."""

    @abstractmethod
    def by_meaning(
        self, connection: ConnectionT, scope: Scope, vector: Sequence[float], limit: int
    ) -> list[tuple[Any, ...]]:
        """Return the rows whose embedding vectors are nearest to a vector of length 1, with their cosine similarity."""

    def exist(self, connection: ConnectionT) -> bool:
        """Return whether the table exists. Always True where the table is part of the schema."""
        del connection
        return True

    def create(self, connection: ConnectionT) -> None:
        """Create the table if it does not exist."""

    def put(self, connection: ConnectionT, values: Mapping[str, object], vector: Sequence[float] | None) -> None:
        """Add an entry, or replace it. `values` contains its `namespace`, `key`, `body`, `words` and `updated_at`."""
        self._do(connection, "put", {**values, "vector": self._vector(vector)})

    def get(self, connection: ConnectionT, namespace: str, key: str) -> list[tuple[Any, ...]]:
        return self._do(connection, "get", {"namespace": namespace, "key": key})

    def delete(self, connection: ConnectionT, namespace: str, key: str) -> None:
        """Delete an entry if it exists."""
        self._do(connection, "delete", {"namespace": namespace, "key": key})

    def clear(self, connection: ConnectionT, scope: Scope) -> None:
        """Delete all entries of a namespace and of the namespaces below it."""
        self._do(connection, "clear", scope)

    def page(self, connection: ConnectionT, scope: Scope, after: tuple[str, str], limit: int) -> list[tuple[Any, ...]]:
        """Return the next rows after the given namespace and key, sorted by namespace and key."""
        values = {"after_namespace": after[0], "after_key": after[1], "limit": limit}
        return self._do(connection, "page", {**scope, **values})

    def by_words(self, connection: ConnectionT, scope: Scope, query: str, limit: int) -> list[tuple[Any, ...]]:
        """Return the memories that contain words of a query, the best matches first.

        The search covers one namespace and the namespaces below it. Each result is a row of the table of memories.
        """
        words = sought_words(query)
        if not words:
            return []
        return self._do(connection, "by_words", {**scope, "query": self._match(words), "limit": limit})
