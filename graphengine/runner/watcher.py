"""What waits for a watcher of a run, within a bound: a subscriber that does not read must not fill the memory.

Up to `JOINED_FROM` events wait as they are. From then on the pieces of one text wait as one, of which the last 100,000
characters are kept, and a newer partial answer replaces an older one. At `MOST_WAITING` the recorded steps are left
out: they are read from the store again. If that is not enough, the watcher gets an error in place of the rest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from graphengine.agents.live_events import AnswerReset, Kept, PartialAnswer, TextDelta, ThinkingDelta
from graphengine.errors import WatcherTooSlow
from graphengine.runner.live_events import NodeBegan
from graphengine.runner.run_events import StepRecorded

if TYPE_CHECKING:
    from graphengine.runner.run_events import Event

JOINED_FROM: Final = 1_000
MOST_WAITING: Final = 10_000

_Growing: TypeAlias = "TextDelta | ThinkingDelta | PartialAnswer"


class _Joined:
    """The pieces of a text, or the newest partial answer."""

    __slots__ = ("_kept", "event", "key")

    def __init__(self, event: _Growing, key: tuple[object, ...]) -> None:
        self.event: _Growing = event
        self.key = key
        self._kept = Kept()
        if not isinstance(event, PartialAnswer):
            self._kept.add(event.text)

    def add(self, event: _Growing) -> None:
        """Add a piece, or replace the partial answer."""
        if isinstance(event, PartialAnswer):
            self.event = event
        else:
            self._kept.add(event.text)

    def whole(self) -> _Growing:
        """Return it as one event."""
        if isinstance(self.event, PartialAnswer):
            return self.event
        text, skipped = self._kept.end()
        return replace(self.event, text=text, skipped=self.event.skipped + skipped)


class Watcher(asyncio.Queue["Event | None"]):
    """The events that wait for one watcher of a run; None ends them.

    Attributes:
        is_behind: Whether recorded steps were left out.
    """

    is_behind: bool

    def _init(self, maxsize: int) -> None:  # noqa: ARG002 - of asyncio.Queue
        self._queue: deque[Event | _Joined | None] = deque()
        self._growing: dict[tuple[object, ...], _Joined] = {}
        self._lost = False
        self.is_behind = False

    def _put(self, item: Event | None) -> None:
        if self._lost:
            return
        if len(self._queue) < JOINED_FROM:
            self._queue.append(item)
        elif isinstance(item, (TextDelta, ThinkingDelta, PartialAnswer)):
            key = type(item), item.path, item.agent, item.call, item.turn, item.attempt
            if key in self._growing:
                self._growing[key].add(item)
            else:
                joined = self._growing[key] = _Joined(item, key)
                self._queue.append(joined)
        else:
            if isinstance(item, AnswerReset):
                self._growing.clear()  # what comes next is not joined to what does not count any more
            self._queue.append(item)
        if len(self._queue) > MOST_WAITING:
            self._make_room()

    def _get(self) -> Event | None:
        item = self._queue.popleft()
        if isinstance(item, _Joined):
            self._growing.pop(item.key, None)
            return item.whole()
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
