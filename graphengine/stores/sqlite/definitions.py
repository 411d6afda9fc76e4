"""Whether what a database defines is what graphengine defines: a file from somebody else may hold more than data.

A trigger or a view runs SQL of its own when its table is written or read, and an index on an expression whenever a row
changes. So a database is used only if it has no triggers, and if its views, and the tables and indexes that we read
and write, are those that the migrations make. Tables that others keep beside ours are left alone: nothing here ever
touches them. Whatever a definition calls, SQLite itself lets it call nothing with an effect (`trusted_schema`).
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Final

from graphengine.errors import StoreAltered
from graphengine.stores.sqlite.queries import migration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import TypeAlias

    Definitions: TypeAlias = Mapping[tuple[str, str], tuple[str, str]]
    """(type, name) of each object, with the table it is of and its SQL."""

_DEFINED: Final = "SELECT type, name, tbl_name, sql FROM sqlite_schema"
_COMMENT: Final = re.compile(r"--[^\n]*")
_LISTED: Final = 5


def harden(connection: sqlite3.Connection) -> None:
    """Settings for a file that may come from anybody, to be made before anything of it is read."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")


def refuse_foreign(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """See that a database of this version defines what we define, and nothing that runs by itself.

    Raises:
        StoreAltered: It defines something else.
    """
    found, expected = definitions(connection), expected_of(version)
    tables = {name for kind, name in expected if kind == "table"}
    foreign = [
        f"{kind} {name}"
        for (kind, name), (table, sql) in found.items()
        if (kind, name) not in expected and not is_harmless(kind, name, table, sql, tables)
    ]
    altered = [f"{kind} {name}" for (kind, name), told in expected.items() if found.get((kind, name)) != told]
    if not foreign and not altered:
        return
    told = [f"it has {_listed(foreign)}, which graphengine did not make"] if foreign else []
    told += [f"it has not {_listed(altered)} as graphengine made it"] if altered else []
    raise StoreAltered(
        f"{path} was altered by something else: {'; '.join(told)}",
        where=str(path),
        repair="if you know where it comes from, `graphengine doctor --repair` sets it right after a copy; else do not "
        "use it",
    )


def is_harmless(kind: str, name: str, table: str, sql: str, tables: set[str]) -> bool:
    """Whether something that is not ours is never touched by what we do."""
    if kind == "index":
        return table not in tables or not sql  # SQLite makes those without SQL, for keys
    return kind == "table" and name not in tables


def _listed(things: list[str]) -> str:
    more = len(things) - _LISTED
    return ", ".join(things[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def definitions(connection: sqlite3.Connection) -> Definitions:
    """What a database defines; statements without their comments."""
    rows = connection.execute(_DEFINED).fetchall()
    return {(str(kind), str(name)): (str(table), _normal(sql)) for kind, name, table, sql in rows}


@cache
def expected_of(version: int) -> Definitions:
    """What the migrations up to a version define."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for number in range(1, version + 1):
            for statement in migration(number):
                connection.execute(statement)
        made = definitions(connection)
    return {key: told for key, told in made.items() if told[1]}


def _normal(sql: object) -> str:
    """A definition without its comments, and with one blank where there are several."""
    return " ".join(_COMMENT.sub(" ", str(sql)).replace('"', "").split()) if sql is not None else ""
