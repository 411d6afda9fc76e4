"""Who follows one run while it is driven here: followers of extensions (`runner.extensions`), and watchers."""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from graphengine.runner.watcher import Watcher

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Step
    from graphengine.runner.live_events import Showing
    from graphengine.runner.run_events import Event

log = logging.getLogger("graphengine.runner")

_NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})


class Follower:
    """Follows one run for as long as it is driven here.

    Attributes:
        labels: What it adds to each record of the log.
    """

    labels: Mapping[str, str] = _NO_LABELS

    def entered(self, frame: Frame) -> None:
        """A node is about to begin: called in its context, so that context variables can be set for it."""

    def ended(self, frame: Frame) -> None:
        """An attempt that recorded work has ended; its event is about to be recorded."""

    def recorded(self, steps: Sequence[Step]) -> None:
        """Steps are durable. Nodes that run in parallel can make them come in another order than that of `seq`."""

    async def left(self) -> None:
        """The run is driven here no longer. Not called if it never was, such as one that is started into a queue."""


class Following:
    """Those who follow one run: what each moment calls. A moment that nobody overrides costs nothing."""

    __slots__ = ("all", "ended", "entered", "left", "recorded")

    def __init__(self, followers: Sequence[Follower] = ()) -> None:
        self.all = followers
        self.entered = [each.entered for each in followers if type(each).entered is not Follower.entered]
        self.ended = [each.ended for each in followers if type(each).ended is not Follower.ended]
        self.left = [each.left for each in followers if type(each).left is not Follower.left]
        self.recorded = [each.recorded for each in followers if type(each).recorded is not Follower.recorded]

    async def leave(self) -> None:
        """Tell all that the run is driven here no longer, also if one of them fails: its result is recorded."""
        for left in self.left:
            try:
                await left()
            except Exception:
                log.exception("an extension failed after its run was left")

    @property
    def labels(self) -> Mapping[str, str]:
        """What they add to records of the log."""
        return {name: text for each in self.all for name, text in each.labels.items()}


NOBODY: Final = Following()
"""Nobody follows."""


class Audience:
    """Who watches one run.

    Attributes:
        watchers: The queues of the watchers; None ends each.
        in_flight: The calls that show live events, for watchers that join late.
    """

    __slots__ = ("in_flight", "watchers")

    def __init__(self) -> None:
        self.watchers: list[asyncio.Queue[Event | None]] = []
        self.in_flight: set[Showing] = set()

    def show(self, event: Event | None) -> None:
        """Show an event to all watchers."""
        for queue in self.watchers:
            queue.put_nowait(event)

    def joined(self) -> Watcher:
        """Return the queue of a new watcher."""
        queue = Watcher()
        for live in self.in_flight:
            for event in live.so_far():
                queue.put_nowait(event)
        self.watchers.append(queue)
        return queue

    def left(self, queue: asyncio.Queue[Event | None]) -> None:
        """Remove a watcher."""
        if queue in self.watchers:
            self.watchers.remove(queue)


__all__ = ["NOBODY", "Audience", "Follower", "Following"]
