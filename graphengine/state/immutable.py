"""Properties of the values of a type: can they be changed in place, can JSON restore them; and their digest."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import hashlib
import json
import types
import uuid
from collections.abc import Mapping
from typing import Final, Literal, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import to_jsonable_python

from graphengine.state.path import members

_ATOMS: Final = (
    int,
    float,
    str,
    bool,
    bytes,
    complex,
    types.NoneType,
    decimal.Decimal,
    uuid.UUID,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.tzinfo,
    enum.Enum,
    SecretStr,
    SecretBytes,
)


def is_immutable(annotation: object) -> bool:
    """Return whether no value of this annotation can be changed in place; False if unknown."""
    return all(_immutable(member, ()) for member in members(annotation))


def _immutable(member: object, seen: tuple[object, ...]) -> bool:
    if member is None or get_origin(member) is Literal:
        return True
    origin = get_origin(member) or member
    if not isinstance(origin, type) or member in seen:
        return False
    if issubclass(origin, (tuple, frozenset)) and get_args(member):
        inner = [arg for arg in get_args(member) if arg is not Ellipsis]
        return all(_immutable(m, (*seen, member)) for arg in inner for m in members(arg))
    if issubclass(origin, BaseModel):
        frozen = bool(origin.model_config.get("frozen")) and not origin.__private_attributes__
        fields = [field.annotation for field in origin.model_fields.values()]
        return frozen and all(_immutable(m, (*seen, member)) for f in fields for m in members(f))
    return issubclass(origin, _ATOMS) and not dataclasses.is_dataclass(origin)


def unrecordable(annotation: object) -> str:
    """Return the first type in an annotation that JSON can write but not restore; "" if there is none."""
    for member in members(annotation):
        origin = get_origin(member) or member
        inner = [arg for arg in get_args(member) if arg is not Ellipsis and get_origin(member) is not Literal]
        if isinstance(origin, type) and issubclass(origin, (SecretStr, SecretBytes)):
            return origin.__name__
        if isinstance(origin, type) and issubclass(origin, Mapping) and inner:
            keys = [get_origin(key) or key for key in members(inner[0])]
            if any(isinstance(key, type) and issubclass(key, (tuple, frozenset, BaseModel)) for key in keys):
                return f"a dict with keys of type {inner[0]}"
        found = next((text for text in map(unrecordable, inner) if text), "")
        if found:
            return found
    return ""


def digest_of(content: object) -> str:
    """Return a short digest of any value. Equal sets and dicts have equal digests, whatever their order."""
    body = json.dumps(_canonical(content), sort_keys=True).encode()
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def _canonical(content: object) -> object:
    if isinstance(content, BaseModel):
        return {name: _canonical(getattr(content, name)) for name in type(content).model_fields}
    if isinstance(content, Mapping):
        return {str(_canonical(key)): _canonical(item) for key, item in content.items()}
    if isinstance(content, (set, frozenset)):
        return sorted(json.dumps(_canonical(item), sort_keys=True) for item in content)
    if isinstance(content, (list, tuple)):
        return [_canonical(item) for item in content]
    return to_jsonable_python(content, fallback=repr, inf_nan_mode="strings", bytes_mode="base64")
