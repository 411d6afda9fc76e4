"""Long texts are cut out of the rows of steps and snapshots, stored once, and put back when a row is read.

A row's body is JSON. Cutting a long string out leaves `""`, and the string's place is the offset of the second quote.
So no code above the stores needs to know about long texts. Encrypted records stay in their rows.

The state of a run that continues as another run, and the snapshots of one run, repeat most of what was written before.
For example, a conversation of 500 turns is the same list 500 times, each a little longer. Such a body is also cut
between the items of its lists, into stretches of 32 KB or more. The places of these cuts depend only on the bytes that
follow, so that equal items are cut in the same way in every body. Long stretches keep the number of references small.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LEAST_BYTES: Final = 4096
"""The shortest text that is stored apart: half a page of the database. Shorter texts would save little space."""

MET_BYTES: Final = 1024
"""The shortest text that is stored apart if it comes from outside, such as a run's input or a model response. A node
usually writes such a text again: one turn of a conversation is contained in three steps."""
_MOST_HASHES: Final = 8192

LARGEST_BYTES: Final = 1_000_000_000
"""The longest body from which texts are cut: the longest text that SQLite and PostgreSQL can store in a row."""

_BACKSLASH: Final = ord("\\")
_SECRET: Final = b'"$secret":'
_SEALED: Final = _SECRET + b'"'
_OUTSIDE_STRINGS: Final = b"-+.0123456789Eaeflnrstu,:[]{} \n\r\t"
"""All bytes of JSON that are not in strings: numbers, `true`, `false`, `null`, punctuation."""


_ITEM: Final = re.compile(rb'(?:\[|\},)\{(?="[A-Za-z_])')
"""The bytes before an item of a list. They never occur inside a string, where the quote would be escaped."""
_FOLLOWING: Final = 64
"""How many bytes after a place decide whether a body is cut there."""
_ONE_OF: Final = 2
"""About one of this many possible places is chosen for a cut."""
_STRETCH: Final = 8
"""The shortest stretch of list items, as a multiple of `LEAST_BYTES`. Longer stretches need fewer references."""
_FROM_OUTSIDE: Final = tuple(b'{"kind":"%s"' % kind for kind in (b"started", b"recorded", b"message", b"answered"))
"""The first bytes of steps that bring text from outside."""
_met: Final[set[int]] = set()
"""Hashes of texts from outside, shorter than `LEAST_BYTES`, that this process wrote lately into any database."""


class Cut(NamedTuple):
    """A JSON body without its long texts, and the texts, each with its offset in that body."""

    body: bytes
    texts: Sequence[tuple[int, bytes]]


def cut(body: bytes, *, repeats: bool = False) -> Cut:
    """Take the long texts out of the JSON of a step or snapshot, so that each text can be stored only once.

    Args:
        body: The encoded JSON of a step or snapshot.
        repeats: Whether most of the body was probably written before. If so, the body is also cut between the items of
            lists.

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
    """Yield the begin and end of each string in a part of a JSON text that is stored apart from its step.

    Strings of at least `LEAST_BYTES` are always stored apart. Shorter strings, of at least `MET_BYTES`, are stored
    apart if they are likely to occur again. This is so in steps that bring text from outside, such as a model response,
    and in later steps that repeat such a text.
    """
    comes_again = body.startswith(_FROM_OUTSIDE)
    least = min(LEAST_BYTES, MET_BYTES) if comes_again or _met else LEAST_BYTES
    for start, stop in _long_strings(body, begin, end, least):
        if stop - start < LEAST_BYTES:
            key = hash(body[start:stop])
            if comes_again:
                if len(_met) >= _MOST_HASHES:
                    _met.clear()
                _met.add(key)
            elif key not in _met:
                continue
        yield start, stop


def _long_strings(whole: bytes, begin: int, end: int, least: int) -> Iterator[tuple[int, int]]:
    r"""Yield the begin and end of each string of at least `least` bytes, in a part of a JSON text.

    To be fast, the function looks only at every `least`-th byte or so, and searches the quotes around that byte. A
    string that contains none of these bytes is short. If a quote may be escaped (`\"`), all escaped characters are
    blanked first.
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
    """Yield the begin and end of each part of a JSON text that other steps or snapshots probably contain too.

    These parts are very long strings, long stretches of list items between these strings, and other long strings. For
    example, each step of a long conversation contains all earlier messages again.
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
    """Split a text into the given parts and the gaps between them, and yield each as (begin, end, is it a given part).

    For example, the part `[(3, 5)]` of a text that ends at 9 leads to `(0, 3, False), (3, 5, True), (5, 9, False)`.
    """
    for start, stop in parts:
        yield done, start, False
        yield start, stop, True
        done = stop
    yield done, end, False


def _cut_items(body: bytes, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the begin and end of each long stretch of list items that is stored apart from its JSON text.

    Whether the text is cut between two items depends only on the bytes that follow. So two lists with equal items are
    cut at the same items, and their equal stretches are stored once. The bytes before the first cut and after the last
    one belong to no stretch.
    """
    least = _STRETCH * LEAST_BYTES
    last: int | None = None
    while end - begin >= least and (found := _ITEM.search(body, begin, end)):
        begin = at = found.end() - 1
        is_first = found[0][:1] == b"["
        if is_first or not zlib.crc32(body[at : at + _FOLLOWING]) % _ONE_OF:
            if last is not None and _SECRET not in body[last:at]:
                yield last, at - 1  # the comma that stays between two stretches keeps their offsets different
            last, begin = at, at + least


def _is_whole_string(body: bytes, start: int) -> bool:
    """Return whether the quote before `start` begins a string of the JSON text that can be stored apart.

    The quote may instead be the end of a string. Then the bytes up to the next quote only stand between two strings,
    for example thousands of numbers, and the function returns False. It also returns False for encrypted strings, which
    are never stored apart.
    """
    is_inside = bool(body[start : start + min(LEAST_BYTES, MET_BYTES)].translate(None, _OUTSIDE_STRINGS))
    return is_inside and not body.endswith(_SEALED, 0, start)


def join(body: bytes, texts: Iterable[tuple[int, bytes]]) -> bytes:
    """Put long texts back into the JSON of a step or snapshot. This is the inverse of `cut`.

    The offsets must be in ascending order.

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
