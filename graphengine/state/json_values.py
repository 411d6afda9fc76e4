"""The types of recorded values, names and texts that can be recorded, and the limit on the depth of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeGuard

import msgspec
from msgspec import Raw
from pydantic_core import from_json

from graphengine.errors import InputError

DEEPEST: Final = 128
"""The deepest nesting of lists and objects in a value.

The JSON parser reads to a depth of about 200, and a step or a snapshot contains a value up to ten levels deep. Every
recorded value must stay readable.
"""

LONGEST_NAME: Final = 1000
"""The maximum number of bytes of a name.

PostgreSQL indexes up to 2,704 bytes, and a message is found by its topic and its key together.
"""
WITHOUT_NUL: Final = f"give a text of at most {LONGEST_NAME:,} bytes, without NUL and lone surrogates"
_SHOWN: Final = 100  # characters of a name in an error

_OPENING: Final = (b"[", b"{")
raw_items: Final = msgspec.json.Decoder(list[Raw]).decode
raw_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode

JsonValue: TypeAlias = object
"""A JSON value as Python objects. Narrow its type before use."""

JsonObject: TypeAlias = Mapping[str, Any]
"""A JSON object whose shape is defined by an outside standard or by a provider, such as a JSON Schema."""

Mark: TypeAlias = Any
"""A mark of a tracker. Its type depends on the kind of the tracker: a list, a count or a digest."""

Op: TypeAlias = Sequence[Any]
"""An operation on a field, such as `["append", "history", item]`; see `graphengine.engine.steps`.

The types of its elements depend on the kind of the operation, which is the first element. An operation is a plain
sequence, because every step is folded through operations, and a class for each kind would cost time.
"""


def parsed(body: bytes) -> Any:  # noqa: ANN401 - as `json.loads`
    """Parse JSON that will be stored as part of a record.

    Raises:
        ValueError: The JSON is not valid, or is nested too deeply to be read again as part of a larger record.
    """
    check_depth(body)
    return from_json(body)


def check_depth(body: bytes | memoryview, levels: int = DEEPEST) -> None:
    """Check that JSON is not nested too deeply to be read again as part of a larger record.

    The number of its brackets limits its depth. If there are too many brackets, each of its parts is checked.

    Raises:
        ValueError: The JSON is nested deeper than this many levels, or is not valid.
    """
    held = bytes(body)
    if held.count(b"[") + held.count(b"{") <= levels or held[:1] not in _OPENING:
        return
    if levels == 0:
        message = f"it is nested deeper than {DEEPEST} lists and objects"
        raise ValueError(message)
    try:
        parts = raw_items(held) if held[:1] == b"[" else raw_members(held).values()
    except msgspec.DecodeError:
        from_json(held)  # raises an error that describes the place
        raise
    for part in parts:
        view = memoryview(part)
        if view.nbytes > 2 * (levels - 1):  # each level takes two bytes
            check_depth(view, levels - 1)


def is_name(given: object) -> bool:
    """Return whether every store can keep a text as a name: it is short, without NUL characters and lone surrogates."""
    return _is_plain(given) and len(given.encode()) <= LONGEST_NAME


def _is_plain(given: object) -> TypeGuard[str]:
    return isinstance(given, str) and "\0" not in given and (given.isascii() or utf8_text(given) == given)


def check_stored_name(given: str, what: str, where: str) -> str:
    """Check that a text, such as the name of a topic, can be used as a name in every store, and return it.

    Raises:
        InputError: Some stores cannot keep the text as a name.
    """
    if not is_name(given):
        raise InputError(f"{clipped(given, _SHOWN)!r} cannot be {what}", where=where, repair=WITHOUT_NUL)
    return given


def check_stored_text(given: str, what: str, where: str) -> str:
    """Check that every store can keep a text of any length, and return the text.

    Raises:
        InputError: Some stores cannot keep the text, because it contains NUL or lone surrogates.
    """
    if not _is_plain(given):
        raise InputError(
            f"{given!r} cannot be {what}", where=where, repair="give a text without NUL and lone surrogates"
        )
    return given


def clipped(text: str, most: int) -> str:
    """Cut a text to this many characters. The end of a longer text is replaced by `…`.

    Example:
        >>> clipped("a long text", 7)
        'a long…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def utf8_text(text: str) -> str:
    r"""Return text that UTF-8 can encode: surrogate pairs are joined, and lone surrogates become U+FFFD.

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
