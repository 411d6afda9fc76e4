"""Whether a value of one declared type can stand where another is declared. What is unknown fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from graphengine.reducers import Replace
from graphengine.state.path import members

_NUMBERS = (int, float)


def is_mapping(annotation: object) -> bool:
    """Return whether a value of this type can be a mapping."""
    kinds = [get_origin(m) or m for m in members(annotation)]
    return any(k is Any or (isinstance(k, type) and issubclass(k, Mapping)) for k in kinds)


def can_write(returns: object, update: object, whole: object) -> bool:
    """Return whether some result can be an update of a field, or a `Replace` of the whole field; True if unknown."""
    sets = [kind for kind in members(returns) if (get_origin(kind) or kind) is Replace]
    if any(fits(members((get_args(kind) or (Any,))[0]), whole) for kind in sets):
        return True
    return fits([kind for kind in members(returns) if kind not in sets], update)


def fits(have: Sequence[object], want: object) -> bool:
    """Return whether some value of the types in `have` can be passed as `want`; True if unknown."""
    wanted = members(want)
    return any(_fits_one(h, w) for h in have for w in wanted)


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
    have_kinds, want_kinds = _kinds(have), _kinds(want)
    return any(_related(h, w) for h in have_kinds for w in want_kinds)


def _kinds(annotation: object) -> list[object]:
    if annotation is None:
        return [type(None)]
    origin = get_origin(annotation)
    if origin is Literal:
        return [type(v) for v in get_args(annotation)]
    return [origin or annotation]


def _related(have: object, want: object) -> bool:
    if not isinstance(have, type) or not isinstance(want, type):
        return True
    if have in _NUMBERS and want in _NUMBERS:
        return True
    try:
        return issubclass(have, want) or issubclass(want, have)
    except TypeError:
        return True
