"""The values that a condition measured, as a step records them. Readers make sentences from these facts.

A number, a truth value, None and a short text are recorded as they are. Any other value becomes a `Shown`: the
beginning of its `repr`, so that the size of a step does not depend on the size of the state.
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
"""The maximum number of recorded characters of a measured text, or of the `repr` of another value."""
_ITEMS: Final = 8
_DIGESTED: Final = 1000
_BITS: Final = 600  # of an int, which are about 180 digits
_CONTAINERS: Final = (list, tuple, set, frozenset, Mapping)


class Shown(Struct, omit_defaults=True, forbid_unknown_fields=True, frozen=True, tag="shown", tag_field="is"):
    """A short form of a value that the condition of an edge has read, to show in the log why the edge was taken.

    It is used for values that are long or that JSON cannot represent.

    Attributes:
        text: The text itself, or the `repr` of another value. Only the beginning if it is long.
        type: The name of the value's type.
        length: The number of characters, if the text was cut.
        items: The number of items, if the value is a container of more than 8 items.
        digest: The digest of the whole value, if it was cut. "" for a container of more than 1,000 items in a step,
            because a step must cost only what its update costs.
        unlike: Whether the value could not be compared with the constant of the condition.
    """

    text: str
    type: str
    length: int = 0
    items: int = 0
    digest: str = ""
    unlike: bool = False


class Samples(Struct, forbid_unknown_fields=True, frozen=True, tag="samples", tag_field="is"):
    """The values that a plateau condition compared, to test whether a value has stopped improving.

    Attributes:
        best: The best value so far, as recorded.
        last: The last value, as recorded.
        stale: How many values since the best one were not better.
    """

    best: int | float | str
    last: int | float | str
    stale: int


Measured: TypeAlias = int | float | str | bool | Shown | Samples | None


class Leaf(Struct, array_like=True, frozen=True):
    """What a simple condition inside a larger condition found: whether it was true, and the value that it tested."""

    held: bool
    measured: Measured = None


Found: TypeAlias = Measured | Sequence[Leaf]
"""The result of a condition.

For a simple condition, it is the measured value. For a composed condition, it is a leaf for each simple condition in it
that was evaluated, from left to right.
"""


class Tested(Struct, array_like=True, frozen=True, gc=False):
    """One condition that was evaluated to choose an edge, as recorded in the step.

    Attributes:
        place: The position of its edge in the description of the graph, or of its arm in its fork.
        found: What the condition found; for a switch, the value.
    """

    place: Annotated[int, Meta(ge=0)]
    found: Found = None


def measured_of(value: object, *, unlike: bool = False, whole: bool = False) -> Measured:
    """Convert a value that a condition of an edge has read to the form in which the step records it.

    Args:
        value: The value, or the constant with which the condition compares it.
        unlike: Whether the value could not be compared with the constant of the condition.
        whole: Whether the digest of a large container is computed as well. That is done for constants, which are
            recorded only once.
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
