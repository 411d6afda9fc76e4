"""The smallest values that fit a JSON Schema, for the placeholder model and for hints.

A schema can contain itself. Therefore each part of a schema has a height: the smallest number of references that any
value of the part passes through. A value has room for a few more references than it needs. Of the branches of a union,
the first that fits into this room is used. Lists and optional fields that do not fit are left out. For this reason each
value is finite, and small.

A type can demand more than its schema says. For example, `FutureDate` and `PastDate` have the same schema. The code
that validates the value makes the decision.
"""

from __future__ import annotations

import math
import re
import string
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from graphengine.schemas.walking import BRANCHES, part_at, references, resolve_reference
from graphengine.schemas.words import whats_wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.state.json_values import JsonObject, JsonValue

_OWN: Final = ("const", "default")
_ROOM: Final = 2
"""How many references optional parts have room for."""

_OF_FORMATS: Final = {
    "date-time": "{year}-01-01T00:00:00Z",
    "date": "{year}-01-01",
    "time": "00:00:{n:02}Z",
    "duration": "PT{n}S",
    "uuid": "00000000-0000-{version}000-8000-{n:012}",
    "uri": "https://placeholder.example/{n}",
    "email": "placeholder{n}@placeholder.example",
    "ipv6": "2001:db8::{n}",
    "ip": "192.0.2.{n}",
    "base64": "YW0{n}",
    "regex": "placeholder{n}",
    "zoneinfo": "UTC",
    "directory-path": ".",
}
"""A text for each format, by the beginning of the name of the format.

A different `n` makes a different text, as a set needs.
"""

_PART: Final = re.compile(
    r"\\.|\(\?[a-z-]+\)|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?(?::|P?<\w+>))?|\{\d*,?\d*\}|.", re.DOTALL
)
_REPEAT: Final = re.compile(r"[*+?]|\{(\d*)(?:(,)(\d*))?\}")
_CHARACTERS: Final = string.ascii_lowercase + string.ascii_uppercase + string.digits + string.punctuation + " "
_LONGEST: Final = 100
_MOST: Final = 100_000
_MOST_SHOWN: Final = 200


def example(schema: JsonObject) -> str | None:
    """Return an example that fits a schema, as a person would type it: plain text or JSON. None if none is found.

    Example:
        >>> example({"type": "array", "items": {"type": "integer", "examples": [3]}})
        '[3]'
    """
    for is_shown in (True, False):  # an example in the schema need not fit the schema
        try:
            value = Values(schema, "TEXT", is_shown=is_shown, most=_MOST_SHOWN).smallest(is_top=False)
        except (TypeError, AttributeError, KeyError, ValueError, RecursionError):
            continue  # the schema is invalid, as it may be in a database, or the values that fit it are long
        if not whats_wrong(schema, value):
            return value if isinstance(value, str) else to_json(value).decode()
    return None


class Values:
    """Generates example values for a JSON Schema.

    Args:
        schema: The schema, with its definitions.
        text: The text to use where any text fits.
        is_shown: Whether a person reads the values. If so, the examples and defaults of the schema come first, and
            other values come before null and False.
        most: How many parts a value may have. Of a text that has to be long, every 100 characters count as a part.

    Example:
        >>> Values({"type": "array", "items": {"type": "number", "minimum": 2}}, "text").smallest()
        [2]
    """

    def __init__(self, schema: JsonObject, text: str, *, is_shown: bool = False, most: int = _MOST) -> None:
        self._schema = schema
        self._text = text
        self._is_shown = is_shown
        self._most = self._left = most
        self._heights: dict[str, float] = {}
        named = {reference: part_at(schema, reference) for reference in references(schema, schema)}
        self._spend(len(named))
        for _ in named:  # each round finds the height of at least one more part
            heights = {reference: 1 + self._height(part) for reference, part in named.items()}
            if heights == self._heights:
                break
            self._heights = heights

    def smallest(self, *, is_top: bool = True) -> JsonValue:
        """Return a small value that fits the schema. By default, objects contain only their required properties.

        Args:
            is_top: Whether the value is at the top. An object at the top contains all its properties.

        Raises:
            ValueError: No value is known that fits the schema, or the value has more parts than allowed.
        """
        room = self._height(self._schema)
        if room == math.inf:
            raise ValueError("each value would have to contain another one of its kind, without end")
        return self._value(self._schema, max(room, _ROOM), 0, is_top=is_top)

    def _spend(self, parts: int = 1) -> None:
        self._left -= parts
        if self._left < 0:
            raise ValueError(f"the smallest value that fits has more than {self._most:,} parts")

    def _height(self, schema: object) -> float:
        """Return how many references must be followed to reach the smallest value that fits a schema.

        This shows which branch of a recursive schema ends. For example, it is infinite if every value contains another
        one.
        """
        if not isinstance(schema, dict):
            return 0
        if "$ref" in schema:
            return self._heights.get(schema["$ref"], math.inf)
        if branches := _list_branches(schema):
            return min(map(self._height, branches))
        first = schema.get("prefixItems", ())
        parts = [schema.get("properties", {}).get(name) for name in schema.get("required", ())]
        parts += [*first, schema.get("contentSchema")]
        parts += [schema.get("items")] if schema.get("minItems", 0) > len(first) else ()
        parts += [schema.get("additionalProperties")] if schema.get("minProperties") else ()
        return max(map(self._height, parts))

    def _value(self, schema: object, room: float, nth: int, *, is_top: bool = False) -> JsonValue:
        """Return an example value for a schema.

        `nth` selects a further example, to fill lists whose items must differ.
        """
        found: Any
        self._spend()
        if not isinstance(schema, dict):
            return self._text
        if "$ref" in schema:
            return self._value(resolve_reference(schema, self._schema), room - 1, nth, is_top=is_top)
        own = [schema[word] for word in _OWN if word in schema] + [*schema.get("examples", ())]
        if self._is_shown and own:
            return own[0]
        if listed := schema.get("enum", [schema[word] for word in ("const",) if word in schema]):
            found = listed[nth % len(listed)]
        elif branches := _list_branches(schema):
            found = self._of_branches(branches, room, nth)
        else:
            kind = schema.get("type")
            if kind == "object":
                found = dict(self._members(schema, room, nth, is_top=is_top))
            elif kind == "array":
                found = list(self._items(schema, room, nth))
            elif kind in {"integer", "number"}:
                found = _number_at_bound(schema, nth, is_whole=kind == "integer")
            else:
                simple = {"boolean": (nth % 2 == 1) is not self._is_shown, "null": None}
                found = simple[kind] if kind in simple else self._string(schema, room, nth)
        return found

    def _of_branches(self, branches: list[JsonObject], room: float, nth: int) -> JsonValue:
        """Return an example value for a schema with alternatives, such as those of `anyOf`.

        The first alternative that is not nested too deeply is used. Null is returned where an alternative allows it,
        unless a person will read the value.
        """
        if {"type": "null"} in branches and not nth and not self._is_shown:
            return None
        others = [branch for branch in branches if branch != {"type": "null"} and self._height(branch) <= room]
        return self._value((others or branches)[0], room, nth)

    def _members(self, schema: JsonObject, room: float, nth: int, *, is_top: bool) -> Iterator[tuple[str, JsonValue]]:
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        is_whole = is_top or (self._is_shown and not required)
        names = list(dict.fromkeys([*properties, *required]) if is_whole else required)
        for name in names:
            inner = properties.get(name, {})
            if name in required or self._height(inner) <= room:
                yield name, self._value(inner, room, nth)
        further = schema.get("propertyNames"), schema.get("additionalProperties")
        for pattern, inner in schema.get("patternProperties", {}).items():
            further = {"pattern": pattern}, inner
        for number in range(nth, nth + schema.get("minProperties", 0) - len(names)):
            self._spend()
            key, value = (None if each is None else self._value(each, room, number) for each in further)
            yield str(number if key is None else key), value

    def _items(self, schema: JsonObject, room: float, nth: int) -> Iterator[JsonValue]:
        first = schema.get("prefixItems", ())
        yield from (self._value(item, room, nth) for item in first)
        item = schema.get("items", {})
        wanted = min(1, schema.get("maxItems", 1)) if self._height(item) <= room else 0
        for number in range(max(schema.get("minItems", 0), wanted) - len(first)):
            yield self._value(item, room, nth + number if schema.get("uniqueItems") else nth)

    def _string(self, schema: JsonObject, room: float, nth: int) -> str:
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        self._spend(least // _LONGEST)
        if schema.get("contentMediaType") == "application/json":
            return to_json(self._value(schema.get("contentSchema", {}), room, nth)).decode()
        if pattern := schema.get("pattern"):
            texts = (
                _make_match(deque(_PART.findall(pattern)), more + nth, nth) for more in range(min(least, _LONGEST) + 1)
            )
            return next((text for text in texts if least <= len(text) <= most), self._text)
        kind = schema.get("format", "")
        if form := next((form for begin, form in _OF_FORMATS.items() if kind.startswith(begin)), ""):
            return form.format(n=nth, year=2000 + nth, version=kind.removeprefix("uuid") or "0")
        end = f" {nth}" if nth else ""
        return (self._text[: int(min(most, len(self._text) + len(end))) - len(end)] + end).ljust(least, ".")


def _list_branches(schema: JsonObject) -> list[JsonObject]:
    return [branch for word in BRANCHES for branch in schema.get(word, ())]


def _number_at_bound(schema: JsonObject, nth: int, *, is_whole: bool) -> float:
    """Return a number that fits a JSON Schema, as an example.

    The number is next to a bound of the schema, between two bounds, or near 0 if there are none. `nth` selects a
    further number.
    """
    step = schema.get("multipleOf", 1)
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    least = max((each for each in (low, above) if each is not None), default=None)
    most = min((each for each in (high, below) if each is not None), default=None)
    found = nth * step
    if least is not None:
        found = (math.ceil(least / step) + (math.ceil(least / step) * step == above) + nth) * step
    elif most is not None:
        found = (min(0, math.floor(most / step) - (math.floor(most / step) * step == below)) - nth) * step
    is_within = most is None or found < most or found == high
    if is_within or least is None or is_whole or "multipleOf" in schema:
        return found  # type: ignore[no-any-return]  # of a schema
    return least if least == most else least + (most - least) * (nth + 1) / (nth + 2)  # type: ignore[no-any-return]


def _make_match(parts: deque[str], more: int, nth: int) -> str:
    """Return an example text that matches a regular expression, using the first of its alternatives.

    Args:
        parts: The parts of the parsed expression. This call removes the parts up to the end of a group.
        more: How many more times than necessary a part is repeated, if it may be.
        nth: Which of the matching characters is used.
    """
    text, first = "", None
    while parts and (part := parts.popleft()) != ")":
        if part == "|":
            text, first = "", text if first is None else first
            continue
        piece = _make_match(parts, more, nth) if part[0] == "(" and part[-1] != ")" else _character(part, nth)
        times = 1
        if parts and (repeat := _REPEAT.fullmatch(parts[0])):
            parts.popleft()
            least = int(repeat[1] or 0) if repeat[0][0] == "{" else int(repeat[0] == "+")
            most = 1 if repeat[0] == "?" else int(repeat[3] or _LONGEST) if repeat[2] or not repeat[1] else least
            times = min(least + more, most, _MOST // max(len(piece), 1))
            if parts and parts[0] in "?+":  # a lazy or possessive repeat
                parts.popleft()
        text += piece * times
    return text if first is None else first


def _character(part: str, nth: int) -> str:
    """Return a character that matches one part of a regular expression, such as `[a-z]`.

    `nth` selects one of several matching characters. The result is "" if no character is known that matches.
    """
    try:
        fitting = [one for one in _CHARACTERS if re.fullmatch(part, one)]
    except re.error:
        return ""
    return fitting[nth % len(fitting)] if fitting else ""


__all__ = ["Values", "example"]
