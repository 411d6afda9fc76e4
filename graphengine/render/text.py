"""Make text of users safe to draw: replace invisible characters, and break the text into lines of a limited width.

Titles, labels and the texts of conditions come from users. This module cleans text for all formats. The writers escape
the special characters of their own format.
"""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn")
"""Categories of characters that are invisible, reorder their line, or cannot be encoded."""

_JOINERS = "\u200c\u200d"
"""Format characters that belong to words of some scripts and to composed emoji."""

_AMOUNT = r"\d[\d.]*\s(?:ms|s|min|h|USD|visits?|items?|steps?)\b"
_WORDS = re.compile(rf"(?:waited\s)?{_AMOUNT}(?:\s{_AMOUNT})?\S*|\S+")
"""A number and its unit stay on one line."""

_BREAK_AFTER = "_.,;:/|-)]}"


def clean(text: str) -> str:
    r"""Return a text with a visible mark in place of each invisible character, and `\n` as its only line break.

    >>> clean("a\tb\x00c\r\nd")
    'a b�c\nd'
    """
    if text.isprintable():  # The most frequent case: the text contains no invisible characters.
        return text
    lines = text.replace("\t", " ").splitlines()
    return "\n".join("".join(_mark_unseen(character) for character in line) for line in lines)


def one_line(text: str) -> str:
    r"""Put a text on one line: each sequence of blanks and line breaks becomes one blank.

    >>> one_line(" a \n b")
    'a b'
    """
    return " ".join(clean(text).split())


def width(text: str) -> int:
    r"""Return how many columns a text needs. Wide characters count twice, and combining characters do not count.

    >>> width("日本"), width("e\u0301")
    (4, 1)
    """
    return sum(_columns_of(character) for character in text)


def wrap(text: str, columns: int, lines: int) -> tuple[str, ...]:
    """Break a text into lines of at most `columns` columns, and clip the rest.

    Args:
        text: Any text, which is cleaned first.
        columns: The maximum number of columns of a line, at least 3.
        lines: The maximum number of lines. If the text is clipped, the last line ends with `…`.

    >>> wrap("one two three four", 9, 2)
    ('one two', 'three fo…')
    """
    broken = [line for part in clean(text).split("\n") for line in _break_line(part, columns)]
    if len(broken) <= lines:
        return tuple(broken)
    rest = " ".join(broken[lines - 1 :])
    return (*broken[: lines - 1], _head(rest, columns - 1).rstrip() + "…")


def _mark_unseen(character: str) -> str:
    unseen = unicodedata.category(character) in _UNSEEN and character not in _JOINERS
    return "\ufffd" if unseen else character


def _columns_of(character: str) -> int:
    if unicodedata.combining(character) or character in _JOINERS:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _break_line(text: str, columns: int) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in _WORDS.findall(text):
        together = f"{line} {word}" if line else word
        if width(together) <= columns:
            line = together
            continue
        if line:
            lines.append(line)
        *full, line = _pieces(word, columns)
        lines += full
    return [*lines, line] if line else lines


def _pieces(word: str, columns: int) -> list[str]:
    """Cut a word that is too long for a line into pieces that fit, if possible after punctuation."""
    pieces: list[str] = []
    while width(word) > columns:
        head = _head(word, columns)
        cut = max((head.rfind(mark) + 1 for mark in _BREAK_AFTER), default=0)
        cut = cut if cut > len(head) // 2 else len(head)
        pieces.append(word[:cut])
        word = word[cut:]
    return [*pieces, word]


def _head(text: str, columns: int) -> str:
    """Return the longest beginning of a text that fits into some columns.

    It includes the marks that combine with its last character.
    """
    taken = 0
    for index, character in enumerate(text):
        taken += _columns_of(character)
        if taken > columns and index:
            return text[:index]
    return text
