"""Following a run, whichever process drives it: its steps, its status, its end. Nothing here writes.

A run that this Runner drives is followed by its own handle, with live events. Any other one is polled: its row a few
times a second and, when its seq has changed, its new steps.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from graphengine.engine.steps import OVER
from graphengine.errors import GraphEngineError, UnknownRun, WatcherTooSlow
from graphengine.history.load import load_snapshot
from graphengine.history.polling import polled
from graphengine.history.visits import Visits
from graphengine.history.waits import waits_of
from graphengine.runner.result import RunFailed
from graphengine.runner.run import Run
from graphengine.runner.run_events import RunEnded, StatusChanged, StepRecorded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from graphengine.engine.snapshot import Snapshot
    from graphengine.runner.result import Result
    from graphengine.runner.run_events import Event
    from graphengine.stores.base import RunInfo, Store

S = TypeVar("S")


class Follower:
    """Follows one run of a store, for one caller.

    Args:
        store: The store.
        run_id: The run.
        here: Returns the handle of the run if this process drives it, or is about to; else None.
        result: Returns the result for a run's snapshot.
        wait_out: Whether to continue while the run waits, or while no process drives it.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        here: Callable[[], Run[Any] | None],
        result: Callable[[Snapshot, RunInfo], Result[Any]],
        *,
        wait_out: bool,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._here = here
        self._result = result
        self._wait_out = wait_out
        self._last = 0

    def events(self, after: int | None) -> AsyncGenerator[Event, None]:
        """Return the events of the run: its steps after seq `after`, live ones, and its end; None for only new ones.

        If the run is driven here, it is watched from this call on.
        """
        run = self._here()
        return self._events(after, run, run.events(after or 0) if run is not None else None)

    async def _events(
        self, after: int | None, run: Run[Any] | None, first: AsyncGenerator[Event, None] | None
    ) -> AsyncGenerator[Event, None]:
        if run is None or after is None:
            info = await self._store.info(self._run_id)
            self._last = info.seq if after is None else after
        else:
            self._last = after
        while True:
            if run is not None:
                ended: RunEnded | None = None
                async with aclosing(self._live(first or run.events(self._last))) as live:
                    async for event in live:
                        if isinstance(event, RunEnded):
                            ended = event
                        else:
                            yield event
                if ended is not None and (ended.result.status in OVER or not self._wait_out):
                    yield ended
                    return
            async with aclosing(self._polled()) as recorded:
                async for event in recorded:
                    yield event
                    if isinstance(event, RunEnded):
                        return
            run, first = self._here(), None

    async def _live(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """Yield the events of a handle. If the run could not be begun or claimed here, there are none."""
        async with aclosing(events):
            try:
                async for event in events:
                    if isinstance(event, StepRecorded):
                        if event.seq <= self._last:
                            continue
                        self._last = event.seq
                    yield event
            except WatcherTooSlow:
                raise
            except GraphEngineError:
                return

    async def _polled(self) -> AsyncGenerator[Event, None]:
        """Yield what another process records, until the run is over, or is driven here."""
        info = await self._store.info(self._run_id)
        visits = Visits(await load_snapshot(self._store, self._run_id, info.seq), keeps=False)  # not at a later step
        snapshot = visits.snapshot
        reported: tuple[object, ...] = ()
        async with aclosing(polled(self._store, info, self._last)) as polls:
            async for row, steps in polls:
                for step in steps:
                    self._last = step.seq
                    if step.seq > snapshot.seq:
                        visits.feed(step)
                    yield StepRecorded(step.seq, step)
                is_idle = row.status != "running" or (row.driver is None and not row.queued)
                if row.status in OVER or (is_idle and not self._wait_out):
                    yield RunEnded(self._result(snapshot, row))
                    return
                waits = tuple(waits_of(snapshot))
                standing = (row.status, row.driver, [wait.name for wait in waits])
                if standing != reported:
                    reported = standing
                    yield StatusChanged(row.status, row.driver, waits)
                if self._here() is not None:
                    return


class Followed(Run[S]):
    """A handle on a run that is not driven here: in another process, waiting, or over. It only reads.

    Args:
        run_id: The run.
        follow: Returns the run's events after a seq; None for only new ones.
    """

    def __init__(self, run_id: str, follow: Callable[[int | None], AsyncGenerator[Event, None]]) -> None:
        self.id = run_id
        self._follow = follow

    def events(self, after: int = 0) -> AsyncGenerator[Event, None]:
        """Iterate over recorded steps after seq `after`, changes of the status, and the result, as `Run.events` does.

        It ends when the run is over, waits, or no process drives it. A run of another process has no live events.

        Raises:
            UnknownRun: When iterated.
        """
        return self._follow(after)

    async def ended(self) -> None:
        """Return when no process drives it. Raises: UnknownRun."""
        async for _ in self._follow(None):
            pass

    async def begun(self) -> None:
        """Return at once: it is recorded already."""

    async def result(self) -> Result[S]:
        """Wait until no process drives it, and return its result: finished, waiting, stopped, or running if it died.

        Raises:
            RunFailed: It failed; the error has the result.
            UnknownRun: It is not recorded.
        """
        result: Result[S] | None = None
        async for event in self._follow(None):
            if isinstance(event, RunEnded):
                result = event.result
        if result is None:
            raise UnknownRun(f"run {self.id} was removed", where=f"run {self.id}")
        if result.status == "failed":
            raise RunFailed(result)
        return result
