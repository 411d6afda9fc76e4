"""The table of memories: what a `Memory` keeps next to the runs of a database.

In PostgreSQL it is part of the schema. A SQLite file, which knows no roles, gets it with an index of words when it is
first used.

The files `memories.sql` of each dialect have the same statements under the same names, with named parameters. An
operation is one or more of them, one after the other in one transaction.

What a text is found by is decided by `words_of` and not by the database.
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
    """Return the values of the statements for a namespace with all that are below it; "" for all namespaces.

    It is a range: no text sorts between `a/` and `a0` that does not begin with `a/`.
    """
    low, high = (f"{namespace}/", f"{namespace}0") if namespace else ("", "\U0010ffff")
    return {"namespace": namespace, "low": low, "high": high}


class Memories(ABC, Generic[ConnectionT]):
    """The table of memories in one dialect of SQL. All methods are called on a thread of the store.

    Args:
        statements: The statements of `memories.sql`.
    """

    def __init__(self, statements: Statements[ConnectionT]) -> None:
        self._statements, self._do = statements, statements.do

    @abstractmethod
    def _match(self, words: Sequence[str]) -> str:
        """Return the query that finds each text with one of these words."""

    @abstractmethod
    def _vector(self, vector: Sequence[float] | None) -> object:
        """Return a vector as the database keeps it."""

    @abstractmethod
    def by_meaning(
        self, connection: ConnectionT, scope: Scope, vector: Sequence[float], limit: int
    ) -> list[tuple[Any, ...]]:
        """Return the rows of the entries whose vectors, of length 1, are nearest to this one, with their cosine."""

    def exist(self, connection: ConnectionT) -> bool:
        """Return whether the table is there; one that the schema has always is."""
        del connection
        return True

    def create(self, connection: ConnectionT) -> None:
        """Create the table, unless it is there."""

    def put(self, connection: ConnectionT, values: Mapping[str, object], vector: Sequence[float] | None) -> None:
        """Add or replace an entry: its `namespace`, `key`, `body`, `words` and `updated_at`."""
        self._do(connection, "put", {**values, "vector": self._vector(vector)})

    def get(self, connection: ConnectionT, namespace: str, key: str) -> list[tuple[Any, ...]]:
        """Return the row of an entry, if there is one."""
        return self._do(connection, "get", {"namespace": namespace, "key": key})

    def delete(self, connection: ConnectionT, namespace: str, key: str) -> None:
        """Delete an entry, if there is one."""
        self._do(connection, "delete", {"namespace": namespace, "key": key})

    def clear(self, connection: ConnectionT, scope: Scope) -> None:
        """Delete all entries of a scope."""
        self._do(connection, "clear", scope)

    def page(self, connection: ConnectionT, scope: Scope, after: tuple[str, str], limit: int) -> list[tuple[Any, ...]]:
        """Return the rows of a scope after a namespace and key, in that order."""
        values = {"after_namespace": after[0], "after_key": after[1], "limit": limit}
        return self._do(connection, "page", {**scope, **values})

    def by_words(self, connection: ConnectionT, scope: Scope, query: str, limit: int) -> list[tuple[Any, ...]]:
        """Return the rows of the entries with words of a query, the best first."""
        words = sought_words(query)
        if not words:
            return []
        return self._do(connection, "by_words", {**scope, "query": self._match(words), "limit": limit})
