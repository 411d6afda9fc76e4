"""The recorded work of one attempt that is in flight, and how a wait ends the attempt.

A wait without an answer ends the attempt. First, recorded calls in flight finish. Then the node's asyncio task is
cancelled, as by a timeout, and the runner records the waits. A tool's call that waits inside cannot finish: it is cut
off with the attempt, and repeated when the node runs again, with the work recorded inside it. Work that is in flight
when an attempt ends for another reason is cancelled.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from graphengine.engine.steps import WaitRecord
    from graphengine.runner.attempt import Attempt

_TURNS: Final = 4
"""Turns of the event loop between a wait and the end of its attempt, because the wait may be obsolete by then:

1. A node races a recorded call against `ctx.ask`, with `asyncio.wait`. 2. The call finishes, so nothing but the wait
is left. 3. The race wakes, and cancels the loser, which withdraws its wait. Ending the attempt at 2 would ask a
question whose answer is not needed. From 2 to 3 takes three turns: one for the task's callback, one for the race, one
for the cancellation; the fourth is to spare."""


class InFlight:
    """What one attempt has in flight.

    Args:
        attempt: The attempt.

    Attributes:
        waits: Its waits, by name.
        halts: Whether it must end without waiting for anything, to run again when the run is resumed.
        cut_short: The names of the calls that were in flight when it ended.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._busy: dict[str, tuple[str, asyncio.Task[Any] | None]] = {}
        self._held: Counter[str] = Counter()
        self._parked: set[asyncio.Future[None]] = set()
        self._idle: asyncio.Future[None] | None = None
        self.waits: dict[str, WaitRecord] = {}
        self.halts = False
        self.cut_short: Sequence[str] = ()

    def began(self, place: str, name: str) -> None:
        """Note that the calling asyncio task begins work with this key."""
        self._busy[place] = (name, asyncio.current_task())

    def ended(self, place: str) -> None:
        """Note that work is no longer in flight."""
        del self._busy[place]
        self._end_soon()
        if not self._busy and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def park(self, around: Sequence[str]) -> None:
        """Wait for the end of the attempt, and allow it to end. Never returns.

        Args:
            around: The keys of the work inside which this waits, which cannot finish.
        """
        if self._attempt.state != "running":  # the node suppressed the cancellation: cancel it again
            await asyncio.sleep(0)
            raise asyncio.CancelledError
        self._held.update(around)
        parked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parked.add(parked)
        self._end_soon()
        try:
            await parked  # the attempt ends here
        finally:
            self._parked.discard(parked)
            self._held.subtract(around)

    async def end(self) -> None:
        """Cancel what is in flight after the attempt, and return when it has ended."""
        for parked in tuple(self._parked):
            parked.cancel()
        self.cut_short = sorted({name for name, _ in self._busy.values()})
        for task in {task for _, task in self._busy.values()}:
            if task is not None:
                task.cancel()
        while self._busy:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def _end_soon(self) -> None:
        """End the attempt in a few turns, unless work that will be recorded is in flight then."""
        if (self.waits or self.halts) and not self._is_busy():
            asyncio.get_running_loop().call_soon(self._end, _TURNS)

    def _end(self, turns: int) -> None:
        attempt = self._attempt
        if turns:  # see `_TURNS`
            asyncio.get_running_loop().call_soon(self._end, turns - 1)
        elif attempt.state == "running" and not self._is_busy() and (self.waits or self.halts):
            attempt.cancel_to_end()

    def _is_busy(self) -> bool:
        """Return whether any work in flight can finish before the attempt ends."""
        return any(not self._held[place] for place in self._busy)
