"""What an agent is given where no type says what it is: the paths of a prompt, in runs of the agent alone.

A state is recorded as JSON, and read back by its types. A path of a prompt has no type, so a date would come back as
text, between tags. `Given` is the type of such a field: it takes what a prompt can show, and reads back what the prompt
shows in the same way. Scalars keep their class, a structure becomes lists and dicts of them.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, BeforeValidator, PlainSerializer, TypeAdapter
from pydantic_core import to_json, to_jsonable_python

from graphengine.media import Media

_CLASS: Final = "$class"
"""The key that marks a recorded scalar; the other key is `value`."""


class Plain(str):
    """Text that a prompt inserts without tags: of a member of an enum, or of a number that JSON does not have."""

    __slots__ = ()


_CLASSES: Final[Mapping[str, Callable[[Any], object]]] = {
    "date": TypeAdapter(datetime.date).validate_python,
    "datetime": TypeAdapter(datetime.datetime).validate_python,
    "time": TypeAdapter(datetime.time).validate_python,
    "timedelta": TypeAdapter(datetime.timedelta).validate_python,
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "Plain": Plain,
    "Media": Media.model_validate,
}


def _taken(value: object) -> object:
    """Return a value, given or recorded, in the form that is recorded."""
    if isinstance(value, enum.Enum):
        inner = _taken(value.value)
        return Plain(inner) if isinstance(inner, str) else inner
    if isinstance(value, float) and not math.isfinite(value):
        return Plain(to_json(value, inf_nan_mode="constants").decode())
    if isinstance(value, Mapping):
        if value.keys() == {_CLASS, "value"}:
            return _CLASSES[value[_CLASS]](value["value"])
        return {str(_taken(name)): _taken(item) for name, item in value.items()}
    return _unfold_structure(value)


def _unfold_structure(value: object) -> object:
    """Return a structure as dicts and lists, sets in an order that is the same in every process; else the value."""
    if isinstance(value, BaseModel) and not isinstance(value, Media):
        return _taken(value.model_dump())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _taken(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [_taken(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_taken(item) for item in value), key=lambda item: to_json(item, fallback=str))
    return value


def _recorded(value: object) -> object:
    """Return the JSON form of a taken value."""
    if isinstance(value, dict):
        return {name: _recorded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_recorded(item) for item in value]
    name = type(value).__name__
    return {_CLASS: name, "value": to_jsonable_python(value)} if name in _CLASSES else value


# Specs of graphs, and so their fingerprints, have the names of both functions: a new name is another version of graphs.
Given: TypeAlias = Annotated[Any, BeforeValidator(_taken), PlainSerializer(_recorded)]
"""The type of a field that takes any value that a prompt can show."""

__all__ = ["Given", "Plain"]
