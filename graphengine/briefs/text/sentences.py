"""Sentences: where they end.

sentencex knows the abbreviations, initials and dates of each language. Here code is kept whole, a sentence that
continues in lower case is joined again, and so is a number that begins a list entry.
"""

import re

from graphengine.briefs.text.language import detect, library

_CODE = re.compile(r"`[^`]*`")
_CJK_END = re.compile(r"[\u3002\uff01\uff1f]+[\u300d\u300f\u201d\u2019\uff09]*")
_INITIAL = re.compile(r"(?:^|[\s(\"'])[A-Za-z]\.$")
_NUMBER = re.compile(r"^\d+[.)]$")


def split(text: str) -> list[tuple[int, str]]:
    """Split a paragraph into sentences.

    Args:
        text: One paragraph of running text; its line breaks count as blanks.

    Returns:
        The sentences in order, each with the offset of its first character.
    """
    masked = _CODE.sub(lambda code: "`" + "x" * (len(code[0]) - 2) + "`", text).replace("\n", " ")
    pieces: list[tuple[int, str]] = []
    start = 0
    for end in _ends(masked):
        if _is_boundary(masked[start:end], masked[end:]):
            pieces.append((start, text[start:end]))
            start = end
    pieces.append((start, text[start:]))
    return [(at + len(piece) - len(piece.lstrip()), piece.strip()) for at, piece in pieces if piece.strip()]


def _ends(text: str) -> list[int]:
    found = {each.end() for each in _CJK_END.finditer(text)}
    at = 0
    for sentence in library("sentencex").segment(detect(text), text):
        at += len(sentence)
        found.add(at)
    return sorted(found)


def _is_boundary(before: str, after: str) -> bool:
    if _CJK_END.search(before.strip()[-2:]):
        return True
    if not (before[-1:].isspace() or after[:1].isspace()):  # "asyncio.Lock"
        return False
    before, after = before.strip(), after.strip()
    if after.lstrip("\"'\u201c\u2018([*_")[:1].islower():
        return False
    return not _INITIAL.search(before) and not _NUMBER.match(before)
