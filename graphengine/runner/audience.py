"""The audience of a run: its watchers, and what the calls of agents in flight have shown so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.runner.watcher import Watcher

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable
    from typing import Protocol

    from graphengine.runner.run_events import Event

    class Showing(Protocol):
        """A call in flight that has live events."""

        def so_far(self) -> Iterable[Any]:
            """Return what it has shown of its current turn."""
            ...


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

    def show(self, event: Any) -> None:  # noqa: ANN401 - any of run_events.Event
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
