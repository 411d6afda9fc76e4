"""The statements in `queries.sql` and `doctor/queries.sql` and the migrations in `schema/`, read once."""

from __future__ import annotations

import pkgutil
import re
import sqlite3
from typing import Final

MIGRATIONS: Final = ("0001_runs.sql", "0002_waits.sql", "0003_trust.sql", "0004_texts.sql")
"""The migrations in order; the number of the last one is the format's version, the database's `user_version`."""

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def _read(name: str) -> str:
    data = pkgutil.get_data(__name__, name)
    if data is None:
        message = f"{name} is missing from the installed package"
        raise FileNotFoundError(message)
    return data.decode()


def _named(text: str) -> dict[str, str]:
    _, *parts = _NAME.split(text)
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


SQL: Final = _named(_read("queries.sql"))
"""The statements of the store by name."""

DOCTOR_SQL: Final = _named(_read("doctor/queries.sql"))
"""The statements of the doctor by name; they can read whole tables."""


def migration(version: int) -> list[str]:
    """Return the statements that migrate from the previous version to this one, one string each."""
    statements: list[str] = []
    pending = ""
    for line in _read(f"schema/{MIGRATIONS[version - 1]}").splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending.strip())
            pending = ""
    return statements
