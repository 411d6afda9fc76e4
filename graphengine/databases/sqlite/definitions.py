"""Checks that a database file contains only definitions that graphengine creates.

A file from another source can contain SQL that runs by itself: a trigger or view runs its own SQL when a table is
written or read, and an index on an expression does so whenever a row changes. So a database is accepted only if it has
no triggers, and if the views, tables and indexes that are used are those that the migrations create. Additional tables
of other programs are ignored. SQLite is also set not to let definitions call functions with side effects
(`trusted_schema`).
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Final

from graphengine.databases.sqlite.queries import FIRST, migration
from graphengine.errors import StoreAltered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import TypeAlias

    Definitions: TypeAlias = Mapping[tuple[str, str], tuple[str, str]]
    """(type, name) of each object, with the table that it belongs to and its SQL."""

_DEFINED: Final = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid"
_COMMENT: Final = re.compile(r"--[^\n]*")
_LISTED: Final = 5


def harden(connection: sqlite3.Connection) -> None:
    """Apply the settings for an untrusted file. Call this before anything is read."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")


def refuse_foreign(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Check that the definitions in a database are those that graphengine creates.

    Another program could have changed a table or an index, or added a trigger, which would run by itself.

    Raises:
        StoreAltered: A definition is missing, changed, or foreign.
    """
    found, expected = _by_name(connection.execute(_DEFINED)), expected_of(version)
    tables = {name for kind, name in expected if kind == "table"}
    foreign = [
        f"{kind} {name}"
        for (kind, name), (table, sql) in found.items()
        if (kind, name) not in expected and not _is_harmless(kind, name, table, sql, tables)
    ]
    altered = [f"{kind} {name}" for kind, name in expected if found.get((kind, name)) != expected[kind, name]]
    if not foreign and not altered:
        return
    problems = [f"it contains {_name_first(foreign)}, which graphengine did not create"] if foreign else []
    problems += [f"{_name_first(altered)} is missing or was changed"] if altered else []
    raise StoreAltered(
        f"the database '{path}' was altered by another program: {'; '.join(problems)}",
        where=str(path),
        repair="if you trust the file, `graphengine doctor --repair` copies it and restores the definitions; "
        "otherwise do not use it",
    )


def _is_harmless(kind: str, name: str, table: str, sql: str, tables: set[str]) -> bool:
    """Return whether the statements of graphengine never use a definition that graphengine did not create."""
    if kind == "index":
        return table not in tables or not sql  # SQLite itself creates indexes without SQL, for keys
    return kind == "table" and name not in tables


def _name_first(things: list[str]) -> str:
    more = len(things) - _LISTED
    return ", ".join(things[:_LISTED]) + (f" and {more} more" if more > 0 else "")


@cache
def expected_of(version: int) -> Definitions:
    """Return the definitions of tables, indexes and views that a database of this version should contain.

    They are found by running the migrations up to this version on a database in memory.
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        for number in range(FIRST, version + 1):
            for statement in migration(number):
                connection.execute(statement)
        return {key: definition for key, definition in _by_name(connection.execute(_DEFINED)).items() if definition[1]}


def _by_name(rows: Iterable[tuple[object, ...]]) -> Definitions:
    """Return the definitions of tables, indexes, triggers and views in a database.

    The result contains their SQL by type and name. Comments and repeated blanks are removed from the SQL, so that two
    definitions can be compared.
    """
    return {
        (str(kind), str(name)): (str(table), " ".join(_COMMENT.sub(" ", str(sql or "")).replace('"', "").split()))
        for kind, name, table, sql in rows
    }
