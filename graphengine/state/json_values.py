"""The shapes of what is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from pydantic_core import from_json

DEEPEST: Final = 128
"""Lists and objects in one another that a value may have. JSON is read to a depth of some 200, and a value lies up to
ten levels deep in a step or a snapshot: what was recorded must not be too deep to be read."""

_ROOM: Final = 72

JsonValue: TypeAlias = Any
"""A JSON value as Python objects. A recursive alias would say more and make every reader of a log cast."""

Op: TypeAlias = Sequence[JsonValue]
"""An operation on a field, as `["append", "history", item]`; see `graphengine.engine.steps`."""


def parsed(body: bytes) -> JsonValue:
    """The value of a text in JSON that is to be recorded.

    Raises:
        ValueError: It is nested too deep to be read again wherever it may come to stand; or it is no JSON.
    """
    check_depth(body)
    return from_json(body)


def check_depth(body: bytes) -> None:
    """See that JSON is not nested too deep to be read again wherever it may come to stand.

    Raises:
        ValueError: It is; or it is no JSON.
    """
    if body.count(b"[") + body.count(b"{") <= DEEPEST:
        return
    try:
        from_json(b"[" * _ROOM + body + b"]" * _ROOM)
    except ValueError as error:
        if "recursion" in str(error):
            message = f"it is nested deeper than {DEEPEST} lists and objects"
            raise ValueError(message) from None
        raise
