"""The type of inputs that have no declared type: the paths of a prompt, when an agent is run alone.

A state is recorded as JSON and read back according to its types. A path of a prompt has no type, so a date would be
read back as text, and the prompt would put it between tags. `Given` is the type of such a field. It accepts every value
that a prompt can show, and reads back a value that the prompt shows in the same way: scalars keep their class, and
structures become lists and dicts of scalars.
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
"""The key that marks a recorded scalar and names its class. The other key is `value`."""


class Plain(str):
    """A text that a prompt inserts without tags: a member of an enum, or a number that JSON cannot represent."""

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
    """Convert an input of a run to JSON lists and objects of scalars, which is how the state keeps inputs.

    A scalar keeps its Python class, for example as a date. The input is either a new value, or was read from a record.
    """
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
    """Convert models, dataclasses, tuples and sets to dicts and lists.

    Sets are sorted, so that their order is the same in every process.
    """
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
    """Convert a value of the state to the form in which it is recorded as JSON.

    A scalar that JSON cannot represent, such as a date, is recorded together with the name of its class.
    """
    if isinstance(value, dict):
        return {name: _recorded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_recorded(item) for item in value]
    name = type(value).__name__
    return {_CLASS: name, "value": to_jsonable_python(value)} if name in _CLASSES else value


# The names of both functions are part of the specs of graphs, and therefore of their fingerprints. A new name would
# make a new version of every such graph.
Given: TypeAlias = Annotated[Any, BeforeValidator(_taken), PlainSerializer(_recorded)]
"""The type of a field that accepts any value that a prompt can show."""

__all__ = ["Given", "Plain"]
