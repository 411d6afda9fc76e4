"""What changed from one text to another, by words: the one diff of the terminal, the page, approvals and stories.

The page has the same function in `word_diff.ts`; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_ISLAND: Final = 3
"""Fewer equal words between two changes are a part of one change, so that a changed sentence is read in one piece."""
_COMPARED: Final = 4_000_000
"""The most pairs of words that are compared: a second's work."""


@dataclass(frozen=True, slots=True)
class WordRun:
    """Words that follow each other: equal in both texts, or what the second has in place of what the first has.

    Attributes:
        is_equal: Whether they are the same in both.
        before: The words of the first text; one of the two can be empty.
        after: Those of the second.
    """

    is_equal: bool
    before: Sequence[str]
    after: Sequence[str]


@dataclass(frozen=True, slots=True)
class WordDiff:
    """Two texts compared by words.

    Attributes:
        runs: Both texts from their beginning to their end.
        likeness: The share of words that are equal, from 0 to 1.
    """

    runs: Sequence[WordRun]
    likeness: float

    @property
    def is_rewritten(self) -> bool:
        """Whether less than half is alike: the new text is then easier to read by itself."""
        return self.likeness < 0.5  # noqa: PLR2004 - half


def word_diff(before: str, after: str) -> WordDiff:
    """Compare two texts by words. Of texts with too many words, only what they begin and end with is compared.

    >>> [(run.before, run.after) for run in word_diff("a red lamp stands here", "a blue and lamp stands here").runs]
    [(['a'], ['a']), (['red'], ['blue', 'and']), (['lamp', 'stands', 'here'], ['lamp', 'stands', 'here'])]
    """
    one, other = before.split(), after.split()
    shorter = min(len(one), len(other))
    head = next((at for at in range(shorter) if one[at] != other[at]), shorter)
    most = shorter - head
    tail = next((at for at in range(most) if one[-1 - at] != other[-1 - at]), most)
    inner = one[head : len(one) - tail], other[head : len(other) - tail]
    equal = [(0, 0, head)]
    if len(inner[0]) * len(inner[1]) <= _COMPARED:
        blocks = SequenceMatcher(None, *inner, autojunk=False).get_matching_blocks()
        equal += [(head + block.a, head + block.b, block.size) for block in blocks]
    equal.append((len(one) - tail, len(other) - tail, tail))
    runs, same, at, there = list[WordRun](), 0, 0, 0
    for begin, other_begin, size in equal:
        ends = (begin + size, other_begin + size) == (len(one), len(other))
        if size < _ISLAND and not ends and (begin, other_begin) != (0, 0):
            continue
        if begin > at or other_begin > there:
            runs.append(WordRun(is_equal=False, before=one[at:begin], after=other[there:other_begin]))
        at, there = begin + size, other_begin + size
        if size:
            runs.append(WordRun(is_equal=True, before=one[begin:at], after=other[other_begin:there]))
            same += size
    return WordDiff(runs, 2 * same / (len(one) + len(other)) if one or other else 1.0)


__all__ = ["WordDiff", "WordRun", "word_diff"]
