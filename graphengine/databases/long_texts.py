"""Long texts in the encoding of a row, which the stores on disk keep once: cut out when written, put back when read.

The place of a text is in the encoding, so that nothing above a store knows of it. A body is cut at the quotes of its
long strings: each leaves `""`, and its place is the offset of the second quote. Encrypted records stay in their rows.

A state that goes on in another run, and the snapshots of a run, repeat most of what was written before: a conversation
of 500 turns is the same list 500 times, each a little longer. Such a body is also cut between the items of its lists,
at places that depend on nothing but the bytes after them, so that equal items are cut in the same way in each body.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LEAST_BYTES: Final = 1024
"""The length from which a text is stored apart. A turn of a conversation has its texts in three steps; of shorter ones,
references and index entries take as much as they save."""

LARGEST_BYTES: Final = 1_000_000_000
"""The longest body that is cut and put together again: the longest text that SQLite and PostgreSQL store in a row."""

_BACKSLASH: Final = ord("\\")
_SECRET: Final = b'"$secret":'
_SEALED: Final = _SECRET + b'"'
_OUTSIDE_STRINGS: Final = b"-+.0123456789Eaeflnrstu,:[]{} \n\r\t"
"""All bytes of JSON that are not in strings: numbers, `true`, `false`, `null`, punctuation."""


_ITEM: Final = re.compile(rb'(?:\[|\},)\{(?="[A-Za-z_])')
"""What stands before an item of a list: never inside a string, where the quote would be escaped."""
_FOLLOWING: Final = 64
"""How many bytes after a place decide whether a body is cut there."""
_ONE_OF: Final = 2
"""Of how many places one is chosen, about."""
_STRETCH: Final = 32
"""How many times as long as `LEAST_BYTES` a stretch of items is, at least: the longer, the fewer references a body has.
"""


class Cut(NamedTuple):
    """A body without its long texts, and these, each with its offset in that body."""

    body: bytes
    texts: Sequence[tuple[int, bytes]]


def cut(body: bytes, *, repeats: bool = False) -> Cut:
    """Take the long texts out of a body.

    Args:
        body: JSON.
        repeats: Whether most of it was probably written before, so that it is cut between the items of lists too.

    Example:
        >>> long = "x" * 5000
        >>> body, [(offset, text)] = cut(f'{{"draft":"{long}"}}'.encode())
        >>> body, offset, text == long.encode()
        (b'{"draft":""}', 10, True)
    """
    kept: list[bytes] = []
    texts: list[tuple[int, bytes]] = []
    length = done = 0
    for start, end in _with_items(body) if repeats else _long_strings(body):
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


def _with_items(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield where stretches of items in a JSON text, and the long strings between them, begin and end."""
    done = 0
    for start, end in _items(body):
        yield from _long_strings_in(body, done, start)
        yield start, end
        done = end
    yield from _long_strings_in(body, done, len(body))


def _long_strings_in(body: bytes, begin: int, end: int) -> Iterator[tuple[int, int]]:
    for start, stop in _long_strings(body[begin:end]):
        yield begin + start, begin + stop


def _items(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield stretches of items in a body, each from one chosen place to the next.

    What is before the first place and after the last one stays in the row: it is what changes from body to body.
    """
    last: int | None = None
    begin = 0 if len(body) <= LARGEST_BYTES else len(body)
    while found := _ITEM.search(body, begin):
        begin = at = found.end() - 1
        is_first = found[0][:1] == b"["
        if is_first or not zlib.crc32(body[at : at + _FOLLOWING]) % _ONE_OF:
            if last is not None and at - last >= _STRETCH * LEAST_BYTES and _SECRET not in body[last:at]:
                yield last, at
            last, begin = at, at + _STRETCH * LEAST_BYTES


def _is_text(body: bytes, start: int) -> bool:
    """Return whether a long stretch between two quotes is a string that can be stored apart.

    Between two strings there can be thousands of numbers. A string that looks like them stays in its row too.
    """
    is_inside = bool(body[start : start + LEAST_BYTES].translate(None, _OUTSIDE_STRINGS))
    return is_inside and not body.endswith(_SEALED, 0, start)


def join(body: bytes, texts: Iterable[tuple[int, bytes]]) -> bytes:
    """Put texts back to their offsets, which ascend: the inverse of `cut`.

    Raises:
        ValueError: An offset is not in the body, or the texts are too long.

    Example:
        >>> join(b'{"draft":""}', [(10, b"Once")])
        b'{"draft":"Once"}'
    """
    parts: list[bytes] = []
    done = length = 0
    for offset, text in texts:
        if not done <= offset <= len(body):
            message = f"a text has no place in it at byte {offset}"
            raise ValueError(message)
        length += len(text)
        if length > LARGEST_BYTES:
            message = f"its texts have more than {LARGEST_BYTES} bytes"
            raise ValueError(message)
        parts += body[done:offset], text
        done = offset
    return b"".join((*parts, body[done:]))
