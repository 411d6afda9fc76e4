"""Reducers: functions that join an update to the value that a field already holds.

Put one into the field's annotation: `history: Annotated[list[Review], append] = []`. A field without a reducer
keeps the last write. Any pure function `(old, new) -> joined` is a reducer. Those below are recorded as small
operations, so that a step costs the size of its update and not that of the field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")
K = TypeVar("K")
N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class Replace(Generic[T]):
    """An update that sets the field and bypasses its reducer: `return {"history": Replace([])}`.

    Attributes:
        value: The new value of the field.

    Example:
        >>> class Notes(BaseModel):
        ...     lines: Annotated[list[str], append] = ["old"]
        >>> graph = Graph("g", Notes)
        >>> graph.add_node("clear", lambda: Replace(["new"]), writes="lines")
        >>> graph.add_path(START, "clear", END)
        >>> graph.run_sync().state.lines
        ['new']
    """

    value: T


def append(old: Iterable[T] | None, new: T) -> list[T]:
    """Return a list with one more item at the end.

    >>> append([1, 2], 3)
    [1, 2, 3]
    """
    return [*(old or ()), new]


def extend(old: Iterable[T] | None, new: Iterable[T]) -> list[T]:
    """Return a list with the new items after the old items.

    >>> extend([1], [2, 3])
    [1, 2, 3]
    """
    return [*(old or ()), *new]


def merge(old: Mapping[K, T] | None, new: Mapping[K, T]) -> dict[K, T]:
    """Return a mapping with the old and the new keys. For a key in both, the new value counts.

    >>> merge({"a": 1}, {"b": 2})
    {'a': 1, 'b': 2}
    """
    return {**(old or {}), **new}


def add(old: N | None, new: N) -> N:
    """Return the sum of two values.

    >>> add(2, 3)
    5
    """
    return new if old is None else old + new


def maximum(old: N | None, new: N) -> N:
    """Return the larger of two values. NaN counts as less than every number.

    >>> maximum(2, 3)
    3
    """
    return new if old is None or new > old or old != old else old  # noqa: PLR0124 - NaN alone differs from itself


OPERATIONS: Final[dict[Callable[..., Any], str]] = {append: "append", extend: "extend", merge: "merge", add: "add"}
"""Reducers that the log records as an operation. For any other reducer it records the result."""
