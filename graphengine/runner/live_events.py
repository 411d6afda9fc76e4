"""Live events of a run: shown while they happen, and not recorded. They have no seq."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable


class LiveEvent:
    """A live event of an extension, such as of an agent: a dataclass that a watcher gets as it is.

    Attributes:
        event: Its name in JSON documents.
        ends_growth: Whether what comes next is not joined to what came before.
    """

    __slots__ = ()
    event: ClassVar[str]
    ends_growth: ClassVar[bool] = False

    def growth(self) -> Growth | None:
        """Return what pieces like this one are joined to while a watcher does not read; None if it is no piece."""
        return None


class Growth(Protocol):
    """Pieces that wait as one event, such as those of a text.

    Attributes:
        key: Equal for those that are joined.
    """

    @property
    def key(self) -> Hashable:
        """Equal for pieces that are joined."""
        ...

    def add(self, event: Any) -> None:  # noqa: ANN401 - of the type that made it
        """Add a piece with this key."""
        ...

    def whole(self) -> LiveEvent:
        """Return them as one event."""
        ...


class Showing(Protocol):
    """What is in flight and shows live events."""

    def so_far(self) -> Iterable[LiveEvent]:
        """Return what a watcher that joins now has missed."""
        ...


@dataclass(frozen=True, slots=True)
class NodeBegan:
    """An attempt of a node began.

    Attributes:
        path: The node's path.
        node: Its name.
        visit: Which visit of the node, from 1.
        attempt: Which attempt of the visit, from 1.
        at: When it began, epoch seconds.
        after: The seq of the last step before it.
    """

    event: ClassVar[str] = "began"
    path: str
    node: str
    visit: int
    attempt: int
    at: float
    after: int


@dataclass(frozen=True, slots=True)
class Emitted:
    """A node showed something with `ctx.emit`.

    Attributes:
        path: The node's path.
        data: What it showed.
    """

    event: ClassVar[str] = "emitted"
    path: str
    data: object


__all__ = ["Emitted", "Growth", "LiveEvent", "NodeBegan", "Showing"]
