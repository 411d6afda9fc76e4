"""The statements in `queries.sql` and `doctor/queries.sql`, and the migrations in `schema/`."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from graphengine.databases.run_rows import selected
from graphengine.databases.statements import Dialect, named, text_of
from graphengine.kernel.inside import is_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MIGRATIONS: Final = [
    text_of(__name__, f"schema/{name}.sql")
    for name in ("0002_runs", "0003_cut_off", "0004_by_priority", "0005_lives", "0006_fields")
]
"""The migrations in order. The first creates the tables. Never change a released migration: add another one."""

FIRST: Final = 2
"""The format that the first migration creates. Older formats are of development versions, and are refused."""

run_selected: Final = partial(selected, driven="f.driven_until", wanted_at="f.wanted_at")
DOCTOR_SQL: Final = named(__name__, "doctor/queries.sql", run_selected)
"""The statements of the doctor by name. They can read whole tables."""


def latest_format() -> int:
    """Return the current format of a database, its `user_version`, which is the number of the last migration."""
    return FIRST - 1 + len(MIGRATIONS)


def migration(version: int) -> list[str]:
    """Return the SQL statements that migrate a database from the previous version of the format to this one.

    Each element of the list is one statement.
    """
    statements: list[str] = []
    pending = ""
    for line in MIGRATIONS[version - FIRST].splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending.strip())
            pending = ""
    return statements


def rows_of(connection: sqlite3.Connection, statement: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Run a statement with named parameters, and return the rows of its result."""
    return connection.execute(statement, values).fetchall()


def _listed(texts: Sequence[str]) -> str:
    return to_json([text for text in texts if is_name(text)]).decode()


DIALECT: Final = Dialect(
    run=rows_of,
    listed=_listed,
    selected=run_selected,
    facts="CROSS JOIN run_facts AS f ON f.key = page.key",
    among=r"IN (SELECT value FROM json_each(\1))",
    parameter=r":\1",
    is_concurrent=False,
)
SQL: Final = {**DIALECT.statements("queries.sql").by_name, **named(__name__, "queries.sql", run_selected)}
"""The statements of the store by name."""
