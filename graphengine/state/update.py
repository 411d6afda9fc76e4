"""Updates of a field other than a plain value: of some of its keys, of several items at once, or already recorded.

`Unread`, a typed value that is built when it is first read, is here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.state.json_values import JsonValue, Op


@dataclass(frozen=True, slots=True)
class Put:
    """Update of one key of a dict field, for example from `writes="results[ann]"`.

    Attributes:
        key: The key.
        value: The value for the key.
        adds: Whether the value contains items to add to the list under the key. If False, the value replaces the list.
    """

    key: str
    value: object
    adds: bool = False


@dataclass(frozen=True, slots=True)
class Puts:
    """Update of several keys of a dict field, collected from the items of a map or an arm of a fork."""

    keys: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Items:
    """Update that appends several items to a list field, whose `append` reducer otherwise takes a single item."""

    values: Sequence[object]


@dataclass(frozen=True, slots=True)
class RecordedUpdate:
    """An update of one field that an arm of a fork has validated and recorded, so that the join only has to apply it.

    Attributes:
        op: The recorded operation.
        typed: The Python value that the operation sets or adds; None if it must be read from the record.
    """

    op: Op
    typed: object = None


UNREAD: Final = object()
"""The mark of a value that has not been read yet."""


@dataclass(slots=True)
class Unread:
    """Stands for the Python value of a large record that is not decoded yet, because it may never be needed.

    The value is decoded when it is first read.

    Attributes:
        record: The JSON record of the value.
        value: The Python value, once it has been decoded.
    """

    record: JsonValue
    value: object = UNREAD
