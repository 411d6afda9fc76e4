"""How an agent in a run waits for its model: not longer than the run may continue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from graphengine.engine.ready import limit_over

if TYPE_CHECKING:
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.runner.clock import Clock


class Halting(Protocol):
    """What drives the run, and may have to stop it."""

    @property
    def is_halting(self) -> bool:
        """Whether no more tasks are started."""
        ...

    async def halted(self) -> None:
        """Return when no more tasks are started."""
        ...


class Halted(Protocol):
    """The recorded work of an attempt."""

    @property
    def is_inside(self) -> bool:
        """Whether a `ctx.step` is being made."""
        ...

    async def halt(self) -> None:
        """End the attempt, and never return."""
        ...


class RunWaits:
    """The waits of one attempt, as `graphengine.models.limiter.Waits`.

    Args:
        clock: The clock of the limiters.
        host: What drives the run.
        snapshot: The run.
        frame: The frame of the attempt.
        work: Its recorded work.
    """

    __slots__ = ("_frame", "_host", "_snapshot", "_work", "clock")

    def __init__(self, clock: Clock, host: Halting, snapshot: Snapshot, frame: Frame, work: Halted) -> None:
        self.clock = clock
        self._host = host
        self._snapshot = snapshot
        self._frame = frame
        self._work = work

    async def first_of(self, *awaited: asyncio.Future[Any]) -> None:
        """Return when the first is done. If the run must stop first, or has reached a limit then, never return.

        The attempt then ends with its recorded work, and runs again when the run is resumed. Inside a `ctx.step`, which
        finishes first, only the wait counts.
        """
        host = self._host
        halted = asyncio.ensure_future(host.halted())
        try:
            await asyncio.wait({*awaited, halted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            halted.cancel()
        if self._work.is_inside:
            if not any(each.done() for each in awaited):
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        elif host.is_halting or limit_over(self._snapshot, self._frame):
            await self._work.halt()


__all__ = ["RunWaits"]
