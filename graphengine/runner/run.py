"""A Run: the read-only handle on a run, and how a run is followed, whichever process drives it.

A run that lives here is followed live. Any other one is polled: its row a few times a second and, when its seq has
changed, its new steps. Nothing here writes.
"""

from __future__ import annotations

import weakref
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, NoReturn, TypeVar

from graphengine.engine.steps import OVER
from graphengine.errors import GraphEngineError, RunnerClosed, UnknownRun, WatcherTooSlow
from graphengine.graph.elsewhere import OF_A_RESULT, missing
from graphengine.history.load import load_snapshot, polled, waits_of
from graphengine.history.visits import Visits
from graphengine.runner.result import RunFailed, html_of, result_of
from graphengine.runner.run_events import NodeBegan, RunEnded, StatusChanged, StepRecorded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.engine.steps import Step
    from graphengine.runner.life import Life
    from graphengine.runner.result import Result
    from graphengine.runner.run_events import Event, Watcher
    from graphengine.stores.base import Store

S = TypeVar("S")

_HINTS: Final = dict.fromkeys(OF_A_RESULT, "its result has it: result = await run.result()")


class Reading(NamedTuple):
    """How the handles of one Runner read runs.

    Attributes:
        store: The store.
        life_of: Returns the life of a run that lives here, by its id.
        plan_by: Returns the plan with a fingerprint, if its graph is in use here.
        known: Opens the store, and waits until a run that was just started here is recorded.
    """

    store: Store
    life_of: Callable[[str], Life[Any] | None]
    plan_by: Callable[[str], Plan[Any] | None]
    known: Callable[[str], Awaitable[None]]


class Run(Generic[S]):
    """A run: driven in the background here or by another process, waiting, or over. A handle only reads.

    If the handle that started or resumed a run is dropped, and nobody got its error by `result()`, or by its events to
    the end, the logger `graphengine.runner` gets the error, once.

    Attributes:
        id: Its id.
    """

    def __init__(
        self, run_id: str, reading: Reading, life: Life[S] | None = None, plan: Plan[Any] | None = None
    ) -> None:
        self.id = run_id
        self._reading = reading
        self._life = life
        self._plan = plan

    def __repr__(self) -> str:
        return f"Run({self.id!r})"

    if not TYPE_CHECKING:  # type checkers know what it has

        def __getattr__(self, name: str) -> NoReturn:
            missing(self, name, _HINTS)

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows: how far a run is that is driven here, or as `Result` does; else its repr."""
        life = self._life
        if life is not None and life.driving is not None:
            snapshot = life.driving.snapshot
            return html_of(result_of(life.plan, snapshot), snapshot)
        return None if life is None or life.result is None else life.result._repr_html_()

    @property
    def is_going(self) -> bool:
        """Whether it is alive here: driven, about to be, or asleep."""
        return self._life is not None and not self._life.task.done()

    async def ended(self) -> None:
        """Return when it is no longer driven, for whatever reason. Raises: UnknownRun."""
        if self._life is not None:
            await self._life.over.wait()
            return
        with suppress(RunFailed):
            await self.result()

    async def result(self) -> Result[S]:
        """Wait until it is no longer driven, and return its result: finished, waiting, stopped, or running if released.

        `Runner.release` releases a run, and so does a Runner that closes, and the death of the process that drives it.

        Raises:
            RunFailed: It failed; the error has the result.
            RunnerClosed: The runner was closed before the run was recorded.
            UnknownRun: It is not recorded.
            GraphEngineError: It could not be started, recorded or claimed.
        """
        result: Result[S] | None = None
        life = self._life or self._reading.life_of(self.id)  # it can have been resumed here after `get`
        if life is not None:
            try:
                result = await life.outcome()
                life.is_retrieved = True
            except Exception as error:
                if life is self._life or not isinstance(error, GraphEngineError):
                    life.is_retrieved = True
                    raise  # else it could not be claimed here: another process has it
        if result is None:
            async for event in self._events(None, None, wait_out=False):
                if isinstance(event, RunEnded):
                    result = event.result
        if result is None:
            raise UnknownRun(f"run {self.id} was removed", where=f"run {self.id}")
        if result.status == "failed":
            raise RunFailed(result)
        return result

    async def begun(self) -> None:
        """Return when its first step is durable, or when it has ended without one."""
        if self._life is not None:
            await self._life.begun.wait()

    def live(self) -> Watcher:
        """Return a queue of what happens from now on to a run that lives here; None is the end.

        For the command line and the inspector.
        """
        if self._life is None:
            raise UnknownRun(f"run {self.id} does not live here", where=f"run {self.id}")
        return self._life.audience.joined()

    def events(self, after: int = 0, *, wait_out: bool = False) -> AsyncGenerator[Event, None]:
        """Iterate over what happens: recorded steps after seq `after`, live events, changes of the status, and the end.

        The last event is `RunEnded`, with the result that `result()` returns, or with that of a failed run.

        A run of this process is watched from this call on, even if the iterator is awaited later. Call it before
        anything else is awaited, or at most one turn of the event loop later, to get all live events. A later watcher
        gets what the agents' calls in flight have shown of their current turn, in one piece each, at most the last
        100,000 characters; what was shown of earlier turns is in the recorded steps. A run of another process has no
        live events, but `StatusChanged` whenever its status, its driver or its waits have changed.

        A watcher that does not keep up loses no recorded step. The pieces of a text that it has not read become one
        piece, of which the last 100,000 characters are kept.

        Args:
            after: Leave out the steps up to this seq; for a client that reconnects.
            wait_out: Whether to continue while the run waits, or while no process drives it, until it is over.

        Raises:
            WatcherTooSlow: When iterated, if more than 10,000 other live events wait.
            UnknownRun: When iterated, if it is not recorded.
            GraphEngineError: When iterated, if the run could not be begun or claimed, as `RunIsDriven`, or recorded;
                with `wait_out` what is recorded is followed then.
        """
        life = self._life or self._reading.life_of(self.id)
        if life is None:
            return self._events(after, None, wait_out=wait_out)
        queue = life.audience.joined()
        events = self._events(after, (life, queue), wait_out=wait_out)
        weakref.finalize(events, life.audience.left, queue).atexit = False  # also if it is never iterated
        return events

    async def _events(
        self, after: int | None, living: tuple[Life[Any], Watcher] | None, *, wait_out: bool
    ) -> AsyncGenerator[Event, None]:
        """Yield the events after a seq, or only new ones; live ones first if it lives here."""
        if after is None:
            await self._reading.known(self.id)
            after = (await self._reading.store.info(self.id)).seq
        while True:
            if living is None:
                await self._reading.known(self.id)
            source = (
                self._polled(after, wait_out=wait_out) if living is None else _lived(*living, after, wait_out=wait_out)
            )
            async with aclosing(source) as events:
                async for event in events:
                    if isinstance(event, StepRecorded):
                        after = event.seq
                    yield event
                    if isinstance(event, RunEnded):
                        return
            if living is not None and not wait_out:
                return
            life = self._reading.life_of(self.id) if living is None else None
            living = None if life is None else (life, life.audience.joined())

    async def _polled(self, after: int, *, wait_out: bool) -> AsyncGenerator[Event, None]:
        """Yield what another process records after a seq, until the run is over, or lives here."""
        store = self._reading.store
        info = await store.info(self.id)
        visits = Visits(await load_snapshot(store, self.id, info.seq), keeps=False)  # not at a later step
        snapshot = visits.snapshot
        reported: tuple[object, ...] = ()
        async with aclosing(polled(store, info, after)) as polls:
            async for row, steps in polls:
                for step in steps:
                    if step.seq > snapshot.seq:
                        visits.feed(step)
                    yield StepRecorded(step.seq, step)
                is_idle = row.status != "running" or (row.driver is None and not row.queued)
                if row.status in OVER or (is_idle and not wait_out):
                    plan = self._plan or self._reading.plan_by(row.fingerprint)
                    yield RunEnded(result_of(plan, snapshot))
                    return
                waits = tuple(waits_of(snapshot))
                standing = (row.status, row.driver, [wait.name for wait in waits])
                if standing != reported:
                    reported = standing
                    yield StatusChanged(row.status, row.driver, waits)
                if self._reading.life_of(self.id) is not None:
                    return


async def _lived(life: Life[Any], queue: Watcher, last: int, *, wait_out: bool) -> AsyncGenerator[Event, None]:
    """Yield what a life records after seq `last`, its live events, and its end, unless the run is to be waited out."""
    try:
        await life.begun.wait()
        for step in await _steps(life, last, life.last_seq):
            last = step.seq
            yield StepRecorded(step.seq, step)
        async for event in _shown(life, queue, last):
            last = event.seq if isinstance(event, StepRecorded) else last
            yield event
        queue.check(life.id)
        if life.task.cancelled() and life.seq:  # the event loop ends: there is no result
            return
        if not wait_out:
            life.is_retrieved = True  # also by an error that is raised here
        ended = RunEnded(life.ended_with())
        with suppress(RunnerClosed):  # then a later watcher gets them
            for step in await _steps(life, last, ended.result.seq):  # not recorded by its driver: it was asleep
                yield StepRecorded(step.seq, step)
        if not wait_out or ended.result.status in OVER:
            life.is_retrieved = True
            yield ended
    except GraphEngineError as error:
        if not wait_out or isinstance(error, WatcherTooSlow):
            raise
    finally:
        life.audience.left(queue)


async def _shown(life: Life[Any], queue: Watcher, last: int) -> AsyncGenerator[Event, None]:
    """Yield what is shown while it lives, with the recorded steps after seq `last` that were left out."""
    while not (life.task.done() and queue.empty()):
        event = await queue.get()
        if event is None:
            break
        if isinstance(event, StepRecorded):
            if event.seq <= last:
                continue
            for step in await _steps(life, last, event.seq - 1):
                yield StepRecorded(step.seq, step)
            last = event.seq
        elif isinstance(event, NodeBegan) and event.after < last:
            continue  # its end was among the recorded steps
        yield event
    for step in await _steps(life, last, life.last_seq) if queue.is_behind else ():
        yield StepRecorded(step.seq, step)


async def _steps(life: Life[Any], after: int, upto: int) -> Sequence[Step]:
    return await life.shared.store.steps(life.id, after, upto) if upto > after else ()


__all__ = ["Reading", "Run"]
