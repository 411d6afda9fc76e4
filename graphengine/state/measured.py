"""What a condition measured, as a step records it: facts from which readers make a sentence.

A number, a truth value, None and a short text are recorded as they are. Anything else is a `Shown`: what Python shows
of it, cut, so that the size of a step never follows that of the state.
"""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct
from msgspec.structs import replace

from graphengine.state.json_values import utf8_text

LONGEST: Final = 200
"""How many characters are recorded of a measured text, or of what is shown of another value."""
_ITEMS: Final = 8
_DIGESTED: Final = 1000
_BITS: Final = 600  # of an int, some 180 digits
_CONTAINERS: Final = (list, tuple, set, frozenset, Mapping)


class Shown(Struct, omit_defaults=True, forbid_unknown_fields=True, frozen=True, tag="shown", tag_field="is"):
    """A measured value that is no plain JSON value, or too long to be recorded whole.

    Attributes:
        text: A text itself, else what `repr` shows of the value; the beginning of it, if it is long.
        type: The name of its type.
        length: How many characters it has, if its text was cut.
        items: How many items it has, if it is a container of more than 8.
        digest: The digest of all of it, if it was cut; "" of a container of more than 1,000 items in a step, which must
            cost what its update does.
        unlike: Whether it could not be compared with the constant.
    """

    text: str
    type: str
    length: int = 0
    items: int = 0
    digest: str = ""
    unlike: bool = False


class Samples(Struct, forbid_unknown_fields=True, frozen=True, tag="samples", tag_field="is"):
    """What a plateau compared: its best sample, its last one, as marks have them, and how many since were no better."""

    best: int | float | str
    last: int | float | str
    stale: int


Measured: TypeAlias = int | float | str | bool | Shown | Samples | None


class Leaf(Struct, array_like=True, frozen=True):
    """What a simple condition found that is a part of another one: whether it held, and what it measured."""

    held: bool
    measured: Measured = None


Found: TypeAlias = Measured | Sequence[Leaf]
"""What a condition found: a simple one what it measured; one that is composed a leaf for each simple condition in it
that was evaluated, from left to right."""


class Tested(Struct, array_like=True, frozen=True, gc=False):
    """A condition that was evaluated to choose an edge.

    Attributes:
        place: The place of its edge in the graph's spec, or that of its arm in its fork.
        found: What it found; of a switch the value.
    """

    place: Annotated[int, Meta(ge=0)]
    found: Found = None


def measured_of(value: object, *, unlike: bool = False, whole: bool = False) -> Measured:
    """Return a value as it is recorded.

    Args:
        value: What was measured, or a constant.
        unlike: Whether it could not be compared with the constant.
        whole: Whether a large container gets its digest too: for a constant, of which a graph's spec is made once.
    """
    kind = type(value)
    if kind is int and not unlike and value.bit_length() <= _BITS:  # type: ignore[attr-defined]  # most often
        return value  # type: ignore[return-value]
    if isinstance(value, enum.Enum):
        return measured_of(value.value, unlike=unlike, whole=whole)
    if not unlike:
        if value is None or kind is bool:
            return value  # type: ignore[return-value]
        if kind is float and math.isfinite(value):  # type: ignore[arg-type]
            return value  # type: ignore[return-value]
        if kind is str and len(value) <= LONGEST:  # type: ignore[arg-type]
            return utf8_text(value)  # type: ignore[arg-type]
    shown = _show_value(value, whole=whole)
    return replace(shown, unlike=True) if unlike else shown


def _show_value(value: object, *, whole: bool) -> Shown:
    name = type(value).__name__
    from graphengine.state.immutable import digest_of  # noqa: PLC0415 - these load pydantic, which readers do not need
    from graphengine.state.texts import steady_text  # noqa: PLC0415

    if isinstance(value, _CONTAINERS) and len(value) > _ITEMS:
        digest = digest_of(value) if whole or len(value) <= _DIGESTED else ""
        items = islice(value, 3) if isinstance(value, Sequence) else ()
        first = ", ".join(steady_text(each)[:LONGEST] for each in items)
        return Shown(utf8_text(first[:LONGEST]), name, items=len(value), digest=digest)
    text = utf8_text(value) if isinstance(value, str) else utf8_text(steady_text(value))
    if len(text) <= LONGEST:
        return Shown(text, name)
    return Shown(text[:LONGEST], name, len(text), digest=hashlib.blake2b(text.encode(), digest_size=12).hexdigest())
