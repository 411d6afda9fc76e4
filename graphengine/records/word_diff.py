r"""Compare two texts by words. The terminal, approvals and stories use this comparison.

The inspector's page uses the same function in TypeScript, in `word_diff.ts`, with the same classes of characters and
the same limits. A test compares the two functions.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

_Equal: TypeAlias = tuple[int, int, int]
"""A block of equal words: where it begins in the first and in the second text, and its number of words."""
_Chain: TypeAlias = "tuple[_Equal, _Chain] | None"
"""A linked list of blocks of equal words; the last block comes first."""

_ISLAND: Final = 3
"""The fewest equal words that separate two changes.

If fewer equal words stand between two changes, they become a part of one change, so that a reader sees a changed
sentence in one piece.
"""
_MOST_WORK: Final = 2_000_000
"""The most pairs of words that one search compares. A diff makes at most two searches, which take a few seconds."""
_INDENTATION: Final = r"\t\x0b\x0c\x1c-\x1f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
"""The blanks of Python and of JavaScript, except the two that end a line. The classes of the two languages differ."""
_UNSPACED: Final = (
    r"\u0e00-\u0eff\u1780-\u17ff\u19e0-\u19ff\u2e80-\u2fff\u3001-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf"
    r"\u4e00-\u9fff\uf900-\ufaff\uff01-\uff9f\U00020000-\U0003ffff"
)
"""Characters of Thai, Lao, Khmer, Chinese and Japanese, which are written without blanks: each counts as a word."""
_MARKS: Final = (
    r"\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u17b4-\u17d3\u17dd\u302a-\u302f"
    r"\u3099\u309a\ufe00-\ufe0f\uff9e\uff9f\U000e0100-\U000e01ef"
)
"""Vowel signs, tones and variants, which belong to the character before them."""
_WORD_PATTERN: Final = re.compile(
    rf"(?:(?:^|(?<=[\n\r]))[{_INDENTATION}]+)?(?:[{_UNSPACED}][{_MARKS}]*|[^\n\r{_INDENTATION}{_UNSPACED}]+)"
)


@dataclass(frozen=True, slots=True)
class WordRun:
    """Consecutive words of two compared texts: words that both texts contain, or words that were replaced.

    Each word includes the blanks after it, so that the words of all runs, joined, are the whole text. The first word of
    a line includes the indentation of the line.

    Attributes:
        is_equal: Whether the words are the same in both texts. The blanks after them can differ.
        before: The words of the first text; empty if words were only inserted.
        after: The words of the second text; empty if words were only removed.
    """

    is_equal: bool
    before: Sequence[str]
    after: Sequence[str]


@dataclass(frozen=True, slots=True)
class WordDiff:
    """The result of comparing two texts word by word.

    Attributes:
        runs: The words of both texts from the beginning to the end, as equal and replaced parts.
        likeness: The share of words that are equal, from 0 to 1. If it is 1, the texts differ at most in blanks after
            words and in line breaks.
        work: How many pairs of words were compared. Tests check that long texts do not take too long.
    """

    runs: Sequence[WordRun]
    likeness: float
    work: int

    @property
    def is_rewritten(self) -> bool:
        """Whether less than half of the words are equal. Then displays show the new text without marking changes."""
        return self.likeness < 0.5  # noqa: PLR2004 - half


def word_diff(before: str, after: str) -> WordDiff:
    """Compare two texts by words.

    The function first sets aside the words that both texts begin and end with. Of what remains, it searches for the
    longest phrase that both texts contain, then for the longest phrase before it and after it, and so on.

    This search can take long if long texts repeat themselves. After `_MOST_WORK` comparisons, the function therefore
    searches for the smallest number of words to insert and to remove instead. If that takes as many comparisons again,
    the rest of the texts is shown as one change.

    The indentation of a line is a part of the first word of the line. Other blanks and line breaks are not compared.

    >>> [(run.before, run.after) for run in word_diff("a red lamp stands here", "a blue and lamp stands here").runs]
    [(['a '], ['a ']), (['red '], ['blue ', 'and ']), (['lamp ', 'stands ', 'here'], ['lamp ', 'stands ', 'here'])]
    """
    (one, pieces), (other, other_pieces) = _split_words(before), _split_words(after)
    shorter = min(len(one), len(other))
    head = next((at for at in range(shorter) if one[at] != other[at]), shorter)
    most = shorter - head
    tail = next((at for at in range(most) if one[-1 - at] != other[-1 - at]), most)
    inner, work = _equal_phrases(one[head : len(one) - tail], other[head : len(other) - tail])
    equal = [(0, 0, head), *((head + at, head + there, size) for at, there, size in inner)]
    equal.append((len(one) - tail, len(other) - tail, tail))
    runs, same, at, there = list[WordRun](), 0, 0, 0
    for begin, other_begin, size in equal:
        ends = (begin + size, other_begin + size) == (len(one), len(other))
        if size < _ISLAND and not ends and (begin, other_begin) != (0, 0):
            continue
        if begin > at or other_begin > there:
            runs.append(WordRun(is_equal=False, before=pieces[at:begin], after=other_pieces[there:other_begin]))
        at, there = begin + size, other_begin + size
        if size:
            runs.append(WordRun(is_equal=True, before=pieces[begin:at], after=other_pieces[other_begin:there]))
            same += size
    return WordDiff(runs, 2 * same / (len(one) + len(other)), work)


def _split_words(text: str) -> tuple[list[str], list[str]]:
    """Split a text into words. Return the words, and the parts of the text that begin with them, including blanks.

    A text that consists only of blanks has one empty word. Then its blanks belong to a word like all others.
    """
    found = list(_WORD_PATTERN.finditer(text))
    begins = [0, *(each.start() for each in found[1:]), len(text)]
    return [each[0] for each in found] or [""], [text[at:end] for at, end in pairwise(begins)]


def _equal_phrases(one: list[str], other: list[str]) -> tuple[list[_Equal], int]:
    """Find the phrases that two texts have in common, in the order in which they occur in the texts.

    Return the phrases and the number of comparisons. A phrase has at least `_ISLAND` words. So only places where this
    many words are equal are compared further.
    """
    numbers = dict[tuple[str, ...], int]()
    starts, other_starts = (
        [numbers.setdefault(tuple(words[at : at + _ISLAND]), len(numbers)) for at in range(len(words) - _ISLAND + 1)]
        for words in (one, other)
    )
    found, work, left = list[_Equal](), 0, [(0, len(starts), 0, len(other_starts))]
    while left:
        begin, end, other_begin, other_end = left.pop()
        if begin >= end or other_begin >= other_end:
            continue
        places = defaultdict[int, list[int]](list)
        for there in range(other_begin, other_end):
            places[other_starts[there]].append(there)
        work += end - begin + other_end - other_begin
        best, sizes = (begin, other_begin, 0), dict[int, int]()
        for at in range(begin, end):
            now = dict[int, int]()
            for there in places.get(starts[at], ()):
                size = now[there] = sizes.get(there - 1, _ISLAND - 1) + 1
                if size > best[2]:
                    best = (at + _ISLAND - size, there + _ISLAND - size, size)
            sizes = now
            work += len(now)
            if work > _MOST_WORK:
                fewest, more = _fewest_edits(one, other)
                return fewest, work + more
        at, there, size = best
        if size:
            found.append(best)
            left.append((begin, at - _ISLAND + 1, other_begin, there - _ISLAND + 1))
            left.append((at + size, end, there + size, other_end))
    return sorted(found), work


def _fewest_edits(one: list[str], other: list[str]) -> tuple[list[_Equal], int]:
    """Find the equal words that remain if as few words as possible are inserted and removed.

    Returns the blocks of equal words and the number of comparisons. This is the algorithm of Myers: for each number of
    edits and each offset between the two texts, it follows the path that gets furthest. Its work grows with the number
    of edits, also if the texts repeat themselves. If there are too many edits, the path that got furthest until then is
    returned.
    """
    furthest: dict[int, tuple[int, _Chain]] = {1: (0, None)}
    work = 0
    for edits in range(len(one) + len(other) + 1):
        for offset in range(-edits, edits + 1, 2):
            if offset == -edits or (offset != edits and furthest[offset - 1][0] < furthest[offset + 1][0]):
                begin, chain = furthest[offset + 1]
            else:
                begin, chain = furthest[offset - 1]
                begin += 1
            at = begin
            while at < len(one) and at - offset < len(other) and one[at] == other[at - offset]:
                at += 1
            if at > begin:
                chain = (begin, begin - offset, at - begin), chain
            furthest[offset] = at, chain
            work += at - begin + 1
            if work > _MOST_WORK:
                best = max(furthest, key=lambda shift: 2 * furthest[shift][0] - shift)
                chain = furthest[best][1]
            elif at < len(one) or at - offset < len(other):
                continue
            found = list[_Equal]()
            while chain is not None:
                found.append(chain[0])
                chain = chain[1]
            return found[::-1], work
    raise AssertionError


__all__ = ["WordDiff", "WordRun", "word_diff"]
