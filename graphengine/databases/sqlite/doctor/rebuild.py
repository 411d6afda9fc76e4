"""Copies every row that SQLite can read from a damaged database into a new one.

A table is read from its beginning. If damage ends that, the table is also read from its end, and then row by row in
between. The steps and snapshots of each run are read in the same way. A step with a wrong checksum is left out, so that
no guess is saved.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final

from graphengine.databases.findings import Lost
from graphengine.databases.sqlite import words
from graphengine.databases.sqlite.doctor.checks import NONSENSE
from graphengine.databases.sqlite.faults import shows_damage
from graphengine.databases.sqlite.files import PAGE_BYTES, migrate
from graphengine.databases.sqlite.memories import MEMORIES
from graphengine.databases.sqlite.queries import DOCTOR_SQL
from graphengine.databases.sqlite.reads import KEY_BITS, SEQ_MASK
from graphengine.databases.sqlite.texts import Texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_LOWEST: Final = -(1 << 63)
_HIGHEST: Final = (1 << 63) - 1
_LONGEST_GAP: Final = 100_000
_PROBED: Final = 10_000
"""How many row numbers are tried one by one if a table cannot be read from either end."""
_KEYED: Final = {"texts": "key", "runs": "key", "inbox": "id", "graph_specs": "rowid", "codes": "rowid", "trash": "key"}
"""Tables whose rows have numbers, with the name of the column that contains the number."""
_OTHERS: Final = (
    "owners",
    "text_uses",
    "tags",
    "run_fields",
    "graph_fields",
    "earlier_graph_specs",
    "earlier_codes",
    "queues",
    "rates",
    "schedules",
    "budget_accounts",
    "budget_holds",
)
_OF_RUNS: Final = ("steps", "snapshots")


def rebuild(source: sqlite3.Connection, target: Path) -> list[Lost]:
    """Write every row of a damaged database that can be read into a new database.

    Return the steps that are known to be lost.

    Raises:
        OSError, sqlite3.Error: The new file cannot be written.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with closing(sqlite3.connect(target, isolation_level=None)) as rebuilt:
        rebuilt.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        rebuilt.execute("PRAGMA auto_vacuum = INCREMENTAL")
        rebuilt.execute("PRAGMA journal_mode = OFF").fetchone()
        rebuilt.execute("PRAGMA synchronous = OFF")
        migrate(rebuilt, target)
        source.text_factory = bytes
        rebuilt.execute("BEGIN")
        copying = _Copying(source, rebuilt)
        copying.copy()
        while words.index(rebuilt):
            pass
        rebuilt.execute("COMMIT")
        return copying.lost()


class _Copying:
    """Copies the tables of a damaged database into a new one, as far as they can be read.

    Attributes:
        last: The last step of each run that was found, whether or not it could be saved, by the key of the run.
        met_damage: Whether the current table could not be read from its beginning to its end.
    """

    def __init__(self, source: sqlite3.Connection, rebuilt: sqlite3.Connection) -> None:
        self._source = source
        self._rebuilt = rebuilt
        self._texts = Texts(rebuilt)
        self._columns: dict[str, list[tuple[str, bool]]] = {}
        self.last: dict[int, int] = {}
        self.met_damage = False

    def copy(self) -> None:
        """Copy all tables of the damaged database.

        Tables that are needed to check the rows of other tables are copied first.
        """
        for table, key in _KEYED.items():
            self._add(table, self._rows(table, key, _LOWEST, _HIGHEST))
        for table in _OTHERS:
            self._add(table, self._read_unnumbered(table))
        for table in _OF_RUNS:
            self.met_damage = False
            self._add(table, self._rows(table, "id", _LOWEST, _HIGHEST))
            for (key,) in self._rebuilt.execute("SELECT key FROM runs").fetchall() if self.met_damage else ():
                self._add(table, self._rows(table, "id", key << KEY_BITS, (key + 1) << KEY_BITS))
        with suppress(*NONSENSE):
            if MEMORIES.exist(self._source):
                MEMORIES.create(self._rebuilt)
                self._add("memories", self._rows("memories", "id", _LOWEST, _HIGHEST))
                MEMORIES.restore_words(self._rebuilt)

    def _of(self, table: str) -> list[tuple[str, bool]]:
        """Return the names of a table's columns, and whether each contains text."""
        statement = "SELECT name, type = 'TEXT' FROM pragma_table_info(?)"
        return self._columns.setdefault(table, self._rebuilt.execute(statement, (table,)).fetchall())

    def _select(self, table: str, condition: str = "") -> str:
        names = (f"CAST({name} AS BLOB)" if is_text else name for name, is_text in self._of(table))
        return f"SELECT {', '.join(names)} FROM {table} NOT INDEXED {condition}"  # noqa: S608 - names of our schema

    def _rows(self, table: str, key: str, low: int, high: int) -> Iterator[Sequence[Any]]:
        """Yield the rows of a table, or of a range of its numbers, as far as they can be read.

        A scan of a damaged table can end early without an error. Therefore the last row is also looked for from the
        other end. For example:

        1. The number of row 7 is damaged and is now larger than the end of the range.
        2. The scan ends there, and the rows after row 7 are not read.
        """
        query = self._select(table, f"WHERE {key} BETWEEN ? AND ? ORDER BY {key}")
        query = query.replace("SELECT", f"SELECT {key},", 1)
        statement = f"{query} DESC"
        next_low, next_high = low, high  # one number behind: the last number before an error may be damaged
        whole = (low, high)
        try:
            for at, *row in self._source.execute(query, whole):
                yield row
                low, next_low = next_low, at + 1
            last = self._source.execute(statement, whole).fetchone()
            if last is None or last[0] < next_low:
                return
            self.met_damage = True
        except NONSENSE as error:
            self._note(error)
        with suppress(*NONSENSE):
            for at, *row in self._source.execute(statement, (low, high)):
                yield row
                high, next_high = next_high, at - 1
        yield from self._between(table, key, low, high)

    def _between(self, table: str, key: str, low: int, high: int) -> Iterator[Sequence[Any]]:
        """Yield the rows of a range that can be found one by one. A row may be yielded several times.

        Three statements are tried for each row, because the simple search can fail:

        1. Row 7 is damaged.
        2. A search for row 8 compares it with row 7, and fails.
        3. The row after 6, or the row before 9, can still be found.

        In addition, Python's cursor reads one row ahead, so that a scan of all rows up to 7 ends before row 6.
        """
        # 1. The first page of a table is damaged: nothing is read from the beginning. 2. From the end, all other pages
        # are. 3. Rows of that page that can be found one by one have the numbers from 1 on, not from the lowest.
        low = max(low, 1)
        high = high if high - low < _LONGEST_GAP else low + _PROBED
        ways = ("= ?", f"> ? - 1 ORDER BY {key} LIMIT 1", f"< ? + 1 ORDER BY {key} DESC LIMIT 1")
        statements = [self._select(table, f"WHERE {key} {way}") for way in ways]
        for at in range(low, high + 1):
            for statement in statements:
                with suppress(*NONSENSE):
                    yield from self._source.execute(statement, (at,)).fetchall()

    def _read_unnumbered(self, table: str) -> Iterator[Sequence[Any]]:
        query = self._select(table)
        try:
            yield from self._source.execute(query)
        except NONSENSE as error:
            self._note(error)

    def _note(self, error: Exception) -> None:
        if not shows_damage(error):
            raise error
        self.met_damage = True

    def _add(self, table: str, rows: Iterator[Sequence[Any]]) -> None:
        """Write rows of the damaged database to the new one.

        Rows that already exist or violate a constraint are skipped, and so are steps with a wrong checksum.
        """
        columns = self._of(table)
        names = ", ".join(name for name, _ in columns)
        places = ", ".join("CAST(? AS TEXT)" if is_text else "?" for _, is_text in columns)
        statement = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({places})"  # noqa: S608 - names of our schema
        for row in rows:
            if table == "steps" and not self._is_whole(*row):
                continue
            with suppress(sqlite3.IntegrityError, sqlite3.InterfaceError, OverflowError):
                self._rebuilt.execute(statement, row)

    def _is_whole(self, row_id: int, _at: float, body: bytes, recorded: int, listed: bytes | None) -> bool:
        key, seq = row_id >> KEY_BITS, row_id & SEQ_MASK
        self.last[key] = max(seq, self.last.get(key, 0))
        try:
            self._texts.whole(row_id, body, recorded, None if listed is None else listed.decode())
        except NONSENSE:
            return False
        return True

    def lost(self) -> list[Lost]:
        """Return the steps that could not be saved although other rows show that they once existed."""
        runs = dict(self._rebuilt.execute("SELECT key, id FROM runs"))
        names = {key: runs.get(key, f"of key {key}") for key in self.last}
        gaps = self._rebuilt.execute(DOCTOR_SQL["run_gaps"]).fetchall()
        found = [Lost(names[key], first, last) for key, first, last in gaps]
        saved = dict(self._rebuilt.execute("SELECT id >> 32, max(id & 4294967295) FROM steps GROUP BY 1"))
        ends = ((key, saved.get(key, 0), last) for key, last in self.last.items() if key in runs)
        return found + [Lost(names[key], end + 1, last) for key, end, last in ends if end < last]
