"""A session: one run as a process drives it. `commit` is the only way to move a run.

    decide   the step of an event, from the plan and the snapshot                `engine.machine`
    fold     the step into the snapshot                                          `engine.fold`
    append   the steps to the log, with the caller's function
    ready    the tasks to start, once the steps are durable                      `engine.ready`

Everything that moves a run uses a session: the loop that drives runs, start, resume, branch and stop, nodes that run
alone, and the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from graphengine.engine.fold import evolve
from graphengine.engine.lookup import RunState, StaleEvent
from graphengine.engine.machine import decide
from graphengine.engine.ready import ready

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from graphengine.engine.events import Event
    from graphengine.engine.snapshot import Task
    from graphengine.engine.steps import Decided

Appender: TypeAlias = "Callable[[Sequence[Decided]], Awaitable[None] | None]"
"""Appends steps to a store.

Returns an awaitable that completes when the steps are durable, or None if they are durable already.
"""


class Commit(Struct):
    """What one call of `Session.commit` decided.

    Attributes:
        steps: The steps that were decided for the events, in order. Stale events lead to no step.
        durable: Await this before anything acts on the steps or shows them, and before `Session.take_tasks`. None if
            the steps are already durable. If it raises, the snapshot is ahead of the log and must not be used again.
    """

    steps: Sequence[Decided]
    durable: Awaitable[None] | None


class Session(RunState):
    """A run that this process drives. Only the method `commit` changes the run."""

    __slots__ = ()

    def decide(self, event: Event) -> Decided:
        """Return the step that an event leads to, without changing the run.

        Only caches are changed; see `machine.decide`.
        """
        return decide(self, event)

    def commit(self, events: Iterable[Event], append: Appender) -> Commit:
        """Turn events into steps, apply the steps to the run in memory, and append them to the log.

        Events that have become stale are skipped. For example, an arm of a fork may report its result after the join no
        longer waits for it.

        Args:
            events: What happened, in order.
            append: Called once with all steps, if there are any.

        Raises:
            InvalidUpdate, NotRecordable, TooLarge: The state changes with which a new branch should begin do not fit.
        """
        snapshot, changed = self.snapshot, self.changed
        steps: list[Decided] = []
        for event in events:
            try:
                step = decide(self, event)
            except StaleEvent:
                continue
            evolve(snapshot, step)  # the same as `fold`, in place, because a call for each step would cost time
            if step.state_bytes:
                self.size_bytes, self.measured_at = step.state_bytes, step.seq
            changed += snapshot.changed
            steps.append(step)
        return Commit(steps, append(steps) if steps else None)

    def fold(self, step: Decided) -> None:
        """Apply a step to the run in memory, without appending the step to the log.

        The caller must be about to append the step to the log. A step that is durable already may be applied if no
        other step was decided since.
        """
        evolve(self.snapshot, step)
        if step.state_bytes:
            self.size_bytes, self.measured_at = step.state_bytes, step.seq
        self.changed += self.snapshot.changed

    def tasks(self) -> list[Task]:
        """Return all tasks of the run that are ready to be started."""
        return ready(self.snapshot)

    def take_tasks(self, *, anew: bool = False) -> list[Task]:
        """Return the tasks that became ready since the last call or, with `anew`, all tasks that are ready."""
        changed, self.changed = self.changed, []
        return ready(self.snapshot, None if anew else changed)
