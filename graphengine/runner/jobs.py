"""A task of a run that runs next to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from graphengine.engine.snapshot import Task


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
