"""Words: what counts as one, which are meaningful, and how similar two texts are.

Texts are compared by stems ("replicas" and "replicated" meet in "replic"), with the Snowball stemmer and the stop words
of the current language; see `language_of`. Chinese, Japanese and Korean put no spaces between words, so there each
pair of neighbouring characters counts as a word. Nothing here depends on the order of a set: equal texts give equal
results in every process.
"""

import functools
import re
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, cast

from graphengine.briefs.text.language import ENGLISH, STEMMERS, current, detect, library, stop_words

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}](?:[^\W{_CJK}]|['\u2019.](?=[^\W_{_CJK}]))*")
_CJK_RUN = re.compile(rf"[{_CJK}]+")


def word_list(name: str) -> frozenset[str]:
    """Return the words of a list in this folder, separated by white space."""
    return frozenset(Path(__file__).with_name(name).read_text("utf-8").split())


def word_list_pairs(name: str) -> list[tuple[str, str]]:
    """Return the pairs of words of a list in this folder, one pair per line."""
    lines = Path(__file__).with_name(name).read_text("utf-8").splitlines()
    return [(one, other) for one, other in (line.split() for line in lines if line.strip())]


STOP_WORDS = stop_words(ENGLISH)

INSTRUCTION_WORDS = word_list("instruction_words.txt")


def words(text: str) -> list[str]:
    """Split a text into words, as written; an inner dot or apostrophe belongs to one ("v1.2", "don't")."""
    return [match[0] for match in _WORD.finditer(text)]


def count_words(text: str) -> int:
    """Count the words between blanks, and in Chinese, Japanese and Korean one for each two characters."""
    extra = sum(max(0, len(run) // 2 - 1) for run in _CJK_RUN.findall(text))
    return len(text.split()) + extra


def is_cjk(character: str) -> bool:
    """Return whether a character is of a script without blanks between words: Chinese, Japanese, Korean."""
    return _CJK_RUN.fullmatch(character) is not None


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...  # noqa: N802 - the library's name


@functools.cache
def _stemmer(language: str) -> _Stemmer:
    return cast("_Stemmer", library("snowballstemmer").stemmer(STEMMERS[language]))


_STEMMING = threading.Lock()  # the stemmer stores the current word in itself, and nodes run in threads


def stem(word: str) -> str:
    """Return the stem of one word in lower case; the possessive ending is dropped."""
    return _stem(word, current())


@functools.lru_cache(maxsize=50_000)
def _stem(word: str, language: str) -> str:
    plain = word.lower().replace("\u2019", "'").removesuffix("'s")
    with _STEMMING:
        return _stemmer(language).stemWord(plain)


def is_stop_word(word: str) -> bool:
    """Return whether a word names no subject: function words, bare numbers and single letters."""
    plain = word.lower().replace("\u2019", "'")
    if plain in stop_words(current()) or not any(character.isalpha() for character in plain):
        return True
    return len(plain) == 1 and not _CJK_RUN.fullmatch(plain)


def stem_sequence(text: str) -> list[str]:
    """Return the stems of all words of a text in order, with an empty stem for each stop word."""
    return list(_stem_sequence(text, current()))


@functools.lru_cache(maxsize=4096)  # reviews read the same sentences repeatedly
def _stem_sequence(text: str, language: str) -> tuple[str, ...]:  # noqa: ARG001 - part of the cache's key
    sequence: list[str] = []
    for word in words(text):
        if _CJK_RUN.fullmatch(word):
            sequence.extend(word[at : at + 2] for at in range(max(1, len(word) - 1)))
        else:
            sequence.append("" if is_stop_word(word) else stem(word))
    return tuple(sequence)


def stems(text: str) -> list[str]:
    """Return the stems of the meaningful words of a text, each once, in order of appearance."""
    return list(dict.fromkeys(one for one in stem_sequence(text) if one))


def subject_words(task: str) -> list[str]:
    """Return the words of a task that name its subject, as written, each stem once; "explain" does not."""
    found: dict[str, str] = {}
    own = stop_words(detect(task))  # a task can be in another language than its sources
    for word in words(task):
        if word.lower() not in INSTRUCTION_WORDS and word.lower() not in own:
            for one in stem_sequence(word):
                found.setdefault(one, one if _CJK_RUN.fullmatch(word) else word)
    return [word for one, word in found.items() if one]


def mentions(text_stems: Sequence[str], term: str) -> bool:
    """Return whether a term, of one or more words, occurs.

    Args:
        text_stems: The text, as returned by `stem_sequence`.
        term: The term in any inflection.
    """
    wanted = [one for one in stem_sequence(term) if one]
    if not wanted:
        return False
    if len(wanted) == 1:
        return wanted[0] in text_stems
    last = len(text_stems) - len(wanted)
    return any(list(text_stems[at : at + len(wanted)]) == wanted for at in range(last + 1))


def likeness(first: Iterable[str], second: Iterable[str]) -> float:
    """Return the share of common stems among all stems of two texts, 0 to 1 (Jaccard index)."""
    one, other = frozenset(first), frozenset(second)
    return len(one & other) / len(one | other) if one and other else 0.0


def share_within(part: Iterable[str], whole: Iterable[str]) -> float:
    """Return the share of the stems of `part` that `whole` also has, 0 to 1; for an empty part 0."""
    one, other = frozenset(part), frozenset(whole)
    return len(one & other) / len(one) if one else 0.0
