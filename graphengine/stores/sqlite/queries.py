"""The statements in `queries.sql` and `doctor/queries.sql` and the migrations in `schema/`, read once."""

from __future__ import annotations

import sqlite3
from typing import Final

from graphengine.stores.statements import named, text_of

MIGRATIONS: Final = ("0001_runs.sql", "0002_waits.sql", "0003_trust.sql", "0004_texts.sql", "0005_dispatch.sql")
"""The migrations in order; the number of the last one is the format's version, the database's `user_version`."""

SQL: Final = named(__name__, "queries.sql")
"""The statements of the store by name."""

DOCTOR_SQL: Final = named(__name__, "doctor/queries.sql")
"""The statements of the doctor by name; they can read whole tables."""


def migration(version: int) -> list[str]:
    """Return the statements that migrate from the previous version to this one, one string each."""
    statements: list[str] = []
    pending = ""
    for line in text_of(__name__, f"schema/{MIGRATIONS[version - 1]}").splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending.strip())
            pending = ""
    return statements
