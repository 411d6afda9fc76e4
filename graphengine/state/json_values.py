"""The types of recorded values, the limit on their depth, and text that can be recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw
from pydantic_core import from_json

DEEPEST: Final = 128
"""The deepest nesting of lists and objects in a value. The JSON parser reads to a depth of about 200, and a step or a
snapshot holds a value up to ten levels deep: every recorded value must stay readable."""

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
