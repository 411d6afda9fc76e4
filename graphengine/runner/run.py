"""A Run: the read-only handle on the life of a run."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Generic, NoReturn, TypeVar

from graphengine.errors import RunnerClosed
from graphengine.graph.elsewhere import OF_A_RESULT, missing
from graphengine.runner.live_events import NodeBegan
from graphengine.runner.notebooks import html_of
from graphengine.runner.result import result_of, unless_failed
from graphengine.runner.run_events import RunEnded, StepRecorded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from graphengine.engine.steps import Step
    from graphengine.runner.life import Life
    from graphengine.runner.result import Result
    from graphengine.runner.run_events import Event
    from graphengine.runner.watcher import Watcher

S = TypeVar("S")

_HINTS: Final = dict.fromkeys(OF_A_RESULT, "its result has it: result = await run.result()")


class Run(Generic[S]):
    """A run that is being driven in the background.

    Attributes:
        id: Its id.
    """

    def __init__(self, life: Life[S]) -> None:
        self.id = life.id
        self._life = life

    def __repr__(self) -> str:
        return f"Run({self.id!r})"

    if not TYPE_CHECKING:  # type checkers know what it has

        def __getattr__(self, name: str) -> NoReturn:
            missing(self, name, _HINTS)

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows: how far a run is that is driven here, or as `Result` does; else its repr."""
        life = self._life
        if life.driving is not None:
            snapshot = life.driving.snapshot
            return html_of(result_of(life.plan, snapshot), snapshot)
        return None if life.result is None else life.result._repr_html_()

    @property
    def is_going(self) -> bool:
        """Whether it is alive here: driven, about to be, or asleep."""
        return not self._life.task.done()

    async def ended(self) -> None:
        """Return when it is no longer driven, for whatever reason."""
        await self._life.over.wait()

    async def result(self) -> Result[S]:
        """Wait until it is no longer driven, and return its result: finished, waiting, stopped, or running if released.

        `Runner.release` releases a run, and so does a Runner that closes.

        Raises:
            RunFailed: It failed; the error has the result.
            RunnerClosed: The runner was closed before the run was recorded.
            GraphEngineError: It could not be started, recorded or claimed.
        """
        return unless_failed(await self._life.outcome())

    async def begun(self) -> None:
        """Return when its first step is durable, or when it has ended without one."""
        await self._life.begun.wait()

    def live(self) -> Watcher:
        """Return a queue of what happens from now on, for the command line and the inspector; None is the end."""
        return self._life.audience.joined()

    def events(self, after: int = 0) -> AsyncGenerator[Event, None]:
        """Iterate over what happens until the run ends: recorded steps after seq `after`, and live events.

        The last event is `RunEnded`, with the result that `result()` returns, or with that of a failed run.

        The run is watched from this call on, even if the iterator is awaited later. Call it before anything else is
        awaited, or at most one turn of the event loop later, to get all live events. A later watcher gets what the
        agents' calls in flight have shown of their current turn, in one piece each, at most the last 100,000
        characters; what was shown of earlier turns is in the recorded steps.

        A watcher that does not keep up loses no recorded step. The pieces of a text that it has not read become one
        piece, of which the last 100,000 characters are kept.

        Raises:
            WatcherTooSlow: When iterated, if more than 10,000 other live events wait.
            GraphEngineError: When iterated, if the run could not be begun or claimed, as `RunIsDriven`, or recorded.
        """
        audience = self._life.audience
        queue = audience.joined()
        events = self._events(queue, after)
        weakref.finalize(events, audience.left, queue).atexit = False  # also if it is never iterated
        return events

    async def _events(self, queue: Watcher, after: int) -> AsyncGenerator[Event, None]:
        last, life = after, self._life
        try:
            await self.begun()
            if not life.seq:
                yield RunEnded(life.ended_with())
                return
            for step in await self._steps(after, life.last_seq):
                last = step.seq
                yield StepRecorded(step.seq, step)
            while not (life.task.done() and queue.empty()):
                events = await self._next(queue, last)
                if events is None:
                    break
                for event in events:
                    if isinstance(event, StepRecorded):
                        last = event.seq
                    yield event
            for step in await self._steps(last, life.last_seq) if queue.is_behind else ():
                last = step.seq
                yield StepRecorded(step.seq, step)
            queue.check(self.id)
            if not life.task.cancelled():  # else the event loop ends: there is no result
                ended = RunEnded(life.ended_with())
                with suppress(RunnerClosed):  # then a later watcher gets them
                    for step in await self._steps(last, ended.result.seq):  # not recorded by its driver: it was asleep
                        yield StepRecorded(step.seq, step)
                yield ended
        finally:
            life.audience.left(queue)

    async def _next(self, queue: Watcher, last: int) -> Sequence[Event] | None:
        """Return the next event, with the steps that were left out before it; none if it is old, None at the end."""
        event = await queue.get()
        if isinstance(event, StepRecorded):
            left_out = await self._steps(last, event.seq - 1)
            return [*(StepRecorded(step.seq, step) for step in left_out), event] if event.seq > last else ()
        if isinstance(event, NodeBegan) and event.after < last:
            return ()  # its end was among the recorded steps
        return None if event is None else (event,)

    async def _steps(self, after: int, upto: int) -> Sequence[Step]:
        return await self._life.shared.store.steps(self.id, after, upto) if upto > after else ()
