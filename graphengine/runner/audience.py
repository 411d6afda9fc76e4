"""The audience of a run: its watchers, and what the calls of agents in flight have shown so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.runner.watcher import Watcher

if TYPE_CHECKING:
    import asyncio

    from graphengine.runner.live_events import Showing
    from graphengine.runner.run_events import Event


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
