"""The objects that are notified of the progress of a run: followers of extensions, watchers and the log."""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from graphengine.engine.steps import Attempt, Failed
from graphengine.runner.run_events import Watcher

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import FailureRecord, Step
    from graphengine.runner.run_events import Event, Showing, StepRecorded

log = logging.getLogger("graphengine.runner")

_NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})


class Follower:
    """Receives notifications about one run while this process drives the run. Override the methods that you need.

    Attributes:
        labels: Fields that the follower adds to each log record about the run.
    """

    labels: Mapping[str, str] = _NO_LABELS

    def entered(self, frame: Frame) -> None:
        """Called before a node begins, in the node's context, so that context variables can be set for the node."""

    def ended(self, frame: Frame) -> None:
        """Called when an attempt that recorded work, such as calls, has ended. Its step is recorded afterwards."""

    def recorded(self, steps: Sequence[Step]) -> None:
        """Called when steps are durable.

        If nodes run in parallel, `recorded` can receive their steps in another order than the order of their numbers
        (`seq`).
        """

    async def left(self) -> None:
        """Called when this process no longer drives the run.

        `left` is not called for a run that was never driven in this process, for example because the run was only
        queued.
        """


class Following:
    """All followers of one run, which are the objects that extensions provide to be notified about the run.

    Only methods that a follower overrides are called, so the others cost nothing.
    """

    __slots__ = ("all", "ended", "entered", "left", "recorded")

    def __init__(self, followers: Sequence[Follower] = ()) -> None:
        self.all = followers
        self.entered: Sequence[Callable[[Frame], None]] = ()
        self.ended: Sequence[Callable[[Frame], None]] = ()
        self.left: Sequence[Callable[[], Awaitable[None]]] = ()
        self.recorded: Sequence[Callable[[Sequence[Step]], None]] = ()
        for each in followers:
            kind = type(each)
            if kind.entered is not Follower.entered:
                self.entered = (*self.entered, each.entered)
            if kind.ended is not Follower.ended:
                self.ended = (*self.ended, each.ended)
            if kind.left is not Follower.left:
                self.left = (*self.left, each.left)
            if kind.recorded is not Follower.recorded:
                self.recorded = (*self.recorded, each.recorded)

    async def leave(self) -> None:
        """Tell all followers that this process no longer drives the run.

        If a follower fails, the others are called nevertheless, because the result of the run is already recorded.
        """
        for left in self.left:
            try:
                await left()
            except Exception:
                log.exception("an extension failed after its run was left")

    @property
    def labels(self) -> Mapping[str, str]:
        """The fields that the followers add to log records about the run."""
        return {name: text for each in self.all for name, text in each.labels.items()}


NOBODY: Final = Following()


class Audience(Struct, eq=False):
    """The watchers of one run: readers of `Run.events` in this process.

    Attributes:
        watchers: The queues of all watchers, which receive recorded steps. None ends a queue.
        live: The queues of the watchers that want live events too. If this is empty, no live events are made.
        in_flight: The calls that show live events, for watchers that join late.
    """

    watchers: list[asyncio.Queue[Event | None]] = []
    live: list[asyncio.Queue[Event | None]] = []
    in_flight: list[Showing] = []

    def show(self, event: Event) -> None:
        """Send a live event, such as a piece of a model response, to all watchers that want live events."""
        for queue in self.live:
            queue.put_nowait(event)

    def tell(self, event: StepRecorded | None) -> None:
        """Send a recorded step to all watchers of the run, or tell them that this process no longer drives the run.

        For the latter, the watchers get None in place of a step.
        """
        for queue in self.watchers:
            queue.put_nowait(event)

    def joined(self, *, live: bool = True) -> Watcher:
        """Add a watcher of the run, and return the queue from which the watcher reads the events of the run.

        A watcher that joins while a model response is being streamed first gets the text that was shown so far.
        """
        queue = Watcher()
        if live:
            for showing in self.in_flight:
                for event in showing.so_far():
                    queue.put_nowait(event)
            self.live.append(queue)
        self.watchers.append(queue)
        return queue

    def left(self, queue: asyncio.Queue[Event | None]) -> None:
        for queues in (self.watchers, self.live):
            if queue in queues:
                queues.remove(queue)


# --- the log ------------------------------------------------------------------------------------------------------

runs_log = logging.getLogger("graphengine.runs")
"""Logs when a run is driven here and how that ends, and each attempt that fails.

Other loggers of the library report only what a programmer should change. The handler of this logger does nothing, so
nothing is shown unless logging is configured. Each record has the fields `run`, `graph`, `node`, `attempt`, `code`,
`status`, `seq` and `trace_id`, as far as they apply. The text of an error is left out, because it may quote a prompt.
The run contains it.
"""
runs_log.addHandler(logging.NullHandler())


def log_run(snapshot: Snapshot, following: Following, *, is_over: bool) -> None:
    """Write a line to the log that this process begins to drive a run or, with `is_over`, no longer drives it."""
    level = logging.WARNING if is_over and snapshot.status == "failed" else logging.INFO
    if not runs_log.isEnabledFor(level):
        return
    facts = _facts(snapshot, following)
    if is_over:
        verb = "released" if snapshot.status == "running" else snapshot.status
        facts["status"] = snapshot.status
        runs_log.log(level, "run %s is %s after step %d", facts["run"], verb, snapshot.seq, extra=facts)
    else:
        runs_log.info("run %s of graph %s is driven here", facts["run"], facts["graph"], extra=facts)


def log_failure(snapshot: Snapshot, following: Following, step: Step, failure: FailureRecord) -> None:
    if not (step.node and isinstance(step.data, (Attempt, Failed)) and runs_log.isEnabledFor(logging.WARNING)):
        return
    facts = {
        **_facts(snapshot, following),
        "node": step.path,
        "attempt": step.attempt,
        "code": failure.kind,
        "seq": step.seq,
    }
    then = "it is repeated" if isinstance(step.data, Attempt) else "it is not repeated"
    text = "node %s of run %s failed in attempt %d: %s; %s"
    runs_log.warning(text, step.path, facts["run"], step.attempt, failure.kind, then, extra=facts)


def _facts(snapshot: Snapshot, following: Following) -> dict[str, object]:
    return {"run": snapshot.run_id, "graph": snapshot.graph, "seq": snapshot.seq, "trace_id": "", **following.labels}
