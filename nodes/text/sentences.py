"""Sentences: where they end.

A full stop ends a sentence unless it belongs to an abbreviation ("e.g."), an initial, a number ("3.5", "v1.2") or code,
or the next word continues in lower case. Chinese and Japanese stops need no blank.
"""

import re

from nodes.text.words import word_list

_END = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)\]*_]*(?=\s)|[\u3002\uff01\uff1f]+[\u300d\u300f\u201d\u2019\uff09]*")
_CODE = re.compile(r"`[^`]*`")
_ABBREVIATIONS = word_list("abbreviations.txt")
_NUMBERED = frozenset(["no", "nos", "p", "ch", "art", "par", "ver", "v"])  # "no. 5", but "it said no. Five"


def split(text: str) -> list[tuple[int, str]]:
    """Split a paragraph into sentences.

    Args:
        text: One paragraph of running text; its line breaks count as blanks.

    Returns:
        The sentences in order, each with the offset of its first character.
    """
    masked = _CODE.sub(lambda code: "`" + "x" * (len(code[0]) - 2) + "`", text)
    pieces: list[tuple[int, str]] = []
    start = 0
    for end in _END.finditer(masked):
        if _is_boundary(masked, end):
            pieces.append((start, text[start : end.end()]))
            start = end.end()
    pieces.append((start, text[start:]))
    return [(at + len(piece) - len(piece.lstrip()), piece.strip()) for at, piece in pieces if piece.strip()]


def _is_boundary(text: str, end: re.Match[str]) -> bool:
    if end[0][0] in "\u3002\uff01\uff1f":
        return True
    rest = text[end.end() :].lstrip()
    following = rest.lstrip("\"'\u201c\u2018([*_")[:1]
    if following.islower():
        return False
    if end[0] != ".":
        return True
    before = text[: end.start()].split()[-1:] or [""]
    token = before[0].lstrip("(\"'[").lower()
    if token in _ABBREVIATIONS or (token in _NUMBERED and following.isdigit()):
        return False
    is_initial = len(token) == 1 and token.isalpha() and token.isascii()
    is_list_number = token.isdigit() and len(text[: end.start()].split()) == 1
    return not is_initial and not is_list_number
