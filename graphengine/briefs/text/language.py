"""Language: which one a text is in, and what the rules have to know of it.

The stop words of stopwordsiso decide: the language with the most of them in a text is its language, and English if
there is no difference. Known are the languages with a Snowball stemmer. English has a list of its own, because the one
of stopwordsiso contains nouns ("system", "face").
"""

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from graphengine.errors import GraphEngineError, install_command

P = ParamSpec("P")
T = TypeVar("T")
ENGLISH: Final = "en"
STEMMERS: Final = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hu": "hungarian",
    "hy": "armenian", "it": "italian", "lt": "lithuanian", "nl": "dutch", "no": "norwegian", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sv": "swedish", "tr": "turkish",
}  # fmt: skip
SAMPLE_WORDS: Final = 2_000  # of a text, which decide on its language
_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_CURRENT: Final = ContextVar("language", default=ENGLISH)


def current() -> str:
    """Return the language in which words are compared now, as a code of two letters."""
    return _CURRENT.get()


@contextmanager
def language_of(text: str) -> Iterator[str]:
    """Compare words in the language of a text within a `with` block."""
    code = detect(text)
    token = _CURRENT.set(code)
    try:
        yield code
    finally:
        _CURRENT.reset(token)


def in_language_of(argument: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Have a function compare words in the language of one of its arguments.

    Args:
        argument: Its name: a text, or anything that contains texts.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            given = signature.bind(*args, **kwargs).arguments.get(argument, "")
            with language_of(" ".join(_texts(given))):
                return function(*args, **kwargs)

        return call

    return decorate


def _texts(value: object) -> Iterator[str]:
    """Yield the texts of sources, findings, or of what contains them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(value.values())
    elif callable(facts := getattr(value, "all_facts", None)):
        yield from _texts(facts())
    elif (text := getattr(value, "text", None)) is not None:
        yield from _texts(text)
    elif isinstance(value, Iterable):
        for each in value:
            yield from _texts(each)


@functools.lru_cache(maxsize=4096)
def detect(text: str) -> str:
    """Return the language of a text; English if it has no stop word of any language.

    >>> detect("Der Belag wird erneuert."), detect("The surface is renewed."), detect("Bremsen")
    ('de', 'en', 'en')
    """
    words = [found[0].casefold().replace("\u2019", "'") for found in _WORD.finditer(text)][:SAMPLE_WORDS]
    if not words:
        return ENGLISH
    counts = {code: sum(word in stop_words(code) for word in words) for code in STEMMERS}
    return max(STEMMERS, key=lambda code: (counts[code], code == ENGLISH))


@functools.cache
def stop_words(code: str) -> frozenset[str]:
    """Return the words of a language that name no subject."""
    if code == ENGLISH:
        return frozenset(Path(__file__).with_name("stop_words.txt").read_text("utf-8").split())
    return frozenset(library("stopwordsiso").stopwords(code))


def library(name: str) -> Any:  # noqa: ANN401 - its stubs are missing or incomplete
    """Import a library of the bundled workflows when it is first used.

    Raises:
        GraphEngineError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        message = f"{error}; the bundled workflows need it"
        raise GraphEngineError(message, repair=install_command("workflows")) from error
