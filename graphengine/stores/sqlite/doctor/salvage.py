"""Saving what can be read from a database with damaged pages into a new file.

Rows are read with SQLite first, from both ends of each table as far as possible, then from the pages themselves
(`pages.py`). A row with a wrong checksum is left out, so that no guess is saved. Steps that are known to exist and
could not be saved are reported.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final

from graphengine.stores.checksums import message_place, sum_of
from graphengine.stores.findings import Lost
from graphengine.stores.sqlite.doctor import pages
from graphengine.stores.sqlite.doctor.inspection import open_for_inspection
from graphengine.stores.sqlite.faults import shows_damage
from graphengine.stores.sqlite.files import PAGE_BYTES, migrate
from graphengine.stores.sqlite.queries import DOCTOR_SQL, SQL
from graphengine.stores.sqlite.reads import KEY_BITS, SEQ_MASK
from graphengine.stores.sqlite.texts import Texts, digest_of, keys_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from graphengine.stores.sqlite.doctor.pages import Cell, RawRow

_LOWEST: Final = -(1 << 63)
_HIGHEST: Final = (1 << 63) - 1
_LONGEST_GAP: Final = 100_000
_COLUMNS: Final = {
    "texts": "key, digest, body",  # first: the checksums of the rows below cover them
    "runs": (
        "key, id, graph, fingerprint, status, created_at, parent, parent_seq, fence, driver, due_at, wanted_at,"
        " queue, priority, queue_key, turn, summary"
    ),
    "steps": "id, at, CAST(body AS BLOB), sum, texts",
    "snapshots": "id, CAST(body AS BLOB), sum, texts",
    "inbox": "id, run, key, kind, CAST(payload AS BLOB), posted_at, sum",
    "outlines": "rowid, fingerprint, CAST(body AS BLOB), sum",
    "trash": "key",
}
_ADD: Final = {
    "texts": "INSERT OR IGNORE INTO texts (key, digest, body) VALUES (?, ?, ?)",
    "runs": "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "steps": "INSERT OR IGNORE INTO steps (id, at, body, sum, texts) VALUES (?, ?, CAST(? AS TEXT), ?, ?)",
    "snapshots": "INSERT OR IGNORE INTO snapshots (id, body, sum, texts) VALUES (?, CAST(? AS TEXT), ?, ?)",
    "inbox": (
        "INSERT OR IGNORE INTO inbox (id, run, key, kind, payload, posted_at, sum)"
        " VALUES (?, ?, ?, ?, CAST(? AS TEXT), ?, ?)"
    ),
    "outlines": "INSERT OR IGNORE INTO outlines (fingerprint, body, sum) VALUES (?, CAST(? AS TEXT), ?)",
    "trash": "INSERT OR IGNORE INTO trash VALUES (?)",
}
# The columns of rows on the pages: n NULL (the key is the rowid), i integer, r number, t text, ? possibly NULL.
_SHAPES: Final = {
    "texts": ("n", "t", "t"),
    "steps": ("n", "r", "t", "i", "t?"),
    "snapshots": ("n", "t", "i", "t?"),
    "inbox": ("n", "i", "t", "t", "t?", "r", "i"),
    "outlines": ("t", "t", "i"),
    "runs": ("n", "t", "t", "t", "t", "r", "i?", "i", "i", "t?", "r?", "r?", "t", "i", "t", "i", "t?"),
}
_BODIES: Final = {"steps": 2, "snapshots": 1, "inbox": 4, "outlines": 2}
_SUMS: Final = {"steps": 3, "snapshots": 2, "inbox": 6, "outlines": 3}
"""Which columns of a row that was read hold its text and its checksum."""


def is_promising(path: Path) -> bool:
    """Return whether the file's pages hold any row of graphengine, proved by its checksum."""
    try:
        found = pages.open_pages(path)
    except OSError:
        return False
    try:
        return any(_is_proved(row) for row in found.rows())
    finally:
        pages.close(found)


def salvage(path: Path, target: Path) -> list[Lost]:
    """Write every row that can be read into a new database. Return the steps that could not be saved.

    Raises:
        OSError, sqlite3.Error: The new file cannot be written.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = OFF").fetchone()
            connection.execute("PRAGMA synchronous = OFF")
            migrate(connection, target)
            saving = _Saving(connection)
            connection.execute("BEGIN")
            _from_tables(path, saving)
            _from_pages(path, saving)
            saving.use_texts()
            connection.execute("COMMIT")
            lost = saving.lost()
        with target.open("rb") as file:
            os.fsync(file.fileno())
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return lost


class _Saving:
    """The new database, and the last known step of each run."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.last: dict[int, int] = {}
        self._texts = Texts(connection)

    def add(self, table: str, row: Sequence[Any]) -> None:
        """Write a row unless it exists, fails its checksum or violates a constraint."""
        if table == "steps":
            key, seq = row[0] >> KEY_BITS, row[0] & SEQ_MASK
            self.last[key] = max(seq, self.last.get(key, 0))
        if not _is_valid(table, row, self._texts):
            return
        if table == "outlines":
            row = row[1:]
        with suppress(sqlite3.IntegrityError, OverflowError, UnicodeError):
            self.connection.execute(_ADD[table], row)

    def use_texts(self) -> None:
        """Record which rows hold long texts, and drop those that none holds."""
        for statement in ("texts_of_steps", "texts_of_snapshots"):
            for row, listed in self.connection.execute(DOCTOR_SQL[statement]).fetchall():
                self.connection.executemany(SQL["use_text"], [(key, row) for key in keys_in(listed)])
        unused = self.connection.execute(DOCTOR_SQL["unused_texts"]).fetchall()
        self.connection.executemany(SQL["drop_unused_text"], unused)

    def created_at(self, key: int) -> float | None:
        """Return when a run was created; None if its row was not saved."""
        row = self.connection.execute("SELECT created_at FROM runs WHERE key = ?", (key,)).fetchone()
        return None if row is None else float(row[0])

    def lost(self) -> list[Lost]:
        """Return the steps that are known to exist and were not saved."""
        found: list[Lost] = []
        expected: dict[int, int] = {}
        names = {}
        for key, run_id, parent_seq in self.connection.execute("SELECT key, id, parent_seq FROM runs"):
            names[key], expected[key] = run_id, parent_seq + 1
        for key, seq in self.connection.execute("SELECT id >> 32, id & 4294967295 FROM steps ORDER BY id"):
            following = expected.get(key, 1)
            if seq > following:
                found.append(Lost(names.get(key, f"of key {key}"), following, seq - 1))
            expected[key] = seq + 1
        for key, last in self.last.items():
            if key in names and expected[key] <= last:
                found.append(Lost(names[key], expected[key], last))
        return found


def _from_tables(path: Path, saving: _Saving) -> None:
    """Save the rows that SQLite can read."""
    try:
        connection = open_for_inspection(path)
    except sqlite3.Error:
        return
    with closing(connection):
        for table, columns in _COLUMNS.items():
            for row in _readable(connection, table, columns):
                saving.add(table, row)
        with suppress(sqlite3.DatabaseError):
            for row in connection.execute("SELECT run, tag FROM tags"):
                _add_tag(saving, row)
        with suppress(sqlite3.DatabaseError):
            for row in connection.execute("SELECT run, fingerprint FROM earlier_outlines"):
                _add_earlier_outline(saving, row)


def _readable(connection: sqlite3.Connection, table: str, columns: str) -> Iterator[Sequence[Any]]:
    """Yield the rows of a table from its beginning and its end, then one by one in between unless the gap is large."""
    key = columns.partition(",")[0]
    select = f"SELECT {columns} FROM {table} NOT INDEXED WHERE {key}"  # noqa: S608 - constant names
    low, high = _LOWEST, _HIGHEST
    try:
        for row in connection.execute(f"{select} >= ? ORDER BY {key}", (low,)):
            yield row
            low = row[0]
    except sqlite3.DatabaseError as error:
        if not shows_damage(error):
            raise
    else:
        return
    try:
        for row in connection.execute(f"{select} > ? ORDER BY {key} DESC", (low,)):
            yield row
            high = row[0]
    except sqlite3.DatabaseError:
        pass
    if high - low <= _LONGEST_GAP:
        for between in range(low + 1, high):
            with suppress(sqlite3.DatabaseError):
                yield from connection.execute(f"{select} = ?", (between,)).fetchall()


def _from_pages(path: Path, saving: _Saving) -> None:
    """Save the rows on the pages: first long texts and runs, since they show which steps are whole and current."""
    found = pages.open_pages(path)
    try:
        for wanted in ({"texts", "runs"}, {"steps", "snapshots", "inbox", "outlines"}):
            for row in found.rows():
                table = _table_of(row)
                if table in wanted:
                    _save(saving, table, row)
                elif table is None and "steps" in wanted and row.rowid is None and not row.is_free:
                    _save_tag(saving, row.cells)
    finally:
        pages.close(found)


def _save(saving: _Saving, table: str, row: RawRow) -> None:
    """Save a row unless it can belong to a removed run, whose key another run can have by now."""
    cells = _columns_of(table, row)
    if table in ("steps", "snapshots"):
        began = saving.created_at(cells[0] >> KEY_BITS)
        if began is None and row.is_free:
            return
        if table == "steps" and began is not None and float(cells[1]) < began:
            return
    elif row.is_free:
        return
    saving.add(table, cells)


def _columns_of(table: str, row: RawRow) -> list[Any]:
    """Return the columns of a raw row as SQLite returns them."""
    shape = _SHAPES[table]
    cells: list[Any] = list(row.cells)
    texts = [index for index, kind in enumerate(shape) if kind[0] == "t"]
    bodies = {"texts": (1, 2), "steps": (2,), "snapshots": (1,), "inbox": (4,), "outlines": (1,)}
    for index in texts:
        if index not in bodies.get(table, ()) and cells[index] is not None:
            cells[index] = cells[index].decode("utf-8", "replace")
    if table == "outlines":
        return [row.rowid, *cells]
    cells[0] = row.rowid
    return cells


def _save_tag(saving: _Saving, cells: tuple[Cell, ...]) -> None:
    if len(cells) == 3 and isinstance(cells[0], int) and isinstance(cells[1], bytes):  # noqa: PLR2004 - the columns of tags
        _add_tag(saving, (cells[0], cells[1].decode("utf-8", "replace")))
    elif len(cells) == 2 and isinstance(cells[0], int) and isinstance(cells[1], bytes):  # noqa: PLR2004 - the columns of earlier_outlines
        _add_earlier_outline(saving, (cells[0], cells[1].decode("utf-8", "replace")))


def _add_earlier_outline(saving: _Saving, row: Sequence[Any]) -> None:
    if saving.created_at(row[0]) is not None:
        with suppress(sqlite3.IntegrityError):
            saving.connection.execute("INSERT OR IGNORE INTO earlier_outlines VALUES (?, ?)", row)


def _add_tag(saving: _Saving, row: Sequence[Any]) -> None:
    created_at = saving.created_at(row[0])
    if created_at is not None:
        with suppress(sqlite3.IntegrityError):
            saving.connection.execute("INSERT OR IGNORE INTO tags VALUES (?, ?, ?)", (row[0], row[1], created_at))


def _table_of(row: RawRow) -> str | None:
    """Return the table that a row of this shape belongs to; None if there is none."""
    if row.rowid is None:
        return None
    for table, shape in _SHAPES.items():
        if len(row.cells) == len(shape) and all(map(_fits, row.cells, shape)):
            return table
    return None


def _fits(cell: Cell, kind: str) -> bool:
    if cell is None:
        return kind == "n" or kind.endswith("?")
    if kind[0] == "t":
        return isinstance(cell, bytes)
    return isinstance(cell, int) if kind[0] == "i" else kind[0] == "r" and isinstance(cell, (int, float))


def _is_proved(row: RawRow) -> bool:
    table = _table_of(row)
    if table is None or table in ("runs", "texts"):
        return False
    return _is_valid(table, _columns_of(table, row), None)


def _is_valid(table: str, row: Sequence[Any], texts: Texts | None) -> bool:
    """Return whether a row matches its checksum; one that holds long texts does not match without `texts`."""
    if table in ("runs", "trash"):
        return True
    if table == "texts":
        return isinstance(row[2], bytes) and digest_of(row[2]) == row[1]
    body, recorded = row[_BODIES[table]], row[_SUMS[table]]
    if not isinstance(body, bytes):
        return table == "inbox" and body is None
    place = row[1] if table == "outlines" else row[0]
    if table == "inbox":
        _, run, key, kind, *_ = row
        place = message_place(run, kind, key)
    try:
        if table in ("steps", "snapshots") and row[-1] is not None:
            body = b"" if texts is None else texts.put_back(body, row[-1])
    except ValueError:
        return False
    return bool(sum_of(place, body) == recorded)
