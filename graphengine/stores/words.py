"""The words by which texts are found, in every store: in lower case and without accents.

This module and not the database splits texts into words, so that a search finds the same runs in every store, and that
no text is a syntax error in the search language of a database.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue

_SCRIPTS_WITHOUT_BLANKS: Final = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Thai, Lao, Japanese and Chinese: each character counts as a word."""
_WORD: Final = re.compile(rf"[{_SCRIPTS_WITHOUT_BLANKS}]|[^\W_{_SCRIPTS_WITHOUT_BLANKS}]+")
_ASCII_WORD: Final = re.compile(r"[a-z0-9]+")
_WORD_CHARACTERS: Final = 64
_TEXT_CHARACTERS: Final = 200_000  # PostgreSQL keeps at most 1 MiB of words for a row
INPUT_CHARACTERS: Final = 2_000
INPUT_WORDS: Final = 64
"""How many different words from the first `INPUT_CHARACTERS` of a run's input are searchable: each is an index row."""
SOUGHT_WORDS: Final = 64


def words_of(text: str) -> list[str]:
    """Split a text into the words by which a search finds it: lower case, without accents and punctuation.

    Example:
        >>> words_of('A CAFÉ: "green_tea" OR 茶道')
        ['a', 'cafe', 'green', 'tea', 'or', '茶', '道']
    """
    text = text[:_TEXT_CHARACTERS]
    if text.isascii():
        found = _ASCII_WORD.findall(text.lower())
    else:
        plain = unicodedata.normalize("NFKD", text).casefold()[:_TEXT_CHARACTERS]
        found = _WORD.findall("".join(each for each in plain if unicodedata.category(each) != "Mn"))
    return [word[:_WORD_CHARACTERS] for word in found]


def sought_words(text: str) -> list[str]:
    """Return the words that a user searches for, each only once.

    A run is found if each of these words is the beginning of a word of the run.
    """
    return list(dict.fromkeys(words_of(text)))[:SOUGHT_WORDS]


def has_all(sought: Iterable[str], texts: Iterable[str | None]) -> bool:
    """Return whether each searched word begins one of the words of these texts."""
    words = words_of("\n".join(filter(None, texts)))
    return all(any(word.startswith(each) for word in words) for each in sought)


def input_text(first: Step | None) -> str:
    """Return the words of a run's input, from the run's first step, by which a search finds the run."""
    return joined(op[-1] for op in first.update) if first is not None else ""


def joined(values: Iterable[JsonValue]) -> str:
    """Join the words of the texts and whole numbers in a run's input to one searchable text.

    The text contains each word once, and at most the first `INPUT_WORDS` different words.
    """
    found: dict[str, None] = {}
    left = INPUT_CHARACTERS
    for part in _list_leaves(values):
        found.update(dict.fromkeys(words_of(part[:left])))
        left -= len(part) + 1
        if left <= 0 or len(found) >= INPUT_WORDS:
            break
    return " ".join(islice(found, INPUT_WORDS))


def _list_leaves(values: Iterable[JsonValue]) -> Iterator[str]:
    for value in values:
        if type(value) is str:
            yield value
        elif type(value) is int:
            yield str(value)
        elif isinstance(value, dict):
            yield from _list_leaves(value.values())
        elif isinstance(value, (list, tuple)):
            yield from _list_leaves(value)
