"""Long texts are stored once: a row holds a reference to each, and every row with the same text shares it.

The place of a text is in the encoding of a row, so that nothing above the store knows of it. A body is cut at the
quotes of its long strings: each leaves `""`, and the column `texts` lists where it belongs and which text it was.
Reading puts the texts back and gets the body byte for byte; the row's checksum proves it.

    body     {"kind":"node",…,"update":[["set","draft",""]]}
    texts    [[58,3]]
    text 3   Once upon a time…

A text, the rows that hold it and the uses that connect them are written in one transaction, and deleted in one: with
its last use a text is deleted too. Encrypted records stay in their rows.
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
"""How much of the texts that it met a reader keeps: a run of a thousand drafts can have more than fits into memory."""

_listed: Final = msgspec.json.Decoder(list[tuple[int, int]])


def store(connection: sqlite3.Connection, row: int, body: bytes, *, repeats: bool = False) -> tuple[bytes, str | None]:
    """Store the long texts of a row, in the caller's transaction. Return its columns `body` and `texts`.

    Args:
        connection: In a write transaction.
        row: The id of a step, or of a snapshot, negated.
        body: The whole body.
        repeats: As for `cut`.
    """
    short, texts = cut(body, repeats=repeats)
    if not texts:
        return body, None
    places = [[offset, _store_text(connection, text)] for offset, text in texts]
    connection.executemany(SQL["use_text"], [(key, row) for _, key in places])
    return short, msgspec.json.encode(places).decode()


def _store_text(connection: sqlite3.Connection, text: bytes) -> int:
    """Return the key of a text, which is stored now unless it was.

    The bodies are compared, so that a text that was damaged on the disk is not used for new rows.
    """
    digest = digest_of(text)
    found = connection.execute(SQL["key_of_text"], (digest, text)).fetchone()
    key = connection.execute(SQL["add_text"], (digest, text)).lastrowid if found is None else found[0]
    return int(key or 0)


def digest_of(text: bytes) -> bytes:
    """Return the digest by which a text is found."""
    return hashlib.sha256(text).digest()[:_DIGEST_BYTES]


class Texts:
    """The texts that one read has met; each is read once, unless there are very many.

    Args:
        connection: In a transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._found: dict[int, bytes] = {}
        self._bytes = 0

    def whole(self, row: int, body: bytes | None, recorded: int, listed: str | None) -> bytes:
        """Return the whole body of a row after comparing it with its checksum.

        Raises:
            ValueError: They differ, a text is missing, or the list of texts is damaged.
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
    """Return the keys of the texts that a row lists; none if the list is damaged."""
    try:
        return {key for _, key in _listed.decode(listed)}
    except msgspec.DecodeError:
        return set()


def release(connection: sqlite3.Connection, deleted: Sequence[tuple[int, str]]) -> None:
    """Delete the uses of rows that were deleted, and the texts that no other row uses, in the caller's transaction.

    Args:
        connection: In a write transaction.
        deleted: Of each row its number, as for `store`, and its column `texts`.
    """
    for row, listed in deleted:
        for key in keys_in(listed):
            connection.execute(SQL["drop_text_use"], (key, row))
            connection.execute(SQL["drop_unused_text"], (key,))
