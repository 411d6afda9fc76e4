"""The fields of an input and a result by which runs are found: which a graph declares, and their values as texts.

A value is kept as a text, so that every database compares it in the same way: `true`, `null`, `7` for 7 and 7.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.state.json_values import utf8_text

if TYPE_CHECKING:
    from graphengine.state.json_values import JsonValue
    from graphengine.state.path import Path

MOST_FIELDS: Final = 8
"""How many fields a graph can declare: a database has a row in two indexes for each of them and each run."""
VALUE_CHARACTERS: Final = 200
"""By how many of its first characters a value is found: PostgreSQL's indexes take up to 2,700 bytes."""
_LARGEST_EXACT: Final = 1e15


@dataclass(frozen=True, slots=True)
class SearchedField:
    """A field that a graph declares with `search=`.

    Attributes:
        name: Its name in searches, such as `input.country`.
        path: Where it is in the state as the run begins, or, of an output, as the run finishes.
    """

    name: str
    path: Path

    @property
    def is_input(self) -> bool:
        """Whether it is known when the run begins."""
        return is_input(self.name)


def is_input(name: str) -> bool:
    """Return whether a field is known when a run begins, and not only when the run finishes."""
    return name.startswith("input")


def field_text(value: JsonValue) -> str:
    """Return the text by which a value is found.

    Example:
        >>> [field_text(each) for each in ("CH", 7.0, 0.5, True, None)]
        ['CH', '7', '0.5', 'true', 'null']
    """
    if value is None or isinstance(value, (dict, list)):  # an earlier version of the graph had another type there
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_EXACT:
        return str(int(value))
    return utf8_text(str(value)).replace("\0", "")[:VALUE_CHARACTERS]


def texts_meant(typed: str) -> list[str]:
    """Return the texts of the values that are equal to what somebody types: `7.0` also means the number 7."""
    number = _number(typed)
    return list(dict.fromkeys([field_text(typed), *(() if number is None else (field_text(number),))]))


def compares(text: str | None, sign: str, typed: str) -> bool:
    """Return whether a field compares so with what somebody types: as numbers if both are, else as texts.

    Args:
        text: The text of the field; None if the field is not known, which compares with nothing.
        sign: One of `=`, `!=`, `<`, `<=`, `>` and `>=`.
        typed: The other side.
    """
    if text is None:
        return False
    if sign in ("=", "!="):
        return (text in texts_meant(typed)) is (sign == "=")
    numbers = _number(text), _number(typed)
    left: float | str
    right: float | str
    if numbers[0] is not None and numbers[1] is not None:
        left, right = numbers[0], numbers[1]
    elif numbers == (None, None) and text != "null":
        left, right = text, field_text(typed)
    else:
        return False
    if sign.startswith("<"):
        return left < right or (left == right and sign == "<=")  # type: ignore[operator]  # both are of one type
    return left > right or (left == right and sign == ">=")  # type: ignore[operator]


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None
