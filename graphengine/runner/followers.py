"""What one run notifies while it is driven here: followers of extensions, watchers, and the log of runs."""

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


class Audience(Struct, eq=False):
    """Who watches one run.

    Attributes:
        watchers: The queues of those who are told what is recorded; None ends each.
        live: Those of them who want live events too: without any, none is made.
        in_flight: The calls that show live events, for watchers that join late.
    """

    watchers: list[asyncio.Queue[Event | None]] = []
    live: list[asyncio.Queue[Event | None]] = []
    in_flight: list[Showing] = []

    def show(self, event: Event) -> None:
        """Show a live event to all who want any."""
        for queue in self.live:
            queue.put_nowait(event)

    def tell(self, event: StepRecorded | None) -> None:
        """Tell all watchers of a recorded step, or of the end."""
        for queue in self.watchers:
            queue.put_nowait(event)

    def joined(self, *, live: bool = True) -> Watcher:
        """Return the queue of a new watcher."""
        queue = Watcher()
        if live:
            for showing in self.in_flight:
                for event in showing.so_far():
                    queue.put_nowait(event)
            self.live.append(queue)
        self.watchers.append(queue)
        return queue

    def left(self, queue: asyncio.Queue[Event | None]) -> None:
        """Remove a watcher."""
        for queues in (self.watchers, self.live):
            if queue in queues:
                queues.remove(queue)


# --- the log ------------------------------------------------------------------------------------------------------

runs_log = logging.getLogger("graphengine.runs")
"""When a run is driven here and how that ends, and each attempt that fails; other loggers of the library report only
what a programmer should change. Its handler does nothing, so without a configuration nothing is shown. Each record has
the fields `run`, `graph`, `node`, `attempt`, `code`, `status`, `seq` and `trace_id`, as far as they apply. What an
error says is not in it: it may quote a prompt, and the run has it."""
runs_log.addHandler(logging.NullHandler())


def log_run(snapshot: Snapshot, following: Following, *, is_over: bool) -> None:
    """Log that a run is driven here from now on, or no longer."""
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
    """Log an attempt that failed."""
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
