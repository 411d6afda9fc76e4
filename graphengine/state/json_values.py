"""The types of recorded values, values and text as they can be recorded, and the limit on their depth."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any, Final, TypeAlias, TypeGuard, TypeVar, cast

import msgspec
from msgspec import Raw
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from graphengine.errors import InputError

T = TypeVar("T")
R = TypeVar("R")

DEEPEST: Final = 128
"""The deepest nesting of lists and objects in a value. The JSON parser reads to a depth of about 200, and a step or a
snapshot holds a value up to ten levels deep: every recorded value must stay readable."""

LONGEST_NAME: Final = 1000
"""The most bytes of a name. PostgreSQL indexes up to 2,704 bytes; a message is found by its topic and its key."""
WITHOUT_NUL: Final = f"give a text of at most {LONGEST_NAME:,} bytes, without NUL and lone surrogates"
"""The repair for a name that a store cannot carry."""
_SHOWN: Final = 100  # characters of it

_OPENING: Final = (b"[", b"{")
_items: Final = msgspec.json.Decoder(list[Raw]).decode
_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode

JsonValue: TypeAlias = object
"""A JSON value as Python objects. Narrow it before use."""

JsonObject: TypeAlias = Mapping[str, Any]
"""A JSON object whose shape an outside standard or a provider defines, such as a JSON Schema."""

Mark: TypeAlias = Any
"""A mark of a tracker. Its type depends on the kind of the tracker: a list, a count or a digest."""

Op: TypeAlias = Sequence[Any]
"""An operation on a field, as `["append", "history", item]`; see `graphengine.engine.steps`.

The types of its elements depend on its kind, the first element. It is a plain sequence, since every step is folded
through it and a class for each kind costs time."""


def parsed(body: bytes) -> Any:  # noqa: ANN401 - as `json.loads`
    """Parse JSON that is to be recorded.

    Raises:
        ValueError: It is invalid, or nested too deep to be read again from any place in a record.
    """
    check_depth(body)
    return from_json(body)


def check_depth(body: bytes | memoryview, levels: int = DEEPEST) -> None:
    """Check that JSON is not nested too deep to be read again from any place in a record.

    The brackets in it bound its depth. Where they are too many, each of its parts is checked.

    Raises:
        ValueError: It is nested deeper than this many levels, or invalid.
    """
    held = bytes(body)
    if held.count(b"[") + held.count(b"{") <= levels or held[:1] not in _OPENING:
        return
    if levels == 0:
        message = f"it is nested deeper than {DEEPEST} lists and objects"
        raise ValueError(message)
    try:
        parts = _items(held) if held[:1] == b"[" else _members(held).values()
    except msgspec.DecodeError:
        from_json(held)  # raises, and describes the place
        raise
    for part in parts:
        view = memoryview(part)
        if view.nbytes > 2 * (levels - 1):  # each level takes two bytes
            check_depth(view, levels - 1)


def as_record(value: object, what: str, most_bytes: int | None = None, *, marks: bool = False) -> JsonValue:
    """Return a value as JSON values.

    Args:
        value: The value.
        what: What it is, for errors.
        most_bytes: The maximum size.
        marks: Whether it is read by a type, so that it has marks; see `graphengine.state.marks`.

    Raises:
        InputError: JSON cannot represent it, or it is too large.
    """
    try:
        body = in_utf8(partial(to_json, inf_nan_mode="constants"), value)
        if marks:
            from graphengine.state.marks import marked  # noqa: PLC0415 - pydantic, which commands over records do without

            body = marked(value, body)
        if most_bytes is not None and len(body) > most_bytes:
            text = f"{what} takes {len(body):,} bytes, {most_bytes:,} are allowed"
            repair = "send the name of a file that holds it, or raise Sizes(message_bytes=…)"
            raise InputError(text, repair=repair, code="too_large")
        check_depth(body)
        return from_json(body, allow_inf_nan=False)
    except (PydanticSerializationError, ValueError) as error:
        raise InputError(
            f"JSON cannot carry {what}: {error}", repair="give plain values or a pydantic model"
        ) from error


def is_name(given: object) -> bool:
    """Return whether every store can carry this as a name: a short text without NUL and lone surrogates."""
    return _is_plain(given) and len(given.encode()) <= LONGEST_NAME


def _is_plain(given: object) -> TypeGuard[str]:
    return isinstance(given, str) and "\0" not in given and (given.isascii() or utf8_text(given) == given)


def checked_name(given: str, what: str, where: str) -> str:
    """Return a text by which something is found in a store, such as a topic or a key.

    Raises:
        InputError: Not every store can carry it.
    """
    if not is_name(given):
        raise InputError(f"{clipped(given, _SHOWN)!r} cannot be {what}", where=where, repair=WITHOUT_NUL)
    return given


def checked_text(given: str, what: str, where: str) -> str:
    """Return a text of any length that is no name. Raises: InputError: Not every store can carry it."""
    if not _is_plain(given):
        raise InputError(
            f"{given!r} cannot be {what}", where=where, repair="give a text without NUL and lone surrogates"
        )
    return given


def clipped(text: str, most: int) -> str:
    """Return a text of at most this many characters; the end of a longer one becomes `…`.

    Example:
        >>> clipped("a long text", 7)
        'a long…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def utf8_text(text: str) -> str:
    r"""Return text that UTF-8 can encode: surrogate pairs are joined, lone surrogates become U+FFFD.

    Example:
        >>> utf8_text("a\ud800b") == "a\ufffdb"
        True
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def in_utf8(take: Callable[[T], R], value: T) -> R:
    """Return what a function makes of a value; if it raises, of the value with `utf8_text` for each text in it."""
    try:
        return take(value)
    except Exception:
        made = utf8_value(value)
        if made is value:
            raise
        return take(made)


def utf8_value(value: T) -> T:
    """Return a value with `utf8_text` for each text in it; the very object if UTF-8 can encode all of them."""
    try:
        return cast("T", _utf8_value(value))
    except RecursionError:  # it contains itself
        return value


def _utf8_value(value: Any) -> Any:  # noqa: ANN401 - any value
    if isinstance(value, str):
        return utf8_text(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        items = list(map(_utf8_value, value))
        if all(map(operator.is_, items, value)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        pairs = list(value.items())
        made = _utf8_value(pairs)
        return value if made is pairs else dict(made)
    if isinstance(value, BaseModel):
        held = {**vars(value), "__pydantic_extra__": value.__pydantic_extra__}
    else:
        fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        held = {each.name: getattr(value, each.name, None) for each in fields}
    made = _utf8_value(held)
    if made is held:
        return value
    new = copy(value)
    for name, part in made.items():
        object.__setattr__(new, name, part)
    return new
