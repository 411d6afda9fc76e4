"""What an update of a field may be beside a plain value: one key of it, several, several items at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Put:
    """An update of one key of a dict field: what `writes="results[ann]"` makes of a result.

    Attributes:
        adds: Whether the value is items that are added to the list under the key, instead of taking its place.
    """

    key: str
    value: object
    adds: bool = False


@dataclass(frozen=True, slots=True)
class Puts:
    """An update of several keys of a dict field: what the items of a map wrote, or an arm."""

    keys: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Items:
    """An update of a field with the `append` reducer by several items."""

    values: Sequence[object]
