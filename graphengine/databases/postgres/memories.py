"""Memories in PostgreSQL.

Words are found by a GIN index. Vectors are compared one by one, by pgvector if the database has this extension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.databases.memories import Memories
from graphengine.databases.postgres.queries import rows_of
from graphengine.databases.postgres.sessions import Connection
from graphengine.databases.statements import Statements, named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.databases.memories import Scope


class PostgresMemories(Memories[Connection]):
    def _match(self, words: Sequence[str]) -> str:
        return " | ".join(f"'{word}'" for word in words)

    def _vector(self, vector: Sequence[float] | None) -> list[float] | None:
        return None if vector is None else [*vector]

    def by_meaning(
        self, connection: Connection, scope: Scope, vector: Sequence[float], limit: int
    ) -> list[tuple[Any, ...]]:
        values = {**scope, "vector": self._vector(vector), "limit": limit}
        found = self._do(connection, "vector_schema", {})
        if not found:
            return self._do(connection, "by_meaning", values)
        statement = self._statements.by_name["by_meaning"].replace(_SUM, _NEAR.format(schema=found[0][0]))
        return self._statements.run(connection, statement, values)


_SQL: Final = named(__name__, "memories.sql")
_SUM: Final = "(SELECT sum(a * b) FROM unnest(vector, %(vector)s::real[]) AS pairs (a, b))::float8"
_NEAR: Final = "-(vector::{schema}.vector OPERATOR({schema}.<#>) %(vector)s::real[]::{schema}.vector)"
"""The product of two vectors, computed by pgvector, which returns the product with the opposite sign."""
MEMORIES: Final = PostgresMemories(Statements(rows_of, _SQL))
