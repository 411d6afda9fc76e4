"""The Ticker of a worker: starts the runs of schedules at their times, once over all workers.

The name and the time of a tick are the id of its run, so that a tick that two workers see, or one that is repeated
after a crash, starts nothing more: the second start raises `RunExists`. Only then the schedule moves to its next tick.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from graphengine.errors import InputError, RunExists
from graphengine.runner.schedules import as_schedule, next_tick, run_id_of, ticks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.graph.definition import GraphDefinition
    from graphengine.runner.runner import Runner
    from graphengine.runner.schedules import Schedule
    from graphengine.stores.base import KeptSchedule

LATE_SECONDS: Final = 60.0
"""A tick that a worker sees later than this was missed."""

_AT_ONCE: Final = 100
_NEVER: Final = float("inf")


class Ticker:
    """Starts the runs of schedules whose time has come.

    Args:
        runner: What starts them.
        graphs: The graphs by name; schedules of others are left to other workers.
    """

    def __init__(self, runner: Runner, graphs: Mapping[str, GraphDefinition[Any]]) -> None:
        self._runner = runner
        self._graphs = graphs
        self._seen_at = _NEVER
        self._aside: dict[str, float] = {}

    async def tick(self) -> InputError | None:
        """Start what is due. Return why the last schedule that could not be started could not; it is tried again.

        Raises:
            StoreError: The store failed.
        """
        now, store = self._runner.clock.now(), self._runner.store
        is_back, self._seen_at = now < self._seen_at, now  # also the first time
        trouble: InputError | None = None
        for kept in await store.schedules():
            schedule = as_schedule(kept)
            if schedule.graph not in self._graphs or schedule.paused or self._aside.get(kept.name, 0.0) > now:
                continue
            try:
                if kept.next_at <= now:
                    await self._start(schedule, kept, now)
                elif is_back and (earlier := next_tick(schedule, now)) < kept.next_at:
                    # 1. The clock jumps ahead, and a tick of that future time is started. 2. The clock is corrected.
                    # 3. Without this, nothing would be started until the clock reaches that time again.
                    await store.move_schedule(kept.name, kept.next_at, earlier)
            except InputError as error:  # the graph has changed: only a person can decide
                self._aside[kept.name] = now + LATE_SECONDS
                trouble = error
        return trouble

    async def _start(self, schedule: Schedule, kept: KeptSchedule, now: float) -> None:
        """Start the runs of ticks that are not later than now, then move the schedule to the next one."""
        due = [kept.next_at]
        after = kept.next_at
        for tick in ticks(schedule, kept.next_at):
            if tick > now:
                after = tick
                break
            if schedule.missed == "all" and len(due) == _AT_ONCE:  # the next call starts the others
                after = tick
                break
            due = [*due, tick] if schedule.missed == "all" else [tick]
        if schedule.missed == "skip":
            due = [tick for tick in due if now - tick <= LATE_SECONDS]
        for tick in due:
            await self._begin(schedule, tick)
        await self._runner.store.move_schedule(kept.name, kept.next_at, after)

    async def _begin(self, schedule: Schedule, tick: float) -> None:
        place = {"queue": schedule.queue, "priority": schedule.priority, "key": schedule.key}
        run = self._runner.start(
            self._graphs[schedule.graph],
            schedule.input,
            run_id=run_id_of(schedule.name, tick),
            tags=schedule.tags,
            **place,  # type: ignore[arg-type]  # as `start` names them
        )
        with suppress(RunExists):  # another worker was faster, or this one before it died
            await run.result()


__all__ = ["Ticker"]
