"""A Runner that has queues: their schedules and limits, and what a worker needs of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from graphengine.kernel import InputError, QueueLimits
from graphengine.kernel import Runner as CoreRunner
from graphengine.kernel.definitions import compiled, is_seconds, is_tag
from graphengine.worker.schedules import Schedule, as_kept, as_schedule, checked, find, next_tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.definitions import GraphDefinition

S = TypeVar("S")


class QueueRunner(CoreRunner):
    """Schedules runs and limits queues, besides what a Runner does; workers take the runs of the queues."""

    async def schedule(self, schedule: Schedule, graph: GraphDefinition[Any], state: object = None) -> Schedule:
        """Start runs of a graph at given times: workers that have the graph start and drive them, each time once.

        Args:
            schedule: The times, and where the runs are queued; it replaces an earlier one of its name.
            graph: The graph.
            state: The initial state, or a mapping of its fields, as for `start`.

        Returns:
            The schedule with its next time.

        Raises:
            CompileError; InputError: The times, the zone or the state are invalid.

        Example:
            >>> from graphengine.worker import Schedule
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         daily = Schedule("daily", "0 7 * * *", count.name, zone="Europe/Berlin", missed="one")
            ...         print((await runner.schedule(daily, count, {"n": 1})).input)
            >>> asyncio.run(main())
            {'n': 1}
        """
        self._lives.check_usable()
        plan = compiled(graph)
        found = checked(replace(schedule, graph=plan.graph), plan, state, self._lives.shared.clock.now())
        await self.store.open()
        await self.store.keep_schedule(as_kept(found))
        return found

    async def schedules(self) -> Sequence[Schedule]:
        """Return the schedules, by name."""
        self._lives.check_usable()
        await self.store.open()
        return [as_schedule(kept) for kept in await self.store.schedules()]

    async def unschedule(self, name: str) -> None:
        """Remove a schedule; the runs that it started are not affected.

        Raises:
            InputError: There is no schedule of this name.
        """
        self._lives.check_usable()
        await self.store.open()
        await find(self.store, name)
        await self.store.drop_schedule(name)

    async def pause_schedule(self, name: str, *, paused: bool = True) -> Schedule:
        """Pause a schedule, or resume it at its next time. Missed runs are not started.

        Raises:
            InputError: There is no schedule of this name.
        """
        self._lives.check_usable()
        await self.store.open()
        found = replace(await find(self.store, name), paused=paused)
        found = replace(found, next_at=None if paused else next_tick(found, self._lives.shared.clock.now()))
        await self.store.keep_schedule(as_kept(found))
        return found

    async def limit_queue(self, queue: str, limits: QueueLimits | None) -> None:
        """Set how much of a queue is driven at a time, and begins in a time, over all workers; None: no limits.

        Instead of a queue, `graph:NAME` or `tenant:NAME` can be paused: workers take none of their runs from any queue,
        a second later at most.

        Example:
            >>> from graphengine.stores.base import QueueLimits
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         await runner.limit_queue("mail", QueueLimits(concurrency=20, tenant_rate=(10, 60.0)))
            >>> asyncio.run(main())
        """
        self._lives.check_usable()
        check_limits(queue, limits)
        await self.store.open()
        await self.store.limit_queue(queue, limits)


_ONLY_PAUSED: Final = QueueLimits(paused=True)


def check_limits(queue: str, limits: QueueLimits | None) -> None:
    """Check the name and the limits of a queue.

    Raises:
        InputError: One is invalid.
    """
    where = f"queue {queue!r}"
    if not is_tag(queue):
        raise InputError(f"{queue!r} cannot be the name of a queue", where=where, repair="use printable characters")
    if limits is not None and queue.startswith(("graph:", "tenant:")) and limits not in (_ONLY_PAUSED, QueueLimits()):
        raise InputError(f"{queue} can only be paused", where=where, repair="limit the queue of its runs")
    for name in ("concurrency", "tenant_concurrency") if limits is not None else ():
        count = getattr(limits, name)
        if count is not None and (type(count) is not int or count < 1):
            raise InputError(f"{name}={count!r}", where=where, repair="give 1 or more, or None")
    if limits is not None and type(limits.paused) is not bool:
        raise InputError(f"paused={limits.paused!r}", where=where, repair="give True or False")
    for name in ("rate", "tenant_rate") if limits is not None else ():
        rate = getattr(limits, name)
        if rate is not None and not (len(rate) == 2 and type(rate[0]) is int and rate[0] > 0 and is_seconds(rate[1])):  # noqa: PLR2004 - a pair
            raise InputError(f"{name}={rate!r}", where=where, repair=f"give a count and seconds: {name}=(100, 60.0)")


__all__ = ["QueueRunner"]
