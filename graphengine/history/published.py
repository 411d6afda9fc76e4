"""What a run has published, as readers have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from graphengine.engine.published import find_published

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.snapshot import Snapshot

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Published(Generic[T]):
    """A value that a node of a run published.

    Attributes:
        name: Its name.
        value: The value, of the type that was asked for.
        seq: The step that has it: give it as `after=` to wait for a newer one.
        at: When it was published, epoch seconds.
        path: The path of the node, as `article/review` or `research[3]`.
        item: The item of a map in which it was published, as `research[3]`; "" outside of maps.
    """

    name: str
    value: T
    seq: int
    at: float
    path: str
    item: str = ""


def values_in(snapshot: Snapshot, most: int = 100) -> Sequence[Published[Any]]:
    """Return the newest value of each name and item as JSON, the newest of them first; not all of many items."""
    found = find_published(snapshot)[-most:]
    if not found:
        return ()
    from graphengine.state.marks import bare  # noqa: PLC0415 - it loads pydantic, which most readers do not need

    return [Published(each.name, bare(each.value), each.seq, each.at, each.path, each.item) for each in found[::-1]]
