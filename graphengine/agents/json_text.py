"""The JSON in an answer's text: strict if the text is JSON, tolerant if it nearly is, never a guess.

Models without native JSON output put JSON into code fences or between sentences, leave trailing commas, or use the
wrong quotes. The json-repair library reads all that, and more: it turns `{"approved": true but no}` into
`{"approved": true}`. So its result counts only if it has exactly the words and numbers of the text, in order. A text
that is cut off, or that has several values, is refused before any repair.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

NOTHING: Final = object()
"""The result for a text that is not JSON."""

_MOST_CHARACTERS: Final = 100_000  # of text that is nearly JSON; a repair takes up to 75 us per character
_MARK: Final = re.compile(r"""[{}\[\]"'\\]""")
_ENDS_TEXT: Final = re.compile(r"\s*+(?:[,:}\]]|\Z)")
_STARTS_TEXT: Final = ("{", "[", ",", ":")
_MOST_BLANKS: Final = 100  # between a punctuator of JSON and the text after it
_QUOTE: Final = {quote: re.compile(rf"\\.|{quote}", re.DOTALL) for quote in "\"'"}
_CLOSES: Final = {"{": "}", "[": "]"}
_THOUGHTS: Final = re.compile(r"\s*<think>.*?</think>", re.DOTALL)
_FENCED: Final = re.compile(r"(```|~~~)[ \t]*\w*[ \t]*\n(.*)\n[ \t]*\1", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_TOKEN: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[^\W\d_]+|[^\s\"'“”\u2018\u2019{}\[\],:\\]")
_WORDS: Final = {"true": "true", "false": "false", "null": "null", "none": "null"}
_SWALLOWED: Final = re.compile(r"[\"']\s*+[:+]")
_QUOTES: Final = re.compile(r"[\"'“”]")
_EMPTY: Final = {"text": re.compile(r"\"\"|''|“”"), "list": re.compile(r"\[\s*+\]"), "dict": re.compile(r"\{\s*+\}")}


class Unreadable(ValueError):
    """A text has no JSON that can be read without guessing; the message states why, for the model."""


def strict(text: str) -> object:
    """Parse a text as JSON. Return `NOTHING` if it is not JSON.

    Raises:
        Unreadable: An object in it has a duplicate key.
    """
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except Unreadable:
        raise
    except (ValueError, RecursionError):
        return NOTHING


def unfenced(text: str) -> str:
    """Return a text without the thinking that some models write before it, and without the fence around all of it."""
    text = without_thoughts(text).strip()
    found = _FENCED.fullmatch(text)
    return found.group(2).strip() if found and found.group(1) not in found.group(2) else text


def without_thoughts(text: str) -> str:
    """Return a text without the `<think>…</think>` at its start."""
    found = _THOUGHTS.match(text)
    return text[found.end() :] if found else text


def tolerant(text: str) -> object:
    """Parse the one object or list in a text, among fences and prose, repaired if only its punctuation is wrong.

    Raises:
        Unreadable: There is none, there are several, it is cut off, or a repair would be a guess.
    """
    text = without_thoughts(text)
    if len(text) > _MOST_CHARACTERS:
        raise Unreadable("it is not JSON, and too long to look for JSON in it")
    pieces = _pieces(text)
    values_only = [piece for piece in pieces if ":" in piece] or pieces
    if not values_only:
        raise Unreadable("there is no JSON in it")
    values = [_read(piece) for piece in values_only]
    if any(value != values[0] for value in values[1:]):
        raise Unreadable(f"there are {len(values)} JSON values in it, where one is wanted")
    return values[0]


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object from its pairs.

    Raises:
        Unreadable: It has a duplicate key, so either value may be meant.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Unreadable(f"an object in it has the key {twice!r} twice")
    return made


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is not a number in JSON")


def _pieces(text: str) -> list[str]:
    """Return the stretches of a text from an opening bracket to its closing one.

    Raises:
        Unreadable: A bracket is not closed, or is closed by the wrong one.
    """
    pieces: list[str] = []
    open_: list[str] = []
    start = position = 0
    while found := _MARK.search(text, position):
        mark, position = found.group(), found.end()
        if mark in _CLOSES:
            start = start if open_ else found.start()
            open_.append(_CLOSES[mark])
        elif not open_:
            continue
        elif mark in "}]":
            if open_.pop() != mark:
                raise Unreadable(f"its JSON has a {mark} where another bracket is to be closed")
            if not open_:
                pieces.append(text[start:position])
        elif mark == '"' or (mark == "'" and _starts_text(text, found.start())):
            position = _end_of_text(text, position, mark)
    if open_:
        raise Unreadable("its JSON is not closed: it ends in the middle")
    return pieces


def _starts_text(text: str, position: int) -> bool:
    """Return whether a quote here can open a text, and is not an apostrophe."""
    return text[max(0, position - _MOST_BLANKS) : position].rstrip()[-1:] in _STARTS_TEXT


def _end_of_text(text: str, position: int, quote: str) -> int:
    """Return the end of the quoted text that began before this position: a quote followed by a punctuator of JSON."""
    while found := _QUOTE[quote].search(text, position):
        position = found.end()
        if found.group() == quote and _ENDS_TEXT.match(text, position):
            return position
    return len(text)


def _read(piece: str) -> object:
    value = strict(piece)
    if value is not NOTHING:
        return value
    import json_repair  # noqa: PLC0415 - only answers that are not JSON need it

    try:
        value = json_repair.loads(piece, skip_json_loads=True, strict=True)
        faithful = isinstance(value, (dict, list)) and _is_all_of(value, piece)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError) as error:
        raise Unreadable("its JSON has mistakes that cannot be repaired without guessing") from error
    if not faithful:
        raise Unreadable("its JSON has mistakes that cannot be repaired without guessing")
    return value


def _is_all_of(value: object, piece: str) -> bool:
    """Return whether a value has exactly the words and numbers of a text, in order."""
    if _tokens(json.dumps(value, ensure_ascii=False, allow_nan=False)) != _tokens(piece):
        return False
    empty = dict.fromkeys(_EMPTY, 0)
    return _is_plain(value, empty) and all(count <= len(_EMPTY[kind].findall(piece)) for kind, count in empty.items())


def _tokens(text: str) -> list[str]:
    text = _ESCAPE.sub(lambda m: chr(int(m.group(1), 16)) if m.group(1) else _ESCAPED.get(m.group(2), m.group(2)), text)
    return [_token(token) for token in _TOKEN.findall(text)]


def _token(token: str) -> str:
    """Return a word or number in the form for comparison: 1.5 for 1.50, true for True."""
    if token[-1].isdecimal() and not token.lstrip("-").isdecimal():
        return repr(float(token))
    return _WORDS.get(token.casefold(), token)


def _is_plain(value: object, empty: dict[str, int]) -> bool:
    """Return whether no text of a value contains a key, and no key a quote. Count empty values in `empty`."""
    if isinstance(value, str):
        empty["text"] += not value
        return _SWALLOWED.search(value) is None
    if isinstance(value, Mapping):
        empty["dict"] += not value
        if any(_QUOTES.search(key) for key in value):
            return False  # a quote is missing before or after the key
        return all(_is_plain(item, empty) for item in value.values())
    if isinstance(value, list):
        empty["list"] += not value
        return all(_is_plain(item, empty) for item in value)
    return True


__all__ = ["NOTHING", "Unreadable", "strict", "tolerant", "unfenced", "without_thoughts"]
