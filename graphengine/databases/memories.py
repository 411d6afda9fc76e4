"""The table of memories: what a `Memory` keeps next to the runs of a database, created when it is first used.

The files `memories.sql` of each dialect have the same statements under the same names, with named parameters. An
operation is one or more of them, one after the other in one transaction.

What a text is found by is decided here and not by the database: its words, in lower case and without accents. So the
same query finds the same entries everywhere, and no query can be wrong, whatever the syntax of a database.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ConnectionT = TypeVar("ConnectionT")
Scope: TypeAlias = "Mapping[str, str]"
"""The values of `scope_of`."""

_SCRIPTS_WITHOUT_BLANKS: Final = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Thai, Lao, Japanese and Chinese: each character counts as a word."""
_WORD: Final = re.compile(rf"[{_SCRIPTS_WITHOUT_BLANKS}]|[^\W_{_SCRIPTS_WITHOUT_BLANKS}]+")
_WORD_CHARACTERS: Final = 64
_TEXT_CHARACTERS: Final = 200_000  # PostgreSQL keeps at most 1 MiB of words for a row
_QUERY_WORDS: Final = 64


def words_of(text: str) -> list[str]:
    """Return the words by which a text is found.

    Example:
        >>> words_of('A CAFÉ: "green_tea" OR 茶道')
        ['a', 'cafe', 'green', 'tea', 'or', '茶', '道']
    """
    plain = unicodedata.normalize("NFKD", text[:_TEXT_CHARACTERS]).casefold()[:_TEXT_CHARACTERS]
    marked = "".join(each for each in plain if unicodedata.category(each) != "Mn")
    return [word[:_WORD_CHARACTERS] for word in _WORD.findall(marked)]


def scope_of(namespace: str) -> dict[str, str]:
    """Return the values of the statements for a namespace with all that are below it; "" for all namespaces.

    It is a range: no text sorts between `a/` and `a0` that does not begin with `a/`.
    """
    low, high = (f"{namespace}/", f"{namespace}0") if namespace else ("", "\U0010ffff")
    return {"namespace": namespace, "low": low, "high": high}


class Memories(ABC, Generic[ConnectionT]):
    """The table of memories in one dialect of SQL. All methods are called on a thread of the store.

    Args:
        statements: The statements by name.
    """

    def __init__(self, statements: Mapping[str, str]) -> None:
        self._statements = {name: text.split(";\n") for name, text in statements.items()}

    @abstractmethod
    def _run(self, connection: ConnectionT, statement: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Run one statement, and return its rows."""

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

    def _do(self, connection: ConnectionT, name: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for statement in self._statements[name]:
            found = self._run(connection, statement, values)
        return found

    def exist(self, connection: ConnectionT) -> bool:
        """Return whether the table was created."""
        return bool(self._do(connection, "exist", {}))

    def create(self, connection: ConnectionT) -> None:
        """Create the table, unless another process has done so meanwhile."""
        self._do(connection, "create", {})

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
        words = list(islice(dict.fromkeys(words_of(query)), _QUERY_WORDS))
        if not words:
            return []
        return self._do(connection, "by_words", {**scope, "query": self._match(words), "limit": limit})
