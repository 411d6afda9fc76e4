"""How an agent in a run waits for its model: not longer than the run may continue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from graphengine.engine.ready import limit_over

if TYPE_CHECKING:
    from graphengine.engine.snapshot import Frame
    from graphengine.models.line import Clock
    from graphengine.runner.context import Surroundings
    from graphengine.runner.recorded_work import Work


class RunWaits:
    """The waits of one attempt, as `graphengine.models.line.Waits`.

    Args:
        around: What the attempts of the run share.
        frame: The frame of the attempt.
        work: Its recorded work.
    """

    __slots__ = ("_around", "_frame", "_work")

    def __init__(self, around: Surroundings, frame: Frame, work: Work) -> None:
        self._around = around
        self._frame = frame
        self._work = work

    @property
    def clock(self) -> Clock:
        """The clock of the lanes."""
        return self._around.clock

    async def first_of(self, *awaited: asyncio.Future[Any]) -> None:
        """Return when the first is done. If the run must stop first, or has reached a limit then, never return.

        The attempt then ends with its recorded work, and runs again when the run is resumed. Inside a `ctx.step`, which
        finishes first, only the wait counts.
        """
        host = self._around.host
        halted = asyncio.ensure_future(host.halted())
        try:
            await asyncio.wait({*awaited, halted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            halted.cancel()
        if self._work.is_inside:
            if not any(each.done() for each in awaited):
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        elif host.is_halting or limit_over(self._around.snapshot, self._frame):
            await self._work.halt()


__all__ = ["RunWaits"]
