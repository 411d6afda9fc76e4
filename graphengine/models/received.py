"""JSON from servers, read so that nothing in it can crash a run, and the numbers of tokens that it reports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic import JsonValue

MOST_TOKENS: Final = 2**53
"""The largest number that any JSON reader keeps exactly."""


class NoCount(ValueError):
    """A server reports something that is no number of tokens, so what the call used is unknown."""


def read_json(text: str | bytes) -> JsonValue:
    """Return a JSON text's value. An integer of more digits than Python reads becomes the text of its digits.

    Raises:
        json.JSONDecodeError: It is not JSON.
        UnicodeDecodeError: It is not UTF-8.
        RecursionError: It is nested too deeply.

    Example:
        >>> read_json('{"input_tokens": 12}')
        {'input_tokens': 12}
    """
    found: JsonValue = json.loads(text, parse_int=_integer)
    return found


def _integer(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:
        return digits


def is_count(value: JsonValue) -> bool:
    """Return whether a value is a number of tokens, or none is given."""
    return value is None or (type(value) is int and 0 <= value <= MOST_TOKENS)


def count(value: JsonValue, key: str) -> int:
    """Return the number of tokens at this key of an object, 0 if there is none.

    Raises:
        NoCount: There is something else.
    """
    found = value.get(key) if isinstance(value, dict) else None
    if found is None:
        return 0
    if type(found) is not int or not is_count(found):
        raise NoCount(key)
    return found


__all__ = ["NoCount", "count", "is_count", "read_json"]
