"""Tasks of a run that run next to others, and the joins that follow them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.engine.phases import Forked
from graphengine.engine.ready import ready

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Iterator

    from graphengine.engine.events import Event
    from graphengine.engine.session import Session
    from graphengine.engine.snapshot import Task
    from graphengine.runner.attempt import TaskRunner
    from graphengine.runner.context import Host
    from graphengine.stores.base import Store


def with_joins(
    store: Store, host: Host, session: Session, tasks: TaskRunner, events: Iterable[Event]
) -> Iterable[Event]:
    """Return events to commit, and after them those of the joins that they make possible, unless the run is stopped.

    A join runs no node, so that the arms need not be durable before. One commit saves a write to the disk.
    """
    return _with_joins(host, session, tasks, events) if store.shared else events


def _with_joins(host: Host, session: Session, tasks: TaskRunner, events: Iterable[Event]) -> Iterator[Event]:
    yield from events
    snapshot = session.snapshot  # as it is after the steps of these events
    for key in dict.fromkeys(session.changed) if not host.is_halting else ():
        frame = snapshot.frames.get(key)
        if frame is not None and type(frame.phase) is Forked:
            for task in ready(snapshot, (key,)):
                event = tasks.move(task) if task.mode == "join" else None
                if event is not None:
                    yield event


class Job:
    """A task that runs next to others.

    Attributes:
        task: The task.
        within: The asyncio task that runs it, maybe after others that did not suspend; None if it has not begun.
        is_over: Whether it has ended.
    """

    __slots__ = ("is_over", "task", "within")

    def __init__(self, task: Task) -> None:
        self.task = task
        self.within: asyncio.Task[None] | None = None
        self.is_over = False
