"""The fields of an input and a result by which runs are found: which a graph declares, and their values as texts.

A value is kept as a text, so that every database compares it in the same way: `true`, `null`, `7` for 7 and 7.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from graphengine.state.json_values import utf8_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.state.json_values import JsonValue
    from graphengine.state.path import Path

MOST_FIELDS: Final = 8
"""How many fields a graph can declare: a database has a row in two indexes for each of them and each run."""
VALUE_CHARACTERS: Final = 200
"""How many of its first characters are kept of a value: PostgreSQL's indexes take up to 2,700 bytes.

A longer value is found by these and a digest of the whole value."""
_DIGEST: Final = 32
_NAME_CHARACTERS: Final = 300  # those of a field in a file: an index has them too
_MOST_KEPT: Final = 8 * MOST_FIELDS  # versions of a graph can declare different fields, and filling adds them
_PLAIN: Final = 100  # numbers with more digits have an exponent
_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_NUMBER: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]*|(?=\.[0-9]))(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class SearchedField:
    """A field by which runs can be searched, as a graph declares it with `search=`.

    Attributes:
        name: The name of the field in searches, such as `input.country`.
        path: The place of its value in the state. An input is read when the run begins, an output when the run
            finishes.
        is_decimal: Whether the type of the value is `Decimal`, which is recorded as a text.
    """

    name: str
    path: Path
    is_decimal: bool = False

    @property
    def is_input(self) -> bool:
        """Whether the field belongs to the run's input, so that it can be searched from the beginning."""
        return is_input(self.name)


def is_input(name: str) -> bool:
    """Return whether a search field belongs to a run's input, so that it is known before the run finishes."""
    return name.startswith("input")


def are_fields(given: Mapping[str, str]) -> bool:
    """Return whether a mapping read from a file has the form of a run's search fields: texts by the names of fields.

    The number of fields, and the lengths of names and texts, must be within the limits.
    """
    return len(given) <= _MOST_KEPT and all(
        name.startswith(("input.", "output"))
        and name.isprintable()
        and len(name) <= _NAME_CHARACTERS
        and "\0" not in text
        and len(text) <= VALUE_CHARACTERS + 1 + _DIGEST
        for name, text in given.items()
    )


def field_text(value: JsonValue, *, is_decimal: bool = False) -> str:
    """Return the text by which a run is found when its field has this value.

    Args:
        value: The value as it is recorded.
        is_decimal: Whether the value is a number that is recorded as a text.

    Example:
        >>> [field_text(each) for each in ("CH", 7.0, 0.5, True, None)]
        ['CH', '7', '0.5', 'true', 'null']
    """
    return _kept_text(whole_text(value, is_decimal=is_decimal))


def whole_text(value: JsonValue | Decimal, *, is_decimal: bool = False) -> str:
    """Return the text of the value of a search field, without shortening it.

    Args:
        value: The value as it is recorded.
        is_decimal: Whether the value is a number that is recorded as a text.
    """
    if is_decimal and isinstance(value, str) and (number := _number(value)) is not None:
        value = number
    if value is None or isinstance(value, (dict, list)):  # an earlier version of the graph had another type there
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return utf8_text(value).replace("\0", "")
    exact = Decimal(value if isinstance(value, (int, Decimal)) else str(value))
    if exact.is_finite():
        exact = exact.normalize(_EXACT)
    return "0" if not exact else format(exact, "f") if abs(exact.adjusted()) < _PLAIN else str(exact)


def texts_meant(typed: str) -> list[str]:
    """Return the stored texts that a search term can stand for: `7.0` is both a text and the number 7."""
    return [_kept_text(each) for each in _texts_typed(typed)]


def compares(text: str, sign: str, typed: str, *, is_whole: bool = False) -> bool:
    """Return whether a run's field satisfies a search such as `input.total>=100`.

    The two sides are compared as numbers if both are numbers, else as texts.

    Args:
        text: The text of the field.
        sign: One of `=`, `!=`, `<`, `<=`, `>` and `>=`.
        typed: The value in the search.
        is_whole: Whether the text is a `whole_text`, and not a `field_text`.
    """
    is_equal = text in (_texts_typed(typed) if is_whole else texts_meant(typed))
    if sign in ("=", "!="):
        return is_equal is (sign == "=")
    number, other = _number(text), _number(typed)
    if number is not None and other is not None:
        is_equal, is_less = number == other, number < other
    elif number is None and other is None and text != "null":
        most = None if is_whole else VALUE_CHARACTERS
        left, right = text[:most], whole_text(typed)[:most]
        if left == right and not is_equal:  # only their digests differ
            return False
        is_less = left < right
    else:
        return False
    return sign.endswith("=") if is_equal else is_less is sign.startswith("<")


def _texts_typed(typed: str) -> list[str]:
    number = _number(typed)
    return [*dict.fromkeys(map(whole_text, (typed,) if number is None else (typed, number)))]


def _kept_text(text: str) -> str:
    """Return a text as it is stored for searches. A long text is cut in such a way that it equals no other text."""
    if len(text) <= VALUE_CHARACTERS:
        return text
    return f"{text[:VALUE_CHARACTERS]}…{sha256(text.encode()).hexdigest()[:_DIGEST]}"


def _number(text: str) -> Decimal | None:
    """Parse a text as a number; None if it is not a number. `007` counts as a text."""
    try:
        return Decimal(text) if _NUMBER.fullmatch(text) is not None else None
    except ArithmeticError:  # its exponent is too large
        return None
