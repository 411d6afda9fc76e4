"""What waits for a watcher of a run, within a bound: a subscriber that does not read must not fill the memory.

Up to `JOINED_FROM` events wait as they are. From then on the pieces of one text wait as one, of which the last 100,000
characters are kept, and a newer partial answer replaces an older one. At `MOST_WAITING` the recorded steps are left
out: they are read from the store again. If that is not enough, the watcher gets an error in place of the rest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.errors import WatcherTooSlow
from graphengine.runner.live_events import LiveEvent, NodeBegan
from graphengine.runner.run_events import StepRecorded

if TYPE_CHECKING:
    from collections.abc import Hashable

    from graphengine.runner.live_events import Growth
    from graphengine.runner.run_events import Event

JOINED_FROM: Final = 1_000
MOST_WAITING: Final = 10_000


class _Joined(NamedTuple):
    """Pieces that wait as one event."""

    growth: Growth


class Watcher(asyncio.Queue["Event | None"]):
    """The events that wait for one watcher of a run; None ends them.

    Attributes:
        is_behind: Whether recorded steps were left out.
    """

    is_behind: bool

    def _init(self, maxsize: int) -> None:  # noqa: ARG002 - of asyncio.Queue
        self._queue: deque[Event | _Joined | None] = deque()
        self._growing: dict[Hashable, Growth] = {}
        self._lost = False
        self.is_behind = False

    def _put(self, item: Event | None) -> None:
        if self._lost:
            return
        if len(self._queue) < JOINED_FROM:
            self._queue.append(item)
        elif isinstance(item, LiveEvent) and (growth := item.growth()) is not None:
            if growth.key in self._growing:
                self._growing[growth.key].add(item)
            else:
                self._growing[growth.key] = growth
                self._queue.append(_Joined(growth))
        else:
            if isinstance(item, LiveEvent) and item.ends_growth:
                self._growing.clear()  # what comes next is not joined to what does not count any more
            self._queue.append(item)
        if len(self._queue) > MOST_WAITING:
            self._make_room()

    def _get(self) -> Event | None:
        item = self._queue.popleft()
        if isinstance(item, _Joined):
            self._growing.pop(item.growth.key, None)
            return item.growth.whole()
        return item

    def _make_room(self) -> None:
        """Leave out recorded steps, and nodes that began before them; if too little is gained, everything."""
        kept = [item for item in self._queue if not isinstance(item, (StepRecorded, NodeBegan))]
        self.is_behind = True
        self._lost = len(kept) > MOST_WAITING // 2
        self._queue = deque() if self._lost else deque(kept)
        if self._lost:
            self._growing.clear()
            self._queue.append(None)

    def check(self, run_id: str) -> None:
        """Raise WatcherTooSlow if events were lost."""
        if self._lost:
            raise WatcherTooSlow(
                f"more than {MOST_WAITING:,} live events waited for this watcher of run {run_id}",
                where=f"run {run_id}",
                repair="read events faster, as in a task of its own, or watch again: events(after=…) continues",
            )


__all__ = ["JOINED_FROM", "MOST_WAITING", "Watcher"]
