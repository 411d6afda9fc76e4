"""Long texts are stored once: a row contains a reference to each text, and all rows with the same text share it.

The encoded body of a row is cut at the quotes of its long strings. Each string leaves `""`, and the column `texts`
lists the offsets of the strings and the keys of their texts. Reading puts the texts back, and the row's checksum proves
that the body is the same byte for byte. No code above the store needs to know about this.

    body     {"kind":"node",…,"update":[["set","draft",""]]}
    texts    [[58,3]]
    text 3   Once upon a time…

A text, the rows that contain it and the uses that connect them are written in one transaction. They are also deleted in
one: a text is deleted with its last use. Encrypted records stay in their rows.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from graphengine.databases.checksums import CHANGED, sum_of
from graphengine.databases.long_texts import cut, join
from graphengine.databases.sqlite.queries import SQL

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

_DIGEST_BYTES: Final = 16
_KEPT_BYTES: Final = 64_000_000
"""The most bytes of texts that one read keeps in memory: a run with a thousand drafts can contain more than fits."""

_listed: Final = msgspec.json.Decoder(list[tuple[int, int]])


def store(connection: sqlite3.Connection, row: int, body: bytes, *, repeats: bool = False) -> tuple[bytes, str | None]:
    """Store the long texts of a step or snapshot apart from its row.

    Return the values of the row's columns `body` and `texts`.

    The body is stored without its long texts. The column `texts` lists where they were cut out. The caller opens the
    transaction.

    Args:
        connection: A connection inside a write transaction.
        row: The id of a step, or the negative id of a snapshot.
        body: The complete JSON of the step or snapshot.
        repeats: Whether most of the body was probably written before; see `cut`.
    """
    short, texts = cut(body, repeats=repeats)
    if not texts:
        return body, None
    places = [[offset, _store_text(connection, text)] for offset, text in texts]
    connection.executemany(SQL["use_text"], [(key, row) for _, key in places])
    return short, msgspec.json.encode(places).decode()


def _store_text(connection: sqlite3.Connection, text: bytes) -> int:
    """Store a long text unless it is already stored, and return its key.

    Texts are compared byte by byte and not only by digest. Otherwise a new row could refer to a stored text that was
    damaged on the disk.
    """
    digest = digest_of(text)
    found = connection.execute(SQL["key_of_text"], (digest, text)).fetchone()
    key = connection.execute(SQL["add_text"], (digest, text)).lastrowid if found is None else found[0]
    return int(key or 0)


def digest_of(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:_DIGEST_BYTES]


class Texts:
    """Puts long texts back into the steps and snapshots that one read of the database returns.

    Each text is read from the database only once, unless the texts are too many to keep in memory.

    Args:
        connection: A connection inside a transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._found: dict[int, bytes] = {}
        self._bytes = 0

    def whole(self, row: int, body: bytes | None, recorded: int, listed: str | None) -> bytes:
        """Return the complete content of a step or snapshot: put its long texts back, and check its checksum.

        Raises:
            ValueError: The checksum is wrong, a text is missing, or the list of texts is damaged.
        """
        found = body
        if body is not None and listed is not None:
            found = join(body, ((offset, self._text(key)) for offset, key in _listed.decode(listed)))
        if found is None or sum_of(row, found) != recorded:
            raise ValueError(CHANGED)
        return found

    def _text(self, key: int) -> bytes:
        text = self._found.get(key)
        if text is None:
            row = self._connection.execute(SQL["text"], (key,)).fetchone()
            if row is None:
                message = f"its text {key} is missing"
                raise ValueError(message)
            text = row[0]
            if self._bytes + len(text) > _KEPT_BYTES:
                self._found.clear()
                self._bytes = 0
            self._found[key] = text
            self._bytes += len(text)
        return text


def keys_in(listed: str) -> set[int]:
    """Return the keys of the long texts that belong to a step or snapshot, from the list in its row.

    The result is empty if this list is damaged.
    """
    try:
        return {key for _, key in _listed.decode(listed)}
    except msgspec.DecodeError:
        return set()


def release(connection: sqlite3.Connection, deleted: Sequence[tuple[int, str]]) -> None:
    """Note that deleted rows do not use their long texts any more, and delete the texts that no other row uses.

    Args:
        connection: A connection inside a write transaction.
        deleted: For each row its number, as in `store`, and its column `texts`.
    """
    for row, listed in deleted:
        for key in keys_in(listed):
            connection.execute(SQL["drop_text_use"], (key, row))
            connection.execute(SQL["drop_unused_text"], (key,))
