"""Long texts in the encoding of a row, which the stores on disk keep once: cut out when written, put back when read.

The place of a text is in the encoding, so that nothing above a store knows of it. A body is cut at the quotes of its
long strings: each leaves `""`, and its place is the offset of the second quote. Encrypted records stay in their rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LEAST_BYTES: Final = 4096
"""The length from which a text is stored apart. Half a page: below, a reference and two index entries save little."""

LARGEST_BYTES: Final = 1_000_000_000
"""The longest body that is cut and put together again: the longest text that SQLite and PostgreSQL store in a row."""

_BACKSLASH: Final = ord("\\")
_SEALED: Final = b'"$secret":"'
_OUTSIDE_STRINGS: Final = b"-+.0123456789Eaeflnrstu,:[]{} \n\r\t"
"""All bytes of JSON that are not in strings: numbers, `true`, `false`, `null`, punctuation."""


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
