"""Whether a value of a declared type can be used where another type is declared. An unknown type always fits."""

from __future__ import annotations

import datetime
from collections.abc import Hashable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, NaiveDatetime

from graphengine.reducers import Replace
from graphengine.state.path import members

_NUMBERS: Final = (int, float)

_STANDS_FOR: Final[Mapping[str, tuple[object, ...]]] = {
    "EmailStr": (str,),
    "AwareDatetime": (datetime.datetime,),
    "FutureDatetime": (datetime.datetime,),
    "NaiveDatetime": (datetime.datetime,),
    "PastDatetime": (datetime.datetime,),
    "FutureDate": (datetime.date,),
    "PastDate": (datetime.date,),
    "IPvAnyAddress": (IPv4Address, IPv6Address),
    "IPvAnyInterface": (IPv4Interface, IPv6Interface),
    "IPvAnyNetwork": (IPv4Network, IPv6Network),
    **dict.fromkeys(("ImportString", "InstanceOf", "Json", "SerializeAsAny", "SkipValidation"), (Any,)),
}
"""Classes of pydantic that have no instances, each with the types that type checkers use instead."""

_ONE_EQUALITY: Final = ((set, frozenset), (PurePath,), (bytes, bytearray))
"""Groups of types with equal values, although none of the types is a subclass of another."""


def is_mapping(annotation: object) -> bool:
    kinds = [get_origin(m) or m for m in members(annotation)]
    return any(k is Any or (isinstance(k, type) and issubclass(k, Mapping)) for k in kinds)


def can_write(returns: object, update: object, whole: object) -> bool:
    """Return whether a node that returns one of these types can write the result to a field; True if not known.

    A value wrapped in `Replace` must fit the type of the field. Any other value must fit what the field's reducer
    accepts.

    Args:
        returns: The type that the node returns.
        update: The type of the values that can be written to the field.
        whole: The type of the field.
    """
    sets = [kind for kind in members(returns) if (get_origin(kind) or kind) is Replace]
    if any(fits(members((get_args(kind) or (Any,))[0]), whole) for kind in sets):
        return True
    return fits([kind for kind in members(returns) if kind not in sets], update)


def fits(have: Sequence[object], want: object) -> bool:
    """Return whether a value of one of the types in `have` can be passed as `want`; True if this is not known."""
    classes = [each for kind in have for each in plain(kind)]
    wanted = [each for kind in members(want) for each in plain(kind)]
    return any(_fits_one(h, w) for h in classes for w in wanted)


def plain(kind: object) -> tuple[object, ...]:
    """Return the classes that a type checker would use for a type, such as `int` for pydantic's `StrictInt`."""
    is_of_pydantic = isinstance(kind, type) and kind.__module__.startswith("pydantic.")
    return _STANDS_FOR.get(kind.__name__, (kind,)) if is_of_pydantic else (kind,)  # type: ignore[attr-defined]


def comparable(kind: object, other: object, *, ordered: bool) -> bool:
    """Return whether a condition of an edge can compare values of a type with another value.

    For example, a value of type `int` can be compared with 3, but not with "3".

    Args:
        kind: The type of the values.
        other: The value with which they are compared.
        ordered: True for a comparison by order (`<`, `>=`), False for equality.
    """
    kind = getattr(kind, "__supertype__", kind)
    if plain(kind) != (kind,):
        same_zone = not (ordered and _differs_in_zone(kind, other))
        return same_zone and any(each is Any or comparable(each, other, ordered=ordered) for each in plain(kind))
    if not isinstance(kind, type) or other is None:
        return not ordered or other is not None
    if kind is type(None) or (ordered and not _has_order(other)):
        return False
    if hasattr(kind, "__float__") or kind is complex:
        return _is_number_like(kind, other, ordered=ordered)
    if _decides_itself(kind):
        return not ordered or any("__lt__" in vars(c) for c in kind.__mro__[:-1])
    return _are_alike(kind, type(other))


def _is_number_like(kind: type, other: object, *, ordered: bool) -> bool:
    if isinstance(other, bool):
        return _are_alike(kind, bool)
    if ordered:
        return hasattr(kind, "__float__") and hasattr(other, "__float__")
    return hasattr(other, "__float__") or isinstance(other, complex)


def _differs_in_zone(kind: object, other: object) -> bool:
    """Return whether two times cannot be ordered because only one of them has a time zone."""
    if not isinstance(other, datetime.datetime) or kind not in (AwareDatetime, NaiveDatetime):
        return False
    return (other.utcoffset() is None) is (kind is AwareDatetime)


def _decides_itself(kind: type) -> bool:
    """Return whether a type has its own `__eq__`, or is a protocol, so that nothing is known about its equality."""
    eq: object = kind.__eq__
    return type(kind) is not type and not (issubclass(kind, BaseModel) and eq is BaseModel.__eq__)


def _are_alike(kind: type, other: type) -> bool:
    """Return whether a value of one type can be equal to a value of the other type.

    A datetime never equals a date, although the class `datetime` is a subclass of `date`.
    """
    if issubclass(kind, datetime.date) and issubclass(other, datetime.date):
        return issubclass(kind, datetime.datetime) is issubclass(other, datetime.datetime)
    alike = any(issubclass(kind, each) and issubclass(other, each) for each in _ONE_EQUALITY)
    return alike or issubclass(other, kind) or issubclass(kind, other)


def _has_order(value: Any) -> bool:  # noqa: ANN401 - any value
    """Return whether Python can order two values like this one by `<`. It cannot order dicts or complex numbers."""
    try:
        _ = value < value  # noqa: PLR0124 - only whether it raises
    except TypeError:
        return False
    except Exception:  # noqa: BLE001 - a type of a user's
        return True
    return True


def _fits_one(have: object, want: object) -> bool:
    if (
        Any in (have, want)
        or object in (have, want)
        or isinstance(have, (TypeVar, str))
        or isinstance(want, (TypeVar, str))
    ):
        return True
    if get_origin(have) is Annotated or get_origin(want) is Annotated:
        return True
    have_kinds, want_kinds = _kinds_of_type(have), _kinds_of_type(want)
    return any(_are_related(h, w) for h in have_kinds for w in want_kinds)


def _kinds_of_type(annotation: object) -> list[object]:
    if annotation is None:
        return [type(None)]
    origin = get_origin(annotation)
    if origin is Literal:
        return [type(v) for v in get_args(annotation)]
    return [origin or annotation]


def _are_related(have: object, want: object) -> bool:
    if not isinstance(have, type) or not isinstance(want, type):
        return True
    if (have in _NUMBERS and want in _NUMBERS) or want is Hashable:
        return True
    if (issubclass(have, int) and want in (float, complex)) or (issubclass(have, float) and want is complex):
        return True  # type checkers promote these types in the same way
    try:
        return issubclass(have, want) or issubclass(want, have)
    except TypeError:
        return True
