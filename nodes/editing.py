"""Editing one sentence: what a careful editor may do to a quotation without changing what it says.

Asides in brackets or between dashes go, and independent clauses become sentences of their own. Where no rule
is safe the sentence stays as it is.
"""

import re

from nodes.words import count_words

MIN_CLAUSE_WORDS = 6  # a shorter clause does not stand on its own

_ASIDE = re.compile(r" ?\((?![^()]*\()[^()]*\)")
_DASHED = re.compile(
    r" (?:\u2014|\u2013|--) [^\u2014\u2013]{3,120}? (?:\u2014|\u2013|--) |\u2014[^\u2014\u2013]{3,120}?\u2014"
)
_SUBJECT = r"(?=(?:the|a|an|each|every|all|no|if|when|once|any|most|many|this|these|it|they|there|you) )"
_JOINTS = (
    (re.compile(r"; (?:and |or |but )?(?:however, |therefore, |thus, |hence, )?(?=\S)"), ""),
    (re.compile(rf", (?:and|so) {_SUBJECT}"), ""),
    (re.compile(rf", (?:but|yet) {_SUBJECT}"), "But "),
    (re.compile(r" \u2014 (?=(?:the|a|an|it|they|this|these|there) )"), ""),
)
_CONDITION = re.compile(
    r"(?:if|when|once|unless|while|although|because|as|since|where|until|after|before)\b", re.IGNORECASE
)


def shorten(sentence: str, limit_words: int) -> list[str]:
    """Return the sentence in pieces of at most `limit_words` words, as far as the rules manage.

    Args:
        sentence: one sentence that ends in a full stop.
        limit_words: longest length wanted, in words.
    """
    if count_words(sentence) <= limit_words:
        return [sentence]
    bare = _without_asides(sentence)
    if count_words(bare) <= limit_words:
        return [bare]
    pieces = _cut(bare)
    if len(pieces) == 1:
        return pieces
    return [part for piece in pieces for part in shorten(piece, limit_words)]


def _without_asides(sentence: str) -> str:
    bare = _DASHED.sub(lambda aside: " " if aside[0].startswith(" ") else ", ", _ASIDE.sub("", sentence))
    return bare if count_words(bare) >= MIN_CLAUSE_WORDS else sentence


def _cut(sentence: str) -> list[str]:
    """Cut at the joint nearest to the middle that leaves two whole clauses."""
    middle = len(sentence) / 2
    found: list[tuple[float, int, int, str]] = []
    for joint, opener in _JOINTS:
        for match in joint.finditer(sentence):
            before, after = sentence[: match.start()], sentence[match.end() :]
            if _whole(before) and _whole(after) and not _CONDITION.match(before):
                found.append((abs(match.start() - middle), match.start(), match.end(), opener))
    if not found:
        return [sentence]
    _, end, start, opener = min(found)
    rest = sentence[start:]
    second = opener + rest if opener else rest[:1].upper() + rest[1:]
    return [sentence[:end].rstrip(",;: ") + ".", second]


def _whole(clause: str) -> bool:
    balanced = clause.count("(") == clause.count(")") and clause.count('"') % 2 == 0 and clause.count("`") % 2 == 0
    return balanced and count_words(clause) >= MIN_CLAUSE_WORDS
