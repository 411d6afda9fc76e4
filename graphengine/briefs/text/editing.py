"""Editing one sentence: the changes that a careful editor can make to a quotation without changing its meaning.

Asides in brackets or between dashes are removed, and independent clauses become sentences of their own. If no rule is
safe, the sentence stays unchanged.
"""

import re

from graphengine.briefs.text.language import ENGLISH, current
from graphengine.briefs.text.quoting import AUXILIARIES
from graphengine.briefs.text.words import count_words

MIN_CLAUSE_WORDS = 6  # a shorter clause makes no sense on its own

_ASIDE = re.compile(r" ?\((?![^()]*\()[^()]*\)")
_DASHED = re.compile(
    r" (?:\u2014|\u2013|--) [^\u2014\u2013]{3,120}? (?:\u2014|\u2013|--) |\u2014[^\u2014]{3,120}?\u2014"
)
_LIMITING = re.compile(r"\b(?:not|no|never|unless|except|only|if|when|but)\b", re.IGNORECASE)
_SUBJECT = r"(?=(?:the|a|an|each|every|all|no|if|when|once|any|most|many|this|these|it|they|there|you) )"
_JOINTS = (
    (re.compile(r"; (?:and |or |but )?(?:however, |therefore, |thus, |hence, )?(?=\S)"), ""),
    (re.compile(rf", so {_SUBJECT}"), ""),
    (re.compile(rf", (?:but|yet) {_SUBJECT}"), "But "),
    # "flour, water, and the salt": only a verb soon after shows that a clause follows and not the end of a list
    (re.compile(rf", and {_SUBJECT}(?=(?:(?!that|which|who)\S+ ){{1,5}}(?:{AUXILIARIES}) )"), ""),
)
_CONDITION = re.compile(
    r"(?:if|when|once|unless|while|although|because|as|since|where|until|after|before)\b", re.IGNORECASE
)
_CODE = re.compile(r"`[^`]*`")
_SIGNS = '();,\u2014\u2013"-'
_HIDE = {ord(sign): 0xE000 + at for at, sign in enumerate(_SIGNS)}  # characters that no text has
_SHOW = {0xE000 + at: sign for at, sign in enumerate(_SIGNS)}


def shorten(sentence: str, limit_words: int) -> list[str]:
    """Split or shorten a sentence into pieces of at most `limit_words` words, as far as the rules can.

    Args:
        sentence: One sentence that ends in a full stop; of another language than English, it stays unchanged.
        limit_words: The maximum length in words.
    """
    if current() != ENGLISH:
        return [sentence]
    hidden = _CODE.sub(lambda code: code[0].translate(_HIDE), sentence)
    return [piece.translate(_SHOW) for piece in _pieces(hidden, limit_words)]


def _pieces(sentence: str, limit_words: int) -> list[str]:
    if count_words(sentence) <= limit_words:
        return [sentence]
    bare = _without_asides(sentence)
    if count_words(bare) <= limit_words:
        return [bare]
    halves = _cut(bare)
    if len(halves) == 1:
        return halves
    return [piece for half in halves for piece in _pieces(half, limit_words)]


def _without_asides(sentence: str) -> str:
    """Remove asides, except those that limit the statement."""

    def drop(aside: re.Match[str]) -> str:
        if _LIMITING.search(aside[0]):
            return aside[0]
        return " " if aside[0].endswith(" ") else "" if aside[0].endswith(")") else ", "

    bare = _DASHED.sub(drop, _ASIDE.sub(drop, sentence))
    return bare if count_words(bare) >= MIN_CLAUSE_WORDS else sentence


def _cut(sentence: str) -> list[str]:
    """Cut at the joint nearest to the middle that leaves two whole clauses."""
    middle = len(sentence) / 2
    found: list[tuple[float, int, int, str]] = []
    for joint, opener in _JOINTS:
        for match in joint.finditer(sentence):
            before, after = sentence[: match.start()], sentence[match.end() :]
            if _is_whole(before) and _is_whole(after) and not _CONDITION.match(before):
                found.append((abs(match.start() - middle), match.start(), match.end(), opener))
    if not found:
        return [sentence]
    _, end, start, opener = min(found)
    rest = sentence[start:]
    second = opener + rest if opener else rest[:1].upper() + rest[1:]
    return [sentence[:end].rstrip(",;: ") + ".", second]


def _is_whole(clause: str) -> bool:
    balanced = clause.count("(") == clause.count(")") and clause.count('"') % 2 == 0
    return balanced and count_words(clause) >= MIN_CLAUSE_WORDS
