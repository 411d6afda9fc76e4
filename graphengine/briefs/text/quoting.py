"""Quoting: whether a sentence makes sense in a text other than its own.

`stands_alone` judges like an editor who lifts sentences out of their context: no questions, no fragments, no labels,
nothing that starts with "This" or points to "the table below". `without_opener` removes an opening that only links the
sentence to the previous one.
"""

import re

from graphengine.briefs.text.words import count_words, words

MIN_WORDS = 4  # shorter ones are more often labels and captions than statements
SHORT_WORDS = 6  # a shorter one needs an auxiliary verb: "The file size in bytes." is not a statement
POINTING_WORDS = 9  # a shorter one that ends in "it" has no room to say what "it" is
MIN_ENTRY_WORDS = 3  # of a list entry, one less if it has a figure; shorter ones are names
SHORTEST_WHOLE, LONGEST_WHOLE = 3, 30  # words of a list entry with what introduces it; cut later, it would lose that
MAX_WORDS = 60  # longer ones are usually lists that run together
AUXILIARIES = "is|are|was|were|has|have|had|can|cannot|may|must|should|will|would|does|do|did"
PROSE_SHARE = 0.85  # of letters and blanks, without code; less is a formula or a row of options
SHOUTED_SHARE = 0.34  # of words in capitals: more is a warning notice or a heading


def _opening(*phrases: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{'|'.join(phrases)})\b", re.IGNORECASE)


_POINTING = _opening(
    r"it|they|he|she|these|those|them|its|their|his|her|such|one|another|others?|some",
    r"(?:both|neither|either)(?: (?:of|is|are|was|were|has|have|had|can|cannot|may|must|will|do|does|did))?(?![ ]\w)",
    r"(?:both|neither|either) (?:of|is|are|was|were|has|have|had|can|cannot|may|must|will|do|does|did)",
    r"the latter|the former|the same|the above|the following|here|there|then|so|and|but|or|nor|yet|because",
    r"although|though|similarly|again|still|instead|otherwise|same|that|which|who|for example|for instance",
    r"e\. ?g\.|i\. ?e\.|maybe|please|see|note|what's|in (?:this|that|these|such|other words)|as such",
    r"as above|to do (?:this|so|that)|this way|if (?:so|not)|doing (?:so|this)",
    r"(?:for|at|on|by|with|after) this|after that",
    r"this(?! (?:document|guide|page|project|software|library|package|module|manual|licen[cs]e|tool|text)\b)",
    r"(?:the|an?) (?:first|second|third|other|rest|last) (?:is|was|are|one)",
)
_LABEL = re.compile(r"`[^`]+`\s*(?:[-\u2013\u2014:({]|$)")
_ELSEWHERE = re.compile(
    r"\b(?:(?:below|above)(?=\W*$|[,.;:)])|(?:see|as|shown|described|listed|given|mentioned) (?:below|above)|"
    r"the (?:above|below)|[a-z]+s? (?:below|above) (?:shows?|lists?|is|are|has|have|gives?|describes?)|"
    r"the following|as follows|this (?:section|chapter|example)|https?://|www\.|click here|"
    r"(?:figure|table|section|chapter|example) \d|do(?:ing)? so\b)|\b(?:here|both|either|neither)\W*$",
    re.IGNORECASE,
)
_POINTS_BACK = re.compile(r"\b(?:it|them|this|that|these|those)\W*$", re.IGNORECASE)
_AUXILIARY = re.compile(rf"\b(?:{AUXILIARIES})\b", re.IGNORECASE)
_OPENER = re.compile(
    r"^(?:however|therefore|thus|hence|moreover|furthermore|additionally|in addition|consequently|"
    r"as a result|finally|nevertheless|nonetheless|"
    r"meanwhile|accordingly|besides|likewise|also|first|second|third|next|now|"
    r"secondly|thirdly|lastly|on the other hand|in contrast|by contrast|conversely), ",
    re.IGNORECASE,
)
_INNER_LINK = re.compile(r"(?<!and)(?<!,) (?:therefore|consequently) (?=[a-z])")
_CODE = re.compile(r"`[^`]*`")


def stands_alone(sentence: str, *, closed: bool = True) -> bool:
    """Return whether a sentence is a statement that a reader understands without its context.

    Args:
        sentence: One sentence without markup other than backticks.
        closed: Whether it must end like a sentence; entries of a list often do not.
    """
    return (
        _has_good_length(sentence)
        and _starts_well(sentence)
        and _ends_well(sentence, closed=closed)
        and not _ELSEWHERE.search(sentence)
        and _is_balanced(sentence)
        and _reads_as_prose(sentence)
    )


def is_whole_entry(whole: str, entry: str, *, introduced: bool) -> bool:
    """Return whether a list entry that is not a sentence makes a statement with the line above it.

    Args:
        whole: The entry after the line or heading that introduces it.
        entry: The entry alone.
        introduced: Whether a line introduces its list, so that a name alone says something.
    """
    least = 1 if introduced else MIN_ENTRY_WORDS - any(character.isdigit() for character in entry)
    return (
        count_words(entry) >= least
        and SHORTEST_WHOLE <= count_words(whole) <= LONGEST_WHOLE
        and any(character.isalpha() for character in _CODE.sub("", entry))
        and entry.rstrip("\"'\u201d\u2019)")[-1:] not in ":?,\uff1f"
        and not _POINTING.match(entry)
        and not _ELSEWHERE.search(entry)
        and _is_balanced(entry)
    )


def has_auxiliary(sentence: str) -> bool:
    """Return whether an English auxiliary or modal verb occurs, the most reliable sign of a whole sentence."""
    return _AUXILIARY.search(sentence) is not None


def without_opener(sentence: str) -> str:
    """Return the sentence without "However," or "therefore", which only link it to the previous one."""
    rest = _INNER_LINK.sub(" ", _OPENER.sub("", sentence, count=1), count=1)
    return rest[:1].upper() + rest[1:]


def _has_good_length(sentence: str) -> bool:
    length = count_words(sentence)
    if length < SHORT_WORDS and sentence.isascii() and not has_auxiliary(sentence):
        return False
    return MIN_WORDS <= length <= MAX_WORDS


def _starts_well(sentence: str) -> bool:
    first = without_opener(sentence).lstrip("\"'\u201c\u2018(")
    if not first or sentence[0].islower() or first[0].islower() or first[0] in "$/-<@#|=*+[":
        return False
    return not (_POINTING.match(first) or _LABEL.match(first))


def _ends_well(sentence: str, *, closed: bool) -> bool:
    end = sentence.rstrip("\"'\u201d\u2019)")[-1:]
    if end in ":?,;\uff1f" or sentence.endswith((" and", " or")):
        return False
    if count_words(sentence) < POINTING_WORDS and _POINTS_BACK.search(sentence):
        return False
    return not closed or end in ".!\u3002\uff01\u2026"


def _is_balanced(sentence: str) -> bool:
    pairs = all(sentence.count(one) == sentence.count(other) for one, other in ("()", "[]"))
    return pairs and sentence.count('"') % 2 == 0


def _reads_as_prose(sentence: str) -> bool:
    prose = _CODE.sub("", sentence)
    letters = sum(character.isalpha() or character.isspace() for character in prose)
    tokens = words(sentence)
    shouted = sum(token.isupper() and len(token) > 1 for token in tokens)
    return letters > 0 and letters >= PROSE_SHARE * len(prose) and shouted <= SHOUTED_SHARE * len(tokens)
