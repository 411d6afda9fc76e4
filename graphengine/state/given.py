"""Values from programs in the form in which they are recorded: any value as JSON, and texts that UTF-8 can encode."""

from __future__ import annotations

import dataclasses
import operator
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from graphengine.errors import InputError
from graphengine.state.json_values import check_depth, utf8_text
from graphengine.state.marks import marked

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.state.json_values import JsonValue

T = TypeVar("T")
R = TypeVar("R")


def as_record(value: object, what: str, most_bytes: int | None = None, *, marks: bool = False) -> JsonValue:
    """Convert a value that a user passes in (such as a message) to JSON values that can be recorded.

    Args:
        value: The value.
        what: The purpose of the value, for errors.
        most_bytes: The maximum size.
        marks: Whether details that plain JSON loses, such as the name of a time zone, are kept because a type will read
            the value; see `graphengine.state.marks`.

    Raises:
        InputError: JSON cannot represent the value, or the value is too large.
    """
    try:
        body = in_utf8(partial(to_json, inf_nan_mode="constants"), value)
        body = marked(value, body) if marks else body
        if most_bytes is not None and len(body) > most_bytes:
            text = f"{what} has {len(body):,} bytes, but at most {most_bytes:,} are allowed"
            repair = "send the name of a file with the data, or raise Sizes(message_bytes=…)"
            raise InputError(text, repair=repair, code="too_large")
        check_depth(body)
        return from_json(body, allow_inf_nan=False)
    except (PydanticSerializationError, ValueError) as error:
        why = "JSON has no nan and inf" if str(error).split(" at ")[0].endswith(("value", "number")) else error
        text = f"{what} cannot be written as JSON: {why}"
        raise InputError(text, repair="give plain values or a pydantic model") from error


def in_utf8(take: Callable[[T], R], value: T) -> R:
    """Call the function `take` with a value, and if this fails, once more with all texts in the value made valid UTF-8.

    If all texts are valid already, the first exception is raised.
    """
    try:
        return take(value)
    except Exception:
        cleaned = utf8_value(value)
        if cleaned is value:
            raise
        return take(cleaned)


def utf8_value(value: T) -> T:
    """Make all texts in a value valid UTF-8. If they already are, the same object is returned."""
    try:
        return cast("T", _utf8_value(value))
    except RecursionError:  # the value contains itself
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
        cleaned = _utf8_value(pairs)
        return value if cleaned is pairs else dict(cleaned)
    if isinstance(value, BaseModel):
        held = {**vars(value), "__pydantic_extra__": value.__pydantic_extra__}
    else:
        fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        held = {each.name: getattr(value, each.name, None) for each in fields}
    cleaned = _utf8_value(held)
    if cleaned is held:
        return value
    new = copy(value)
    for name, part in cleaned.items():
        object.__setattr__(new, name, part)
    return new
