"""The events that a watcher of a run receives: recorded steps, status changes, the end, and live events.

The number of events that wait for a watcher is limited, because a watcher that does not read must not fill the memory.
Up to `JOINED_FROM` events wait as they are. From then on, the pieces of a text are joined to one event, of which the
last 100,000 characters are kept, and a newer partial answer replaces an older one. At `MOST_WAITING` events, the
recorded steps are left out and later read from the store. If that is not enough, the watcher gets an error instead of
the remaining events.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol, TypeAlias

from graphengine.engine.steps import Outcome
from graphengine.errors import WatcherTooSlow

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from graphengine.engine.steps import Step
    from graphengine.history.load import Wait
    from graphengine.runner.result import Result
    from graphengine.stores.base import Status


class LiveEvent:
    """A live event that an extension shows while nodes run, such as a piece of an agent's model response.

    Each kind of live event is a subclass of `LiveEvent` and a dataclass. A program that watches a run receives the
    object itself.

    Attributes:
        event: The name of the event in JSON documents.
        ends_growth: Whether pieces of text after this event must not be joined to the pieces before it, when pieces are
            joined for a slow watcher.
    """

    __slots__ = ()
    event: ClassVar[str]
    ends_growth: ClassVar[bool] = False

    def growth(self) -> Growth | None:
        """Return an object that joins this event and later pieces like it to one event, for a slow watcher.

        None if events of this class cannot be joined.
        """
        return None


class Growth(Protocol):
    """Joins the pieces of a text, or similar live events, to one event for a slow watcher.

    Attributes:
        key: A value that tells which pieces belong together. Pieces with equal keys are joined.
    """

    @property
    def key(self) -> Hashable: ...

    def add(self, event: Any) -> None:  # noqa: ANN401 - of the type that made it
        """Add a further piece with this key."""
        ...

    def whole(self) -> LiveEvent:
        """Return all added pieces as one event."""
        ...


class Showing(Protocol):
    """A call in progress that shows live events, such as a model call whose response is being streamed."""

    def so_far(self) -> Iterable[LiveEvent]:
        """Return the events that a watcher who joins now has missed."""
        ...


@dataclass(frozen=True, slots=True)
class NodeBegan:
    """Live event: an attempt of a node has begun.

    Attributes:
        event: The name of the event in JSON documents.
        path: The path of the node.
        node: The name of the node.
        visit: The number of the visit of the node, from 1.
        attempt: The number of the attempt of the visit, from 1.
        at: When the attempt began, in epoch seconds.
        after: The number (`seq`) of the last step before the attempt.
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
    """Live event: a node showed data with `ctx.emit`.

    Attributes:
        event: The name of the event in JSON documents.
        path: The path of the node.
        data: The data that the node showed.
    """

    event: ClassVar[str] = "emitted"
    path: str
    data: object


@dataclass(frozen=True, slots=True)
class StepRecorded:
    """Event: a step of the run is durable. Each watcher gets all steps, in the order of their numbers.

    Attributes:
        seq: The number of the step in the run's log.
        step: The step.
        why: Why the edge was taken, as text: the results of the conditions. "" if the step took no edge.
    """

    seq: int
    step: Step
    why: str = ""

    def __str__(self) -> str:
        step = self.step
        to = f" → {', '.join(step.data.to)}" if isinstance(step.data, Outcome) and step.data.to else ""
        visit = f" {step.path} (visit {step.visit}, attempt {step.attempt})" if step.node else ""
        return f"{self.seq} {step.kind}{visit}{to}"


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """Event: the status, the driver or the waits of a run have changed. Only for runs that this process does not drive.

    Attributes:
        status: The status of the run, as used by `Runner.runs`.
        driver: The process that drives the run; None if no process does, or if its process has died.
        waits: The waits of the run.
    """

    status: Status
    driver: str | None
    waits: Sequence[Wait]


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The last event of a run that a watcher gets, because the run is over, waits, or was released.

    Attributes:
        result: The result. The result of a failed run contains its error.
    """

    result: Result[Any, Any]


Event: TypeAlias = "NodeBegan | Emitted | LiveEvent | StepRecorded | StatusChanged | RunEnded"


JOINED_FROM: Final = 1_000
MOST_WAITING: Final = 10_000


class _Joined(NamedTuple):
    """An event in a watcher's queue that grows: further pieces of the same text are joined to it."""

    growth: Growth


class Watcher(asyncio.Queue["Event | None"]):
    """The queue with the events for one watcher of a run. The entry None marks the end.

    Attributes:
        is_behind: Whether recorded steps were left out of the queue, so that the watcher must read them from the store.
    """

    is_behind: bool

    def _init(self, maxsize: int) -> None:  # noqa: ARG002 - of asyncio.Queue
        self._queue: deque[Event | _Joined | None] = deque()
        self._growing: dict[Hashable, Growth] = {}
        self._lost = False
        self.is_behind = False

    def begins_after(self, seq: int) -> bool:
        """Return whether the first event in the queue is the step that follows the step with this number."""
        first = self._queue[0] if self._queue else None
        return isinstance(first, StepRecorded) and first.seq == seq + 1

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
                self._growing.clear()  # Later pieces are not joined to pieces that no longer count.
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
        """Shorten the queue of a watcher that does not read fast enough, so that the queue does not grow without limit.

        Recorded steps are removed first, because they can be read from the store, and with them the events which say
        that a node began. If too many other events are left, all events are removed, and the watcher gets an error.
        """
        kept = [item for item in self._queue if not isinstance(item, (StepRecorded, NodeBegan))]
        self.is_behind = True
        self._lost = len(kept) > MOST_WAITING // 2
        self._queue = deque() if self._lost else deque(kept)
        if self._lost:
            self._growing.clear()
            self._queue.append(None)

    def check(self, run_id: str) -> None:
        """Check that this watcher has not lost events that cannot be read from the store.

        Raises:
            WatcherTooSlow: Events were lost, because the watcher did not read them fast enough.
        """
        if self._lost:
            raise WatcherTooSlow(
                f"more than {MOST_WAITING:,} live events waited for this watcher of run {run_id}",
                where=f"run {run_id}",
                repair="read the events faster, such as in a task of their own, or continue with events(after=…)",
            )
