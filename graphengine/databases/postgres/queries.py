"""The statements in `queries.sql` and the migrations in `schema/`, and values in the forms that PostgreSQL accepts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from graphengine.databases.run_rows import selected
from graphengine.databases.statements import Dialect, named, text_of
from graphengine.kernel.inside import is_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.databases.postgres.sessions import Connection

MIGRATIONS: Final = [
    text_of(__name__, f"schema/{name}.sql")
    for name in ("0002_runs", "0003_cut_off", "0004_one_place", "0005_by_priority", "0006_lives", "0007_fields")
]
"""The migrations in order. The first creates the tables. Never change a released migration: add another one."""

FIRST: Final = 2
"""The format that the first migration creates. Older formats are of development versions, and are refused."""

OLDEST: Final = 6
"""The oldest format whose code can use the current schema, so that processes of both versions can work together."""

run_selected: Final = partial(selected, driven="f.is_driven", wanted_at="NULL")
LARGEST: Final = (1 << 31) - 1
"""The largest `integer`."""


def latest_format() -> int:
    """Return the current format of the schema, which is the number of the last migration."""
    return FIRST - 1 + len(MIGRATIONS)


def migration(version: int) -> bytes:
    """Return the statements that migrate the schema from the previous format to this one."""
    return MIGRATIONS[version - FIRST].encode()


def clamped(number: int) -> int:
    # A comparison of a column with the limited number has the same result as with the original one.
    return max(min(number, LARGEST), -LARGEST)


def signed(number: int) -> int:
    """Convert an unsigned 32-bit number to the signed number with the same bits."""
    return number - (1 << 32) if number > LARGEST else number


def known(run_id: str) -> str:
    """Return a run id if PostgreSQL can store it, otherwise "", which is no run's id: a search finds nothing."""
    return run_id if is_name(run_id) else ""


def rows_of(connection: Connection, statement: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Run a statement with named parameters, and return the rows of its result."""
    found = connection.execute(statement.encode(), values)
    return [] if found.description is None else found.fetchall()


DIALECT: Final = Dialect(
    run=rows_of,
    listed=lambda texts: [text for text in texts if is_name(text)],
    selected=run_selected,
    # a plain join with the keys would read the last step of every run
    facts=", LATERAL (SELECT * FROM run_facts AS f WHERE f.key = page.key OFFSET 0) AS f",
    among=r"= ANY (\1::text[])",
    parameter=r"%(\1)s",
    is_concurrent=True,
)
_SQL: Final = {**DIALECT.statements("queries.sql").by_name, **named(__name__, "queries.sql", run_selected)}
SQL: Final = {name: text.encode() for name, text in _SQL.items()}
"""The statements of the store by name, as bytes, because psycopg is typed to accept only literals as texts."""
