"""The values that a run has published, in the form in which readers get them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from graphengine.engine.published import ENGINES_OWN, find_published
from graphengine.stores.base import cursor_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.snapshot import Snapshot

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Published(Generic[T]):
    """A value that a node of a run published.

    Attributes:
        name: The name under which the value was published.
        value: The value, of the type that was asked for.
        seq: The step that recorded the value.
        at: When the value was published, epoch seconds.
        path: The path of the node, such as `article/review` or `research[3]`.
        item: The item of a map in which the value was published, such as `research[3]`; "" outside of maps.
        cursor: A text to pass as `after=`, to wait for a newer value. If the run is removed and another run gets its
            id, the cursor is refused, while `seq` would be taken for a step of the other run.
    """

    name: str
    value: T
    seq: int
    at: float
    path: str
    item: str = ""
    cursor: str = ""


def values_in(snapshot: Snapshot, most: int = 100) -> Sequence[Published[Any]]:
    """Return the newest values that a run has published, at most `most` of them, the newest first.

    The values are returned as JSON. Only the newest value of each name and map item is kept. Replies to requests, which
    are published under a name of the engine, are left out.
    """
    found = [each for each in find_published(snapshot) if not each.name.startswith(ENGINES_OWN)][-most:]
    if not found:
        return ()
    from graphengine.state.marks import bare  # noqa: PLC0415 - it loads pydantic, which most readers do not need

    return [
        Published(
            *(each.name, bare(each.value), each.seq, each.at, each.path, each.item),
            cursor_of(each.seq, snapshot.nonce),
        )
        for each in found[::-1]
    ]
