"""Long texts in the encoding of a row, which the stores on disk keep once: cut out when written, put back when read.

The place of a text is in the encoding, so that nothing above a store knows of it. A body is cut at the quotes of its
long strings: each leaves `""`, and its place is the offset of the second quote. Encrypted records stay in their rows.

A state that goes on in another run, and the snapshots of a run, repeat most of what was written before: a conversation
of 500 turns is the same list 500 times, each a little longer. Such a body is also cut between the items of its lists,
into stretches of 32 KB or more, at places that depend on nothing but the bytes after them: so equal items are cut in
the same way in each body, and it has few references.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LEAST_BYTES: Final = 4096
"""The length from which a text is stored apart. Half a page: below, a reference and two index entries save little."""

MET_BYTES: Final = 1024
"""The same for a text that comes again: one that a run begins with or gets from outside, as the answer of a model, and
that a node then writes. A turn of a conversation has its texts in three steps."""
_MOST_MET: Final = 8192

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
_STRETCH: Final = 8
"""How many times as long as `LEAST_BYTES` a stretch of items is, at least: the longer, the fewer references a body has.
"""
_FROM_OUTSIDE: Final = tuple(b'{"kind":"%s"' % kind for kind in (b"started", b"recorded", b"message", b"answered"))
"""How the rows of these steps begin."""
_met: Final[set[int]] = set()
"""Hashes of their texts below `LEAST_BYTES`, as far as this process wrote them lately, into any database."""


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
    if len(body) > LARGEST_BYTES:
        return Cut(body, ())
    kept: list[bytes] = []
    texts: list[tuple[int, bytes]] = []
    length = done = 0
    for start, end in _find_repeatable_parts(body) if repeats else _strings(body, 0, len(body)):
        kept.append(body[done:start])
        length += start - done
        texts.append((length, body[start:end]))
        done = end
    if not texts:
        return Cut(body, ())
    kept.append(body[done:])
    return Cut(b"".join(kept), texts)


def _strings(body: bytes, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where the contents of long strings, and of shorter ones that come again, begin and end."""
    comes_again = body.startswith(_FROM_OUTSIDE)
    least = min(LEAST_BYTES, MET_BYTES) if comes_again or _met else LEAST_BYTES
    for start, stop in _long_strings(body, begin, end, least):
        if stop - start < LEAST_BYTES:
            key = hash(body[start:stop])
            if comes_again:
                if len(_met) >= _MOST_MET:
                    _met.clear()
                _met.add(key)
            elif key not in _met:
                continue
        yield start, stop


def _long_strings(whole: bytes, begin: int, end: int, least: int) -> Iterator[tuple[int, int]]:
    r"""Yield where the contents of the strings of at least this length begin and end, in a part of a JSON text.

    It looks only at every 1024th byte or so, and there for the quotes around it: a string that has none of these bytes
    is short. If one of the quotes may be escaped, `\"`, all escaped characters are blanked first.
    """
    if end - begin < least:
        return
    body = quoted = whole if end - begin == len(whole) else whole[begin:end]
    done, at = 0, least
    while at < len(body):
        start, stop = quoted.rfind(b'"', done, at) + 1, quoted.find(b'"', at)
        if quoted is body and (body[start - 2] == _BACKSLASH or body[stop - 1] == _BACKSLASH):
            quoted = body.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")
            continue
        if stop < 0:
            return
        if start > done and stop - start >= least and _is_whole_string(body, start):
            yield begin + start, begin + stop
        done, at = stop, stop + least


def _find_repeatable_parts(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the parts of a body that another one may have too begin and end.

    They are strings that are longer than a stretch of items, stretches of items between them, and other long strings.
    """
    for low, high, is_string in _yield_with_gaps(_long_strings(body, 0, len(body), _STRETCH * LEAST_BYTES), len(body)):
        if is_string:
            yield low, high
            continue
        for start, end, is_stretch in _yield_with_gaps(_cut_items(body, low, high), high, low):
            if is_stretch:
                yield start, end
            else:
                yield from _strings(body, start, end)


def _yield_with_gaps(parts: Iterable[tuple[int, int]], end: int, done: int = 0) -> Iterator[tuple[int, int, bool]]:
    """Yield the parts of a body, and what is between them, each with whether it is one of the parts."""
    for start, stop in parts:
        yield done, start, False
        yield start, stop, True
        done = stop
    yield done, end, False


def _cut_items(body: bytes, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield stretches of items in a part of a body, each from one chosen place to the next.

    What is before the first place and after the last one is what changes from body to body.
    """
    least = _STRETCH * LEAST_BYTES
    last: int | None = None
    while end - begin >= least and (found := _ITEM.search(body, begin, end)):
        begin = at = found.end() - 1
        is_first = found[0][:1] == b"["
        if is_first or not zlib.crc32(body[at : at + _FOLLOWING]) % _ONE_OF:
            if last is not None and _SECRET not in body[last:at]:
                yield last, at - 1  # what stays between two of them keeps their offsets apart
            last, begin = at, at + least


def _is_whole_string(body: bytes, start: int) -> bool:
    """Return whether a long stretch between two quotes is a string that can be stored apart.

    Between two strings there can be thousands of numbers. A string that looks like them stays in its row too.
    """
    is_inside = bool(body[start : start + min(LEAST_BYTES, MET_BYTES)].translate(None, _OUTSIDE_STRINGS))
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
