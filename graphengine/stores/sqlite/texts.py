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
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from graphengine.stores.sqlite.checksums import sum_of
from graphengine.stores.sqlite.queries import SQL

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

LEAST_BYTES: Final = 4096
"""The length from which a text is stored apart. Half a page: below, a reference and two index entries save little."""

LARGEST_BYTES: Final = 1_000_000_000
"""The longest body that is cut and put together again: the longest text that SQLite stores in a row."""

_DIGEST_BYTES: Final = 16
_BACKSLASH: Final = ord("\\")
_SEALED: Final = b'"$secret":"'
_OUTSIDE_STRINGS: Final = b"-+.0123456789Eaeflnrstu,:[]{} \n\r\t"
"""All bytes of JSON that are not in strings: numbers, `true`, `false`, `null`, punctuation."""

_listed: Final = msgspec.json.Decoder(list[tuple[int, int]])


class Cut(NamedTuple):
    """A body without its long texts, and these, each with its offset in that body."""

    body: bytes
    texts: Sequence[tuple[int, bytes]]


def cut(body: bytes) -> Cut:
    """Take the long texts out of a body.

    Example:
        >>> long = "x" * 5000
        >>> body, [(offset, text)] = cut(f'{{"draft":"{long}"}}'.encode())
        >>> body, offset, text == long.encode()
        (b'{"draft":""}', 10, True)
    """
    kept: list[bytes] = []
    texts: list[tuple[int, bytes]] = []
    length = done = 0
    for start, end in _long_strings(body):
        kept.append(body[done:start])
        length += start - done
        texts.append((length, body[start:end]))
        done = end
    if not texts:
        return Cut(body, ())
    kept.append(body[done:])
    return Cut(b"".join(kept), texts)


def _long_strings(body: bytes) -> Iterator[tuple[int, int]]:
    r"""Yield where the contents of the long strings of a JSON text begin and end.

    It looks only at every 4096th byte or so, and there for the quotes around it: a string that has none of these bytes
    is short. If one of the quotes may be escaped, `\"`, all escaped characters are blanked first.
    """
    if not LEAST_BYTES <= len(body) <= LARGEST_BYTES:
        return
    quoted = body
    done, at = 0, LEAST_BYTES
    while at < len(body):
        start, end = quoted.rfind(b'"', done, at) + 1, quoted.find(b'"', at)
        if quoted is body and (body[start - 2] == _BACKSLASH or body[end - 1] == _BACKSLASH):
            quoted = body.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")
            continue
        if end < 0:
            return
        if start > done and end - start >= LEAST_BYTES and _is_text(body, start):
            yield start, end
        done, at = end, end + LEAST_BYTES


def _is_text(body: bytes, start: int) -> bool:
    """Return whether a long stretch between two quotes is a string that can be stored apart.

    Between two strings there can be thousands of numbers. A string that looks like them stays in its row too.
    """
    is_inside = bool(body[start : start + LEAST_BYTES].translate(None, _OUTSIDE_STRINGS))
    return is_inside and not body.endswith(_SEALED, 0, start)


def store(connection: sqlite3.Connection, row: int, body: bytes) -> tuple[bytes, str | None]:
    """Store the long texts of a row, in the caller's transaction. Return its columns `body` and `texts`.

    Args:
        connection: In a write transaction.
        row: The id of a step, or of a snapshot, negated.
        body: The whole body.
    """
    if len(body) < LEAST_BYTES:
        return body, None
    short, texts = cut(body)
    if not texts:
        return body, None
    places = [[offset, _key_of(connection, text)] for offset, text in texts]
    connection.executemany(SQL["use_text"], [(key, row) for _, key in places])
    return short, msgspec.json.encode(places).decode()


def _key_of(connection: sqlite3.Connection, text: bytes) -> int:
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
    """The texts that one read has met, each read once.

    Args:
        connection: In a transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._found: dict[int, bytes] = {}

    def put_back(self, body: bytes, listed: str) -> bytes:
        """Return the whole body of a row with texts, given its columns `body` and `texts`.

        Raises:
            ValueError: A text is missing, or the list is damaged.
        """
        places = _listed.decode(listed)
        parts: list[bytes] = []
        done = length = 0
        for offset, key in places:
            if not done <= offset <= len(body):
                message = f"text {key} has no place in it"
                raise ValueError(message)
            text = self._text(key)
            length += len(text)
            if length > LARGEST_BYTES:
                message = f"its texts have more than {LARGEST_BYTES} bytes"
                raise ValueError(message)
            parts += body[done:offset], text
            done = offset
        return b"".join((*parts, body[done:]))

    def whole(self, row: int, body: bytes | None, listed: str | None, recorded: int | None) -> bytes:
        """Return the whole body of a row after comparing it with its checksum, if it has one.

        Raises:
            ValueError: They differ, or as `put_back`.
        """
        found = body if body is None or listed is None else self.put_back(body, listed)
        if found is None or (recorded is not None and sum_of(row, found) != recorded):
            message = "its checksum shows that it was changed since it was written"
            raise ValueError(message)
        return found

    def _text(self, key: int) -> bytes:
        text = self._found.get(key)
        if text is None:
            row = self._connection.execute(SQL["text"], (key,)).fetchone()
            if row is None:
                message = f"its text {key} is missing"
                raise ValueError(message)
            text = self._found[key] = row[0]
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
