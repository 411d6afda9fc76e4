"""Updates of a field other than a plain value: keys of it, several items at once, an update recorded before.

Also the place of a typed value that is built when it is read first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.state.json_values import JsonValue, Op


@dataclass(frozen=True, slots=True)
class Put:
    """An update of one key of a dict field, as `writes="results[ann]"` makes it from a result.

    Attributes:
        adds: Whether the value holds items to add to the list under the key, instead of replacing the list.
    """

    key: str
    value: object
    adds: bool = False


@dataclass(frozen=True, slots=True)
class Puts:
    """An update of several keys of a dict field, written by the items of a map or by an arm."""

    keys: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Items:
    """An update that appends several items to a field with the `append` reducer."""

    values: Sequence[object]


@dataclass(frozen=True, slots=True)
class RecordedUpdate:
    """An update that was validated and recorded before: an arm's operation, which the join repeats.

    Attributes:
        op: The operation.
        typed: The value that it sets or adds; None if that must be read from the record.
    """

    op: Op
    typed: object = None


UNREAD: Final = object()
"""In place of a value that nothing has read."""


@dataclass(slots=True)
class Unread:
    """The typed value of a large record, which is built when it is first read.

    Attributes:
        record: The record.
        value: What was built.
    """

    record: JsonValue
    value: object = UNREAD
