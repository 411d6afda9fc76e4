"""The statements in `queries.sql` and the migrations in `schema/`, read once; values as PostgreSQL can carry them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from graphengine.databases.run_rows import selected
from graphengine.databases.statements import named, text_of
from graphengine.kernel.inside import is_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.databases.postgres.sessions import Connection

MIGRATIONS: Final = [
    text_of(__name__, f"schema/{name}.sql")
    for name in ("0002_runs", "0003_cut_off", "0004_one_place", "0005_by_priority", "0006_lives", "0007_fields")
]
"""The migrations in order, the first of an empty schema. No released one is ever changed: add another."""

FIRST: Final = 2
"""The format of the first of them. Formats before it are of development versions, and refused."""

OLDEST: Final = 6
"""The oldest format whose code can use a schema of this one: processes of both versions can work at the same time."""

run_selected: Final = partial(selected, driven="f.is_driven", wanted_at="NULL")
SQL: Final = {name: text.encode() for name, text in named(__name__, "queries.sql", run_selected).items()}
"""The statements of the store by name, as bytes: psycopg takes a text only if it is a literal."""

LARGEST: Final = (1 << 31) - 1
"""The largest `integer`."""


def latest_format() -> int:
    """Return the format that this code writes: the number of the last migration."""
    return FIRST - 1 + len(MIGRATIONS)


def migration(version: int) -> bytes:
    """Return the statements that migrate from the previous version to this one."""
    return MIGRATIONS[version - FIRST].encode()


def clamped(number: int) -> int:
    """Return an integer that fits, for one that only has to compare like the given one."""
    return max(min(number, LARGEST), -LARGEST)


def signed(number: int) -> int:
    """Return an unsigned number of 32 bits as the signed one with the same bits."""
    return number - (1 << 32) if number > LARGEST else number


def known(run_id: str) -> str:
    """Return an id as PostgreSQL can carry it; for one that it cannot carry, return an id that no run has."""
    return run_id if is_name(run_id) else ""


def rows_of(connection: Connection, statement: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Run a statement with named parameters, and return its rows."""
    found = connection.execute(statement.encode(), values)
    return [] if found.description is None else found.fetchall()
