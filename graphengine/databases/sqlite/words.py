"""The words by which runs are found, in an index of FTS5.

A run's words are those of its id, graph, tags and first input, and of what it waits for or why it ended. All of that is
in other tables: the index can be made anew from them at any time. Each transaction that changes FTS5 costs it 40 µs,
as much as a short run has to spare, and hundreds of runs at once a tenth of that each. So runs are indexed in batches,
by a transaction that writes anyway. What is not indexed yet is known, new runs by their keys and changed ones by a row
each, and a search reads their words from where they come from.

Where SQLite has no FTS5, no run is ever indexed: a search then reads the words of all runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from graphengine.databases.sql import fold_words
from graphengine.databases.sqlite.queries import run_selected
from graphengine.databases.sqlite.texts import Texts
from graphengine.databases.statements import named
from graphengine.kernel.store import has_all, joined, sought_words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

SQL: Final = named(__name__, "words.sql", run_selected)
EVERY: Final = 256
"""How many new or changed runs are indexed together."""
_MOST: Final = 2 * EVERY
"""The most runs that are indexed in one transaction, should more have gathered."""
_ALL: Final = -1


class _First(Struct):
    """The part of a first step by which a run is found."""

    update: list[Any] = []


class _Reason(Struct):
    """The part of a summary by which a run is found."""

    reason: str = ""


_REASON: Final = msgspec.json.Decoder(_Reason)
_FIRST: Final = msgspec.json.Decoder(_First)


def added(connection: sqlite3.Connection, key: int) -> None:
    """Note that a run is new; in the transaction that adds it."""
    if key % EVERY == 0:
        index(connection)


def has(connection: sqlite3.Connection, key: int) -> bool:
    """Return whether the index and the counts have a run: they have none of the newest."""
    (upto,) = connection.execute(SQL["upto"]).fetchone()
    return upto is not None and key <= upto


def count(connection: sqlite3.Connection, keys: Sequence[int], change: Literal[1, -1]) -> None:
    """Count runs as they are now once more or once less, those that are counted: around each change of a status."""
    connection.execute(SQL["count"], (change, msgspec.json.encode(keys).decode()))


def changed(connection: sqlite3.Connection, key: int) -> None:
    """Note that the words by which a run is found may have changed, of one that the index has."""
    connection.execute(SQL["changed"], (key,))
    (number,) = connection.execute(SQL["number_due"]).fetchone()
    if number > EVERY:
        index(connection)


def drop(connection: sqlite3.Connection, keys: Sequence[int]) -> None:
    """Take runs that are about to be removed out of the index and the counts."""
    count(connection, keys, -1)
    listed = (msgspec.json.encode(keys).decode(),)
    connection.execute(SQL["not_due"], listed)
    if _exists(connection):
        connection.execute(SQL["drop"], listed)


def index(connection: sqlite3.Connection) -> bool:
    """Index some of the runs that are to be indexed, the changed ones first. Return whether there were any."""
    if not _exists(connection):
        if connection.execute(SQL["has_fts5"]).fetchone() is None:
            return False
        connection.execute(SQL["create"])
    stale = [key for (key,) in connection.execute(SQL["due"], (_MOST,))]
    new = [key for (key,) in connection.execute(SQL["new"], (_MOST - len(stale),))]
    made = [(key, fold_words(texts)) for key, texts in texts_of(connection, stale + new)]
    connection.executemany(SQL["add"], made)
    connection.execute(SQL["not_due"], (msgspec.json.encode(stale).decode(),))
    if new:
        connection.execute(SQL["count_new"], (new[0], new[-1]))
        connection.execute(SQL["keep_upto"], (new[-1],))
    return bool(stale or new)


class Search(NamedTuple):
    """A search for words.

    Attributes:
        is_indexed: Whether there is an index.
        values: The values of `found`.
    """

    is_indexed: bool
    values: Mapping[str, object]

    @classmethod
    def of(cls, connection: sqlite3.Connection, text: str) -> Search | None:
        """Return the search for the words of a text; None if it has no words."""
        sought = sought_words(text)
        if not sought:
            return None
        exists = _exists(connection)
        keys = [key for (key,) in connection.execute(SQL["due"], (_ALL,))] if exists else []
        keys += [key for (key,) in connection.execute(SQL["new"], (_ALL,))]
        others = [key for key, texts in texts_of(connection, keys) if has_all(sought, texts)]
        query = " AND ".join(f'"{word}"*' for word in sought)
        lists = {"sought": sought, "others": others}
        return cls(
            exists, {"query": query, **{name: msgspec.json.encode(each).decode() for name, each in lists.items()}}
        )

    @property
    def found(self) -> str:
        """The statement that returns the keys of what is found."""
        return SQL["found" if self.is_indexed else "found_without_index"]


def _exists(connection: sqlite3.Connection) -> bool:
    return connection.execute(SQL["exists"]).fetchone() is not None


def texts_of(connection: sqlite3.Connection, keys: Sequence[int]) -> Iterator[tuple[int, Sequence[str | None]]]:
    """Yield the keys of runs that exist, each with the texts whose words it is found by."""
    texts = Texts(connection)
    rows = connection.execute(SQL["sources"], (msgspec.json.encode(keys).decode(),))
    for key, parent, run_id, graph, tags, summary, *first in rows:
        begun = [_text_of_input(texts, first)]
        if parent is not None:
            begun += [_text_of_input(texts, row) for row in connection.execute(SQL["before_branch"], (parent,))]
        yield key, (run_id, graph, tags, None if summary is None else _decode_reason(summary), *begun)


def _decode_reason(summary: str) -> str | None:
    try:
        return _REASON.decode(summary).reason
    except ValueError:  # it is derived from the log
        return None


def _text_of_input(texts: Texts, row: Sequence[Any]) -> str | None:
    """Return the text of what a first step begins with; None if the step cannot be read."""
    row_id, body, checksum, long_texts = row
    if body is None:
        return None
    try:
        whole = body if long_texts is None else texts.whole(row_id, body, checksum, long_texts)
        update = _FIRST.decode(whole).update
    except ValueError:  # reading the run reports it
        return None
    return joined(op[-1] for op in update if op)
