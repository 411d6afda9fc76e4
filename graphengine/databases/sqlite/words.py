"""The words by which a search finds runs, in an FTS5 index.

The words of a run come from its id, graph, tags and first input, and from what it waits for or why it ended. Other
tables contain all of these, so the index can be rebuilt at any time.

Each transaction that changes an FTS5 index takes 40 µs longer, which is a lot for a short run; in a batch of hundreds
of runs each takes only a tenth of that. So runs are indexed in batches, by a transaction that writes anyway. Runs that
are not indexed yet are known: new ones by their keys, changed ones by a row each. A search reads the words of these
runs from the other tables.

Where SQLite has no FTS5, no run is ever indexed, and a search reads the words of all runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import Struct

from graphengine.databases.run_lists import Search
from graphengine.databases.sql import fold_words
from graphengine.databases.sqlite.texts import Texts
from graphengine.databases.statements import named
from graphengine.kernel.store import has_all, joined, sought_words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

SQL: Final = named(__name__, "words.sql")
EVERY: Final = 256
"""How many new or changed runs gather before they are indexed together."""
_MOST: Final = 2 * EVERY
"""The most runs that one transaction indexes, even if more have gathered."""
_ALL: Final = -1


class _First(Struct):
    """The part of a run's first step that contains searchable words."""

    update: list[Any] = []


class _Reason(Struct):
    """The part of a summary that contains searchable words."""

    reason: str = ""


_REASON: Final = msgspec.json.Decoder(_Reason)
_FIRST: Final = msgspec.json.Decoder(_First)


def added(connection: sqlite3.Connection, key: int) -> None:
    """Index a batch of new runs if enough have gathered. Call this in the transaction that adds the run."""
    if key % EVERY == 0:
        index(connection)


def has(connection: sqlite3.Connection, key: int) -> bool:
    """Return whether a run is in the index and the counts. New runs are added to both later, in batches."""
    (upto,) = connection.execute(SQL["upto"]).fetchone()
    return upto is not None and key <= upto


def count(connection: sqlite3.Connection, keys: Sequence[int], change: Literal[1, -1]) -> None:
    """Correct the stored numbers of runs by graph and status, for runs that are added or change their status.

    `change` is 1 to add the runs to the numbers, and -1 to subtract them. When the status of a run changes, the run is
    subtracted before the change and added after it. New runs that were not counted yet are skipped.
    """
    connection.execute(SQL["count"], (change, msgspec.json.encode(keys).decode()))


def changed(connection: sqlite3.Connection, key: int) -> None:
    """Note that the words by which a run is found have changed, so that the index of words is updated later.

    If enough such runs have gathered, update the index now.
    """
    connection.execute(SQL["changed"], (key,))
    (number,) = connection.execute(SQL["number_due"]).fetchone()
    if number > EVERY:
        index(connection)


def drop(connection: sqlite3.Connection, keys: Sequence[int]) -> None:
    """Remove runs from the index of words and from the numbers of runs, before the runs themselves are removed."""
    count(connection, keys, -1)
    listed = (msgspec.json.encode(keys).decode(),)
    connection.execute(SQL["not_due"], listed)
    if _exists(connection):
        connection.execute(SQL["drop"], listed)


def index(connection: sqlite3.Connection) -> bool:
    """Add the words of some runs to the index of words, so that searches find these runs quickly.

    Runs whose words have changed come first, then new runs. Return whether there were any such runs.
    """
    if not _exists(connection):
        if connection.execute(SQL["has_fts5"]).fetchone() is None:
            return False
        connection.execute(SQL["create"])
    stale = [key for (key,) in connection.execute(SQL["due"], (_MOST,))]
    new = [key for (key,) in connection.execute(SQL["new"], (_MOST - len(stale),))]
    entries = [(key, fold_words(texts)) for key, texts in texts_of(connection, stale + new)]
    connection.executemany(SQL["add"], entries)
    connection.execute(SQL["not_due"], (msgspec.json.encode(stale).decode(),))
    if new:
        connection.execute(SQL["count_new"], (new[0], new[-1]))
        connection.execute(SQL["keep_upto"], (new[-1],))
    return bool(stale or new)


def search(connection: sqlite3.Connection, text: str) -> Search:
    """Return the SQL that finds the runs that contain all words of a text.

    If the text contains no words, the SQL is empty. Runs that are not in the index of words yet are compared with the
    words here. The keys of those that match become a parameter of the SQL.
    """
    sought = sought_words(text)
    if not sought:
        return Search()
    exists = _exists(connection)
    keys = [key for (key,) in connection.execute(SQL["due"], (_ALL,))] if exists else []
    keys += [key for (key,) in connection.execute(SQL["new"], (_ALL,))]
    others = [key for key, texts in texts_of(connection, keys) if has_all(sought, texts)]
    values: dict[str, object] = {"query": " AND ".join(f'"{word}"*' for word in sought)}
    for name, listed in (("sought", sought), ("others", others)):
        values[name] = msgspec.json.encode(listed).decode()
    return Search(SQL["found" if exists else "found_without_index"], SQL["matches"], values=values)


def _exists(connection: sqlite3.Connection) -> bool:
    return connection.execute(SQL["exists"]).fetchone() is not None


def texts_of(connection: sqlite3.Connection, keys: Sequence[int]) -> Iterator[tuple[int, Sequence[str | None]]]:
    """Yield the texts in which a search looks for words, for each of the given runs that exists.

    Each result consists of the key of the run and its texts.
    """
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
    except ValueError:  # the summary can be computed again from the log
        return None


def _text_of_input(texts: Texts, row: Sequence[Any]) -> str | None:
    """Return the searchable text of a run's input, which its first step contains; None if the step cannot be read."""
    row_id, body, checksum, long_texts = row
    if body is None:
        return None
    try:
        whole = body if long_texts is None else texts.whole(row_id, body, checksum, long_texts)
        update = _FIRST.decode(whole).update
    except ValueError:  # reading the run reports the fault
        return None
    return joined(op[-1] for op in update if op)
