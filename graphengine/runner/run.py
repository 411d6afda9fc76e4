"""A Run: the handle on a run that is being driven."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from graphengine.calls.caller_line import ends_at_caller
from graphengine.errors import RunIsDriven, RunnerClosed
from graphengine.graph.elsewhere import OF_A_RESULT, not_of_a_run, refuses
from graphengine.runner.live_events import NodeBegan
from graphengine.runner.result import unless_failed
from graphengine.runner.run_events import RunEnded, StepRecorded
from graphengine.runner.watcher import Watcher

if TYPE_CHECKING:
    import contextvars
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence

    from graphengine.agents.live_events import Live
    from graphengine.engine.steps import Step
    from graphengine.runner.loop import Driver
    from graphengine.runner.result import Result
    from graphengine.runner.run_events import Event
    from graphengine.stores.base import Store, Taken

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class InQueue:
    """Where a run is queued: its queue, its priority, and its key."""

    queue: str
    priority: int
    key: str | None


@refuses(OF_A_RESULT, partial(not_of_a_run, repair="result = await run.result()"))
@ends_at_caller
class Run(Generic[S]):
    """A run that is being driven in the background.

    Attributes:
        id: Its id.
    """

    context: contextvars.Context
    """Its nodes run in copies of this; set by the supervisor when it begins."""

    def __init__(self, run_id: str, store: Store | None) -> None:
        self.id = run_id
        self.watchers: list[asyncio.Queue[Event | None]] = []
        self.in_flight: set[Live] = set()  # the calls of agents here, with what they have shown so far
        self.waits_out = True  # whether to wait here if it waits only for a time; set by the runner
        self.due_only = False  # leave it alone if it failed or was stopped: no caller asked to resume it
        self.tags: tuple[str, ...] = ()  # the tags it begins with; set by the runner
        self.place: InQueue | None = None  # the queue in which it is to begin; set by the runner
        self.taken: Taken | None = None  # what a worker took, to be resumed; set by the runner
        self.is_of_worker = False  # once it waits, only `Store.take` may continue it; set by the runner
        self.is_parked = False  # takes no more messages, because it waits for one; set by the supervisor
        self.is_hidden = False  # its first events have no watcher; set by the runner
        self.is_held_back = False  # recorded, but not opened here until no other run is; set by the runner
        self.released = False  # released, for another process to resume; set by the runner
        self.is_clean = True  # its asyncio task still has that context: no node set a variable in it; set by the driver
        self.driver: Driver | None = None  # what drives it here; set by the supervisor
        self._store = store
        self._task: asyncio.Task[Result[S] | None] | None = None
        self.read: Callable[[], Awaitable[Result[S]]] | None = None  # its result, if it slept when the runner closed
        self._waiters: list[asyncio.Future[None]] = []  # of those who wait for its end
        self._callers = 0  # how many of them wait for its result
        self._when_over: Callable[[Run[S]], object] = _nothing
        self._seq = 0  # of its last step here, while it has no driver
        self._begun: asyncio.Event | None = None  # created by the first caller that waits for it

    def __repr__(self) -> str:
        return f"Run({self.id!r})"

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows: how far a run is that is driven here, or as `Result` does; else its repr."""
        if self.driver is not None:
            from graphengine.runner.display import run_html  # noqa: PLC0415 - only notebooks need the renderer

            return run_html(self.driver.plan, self.driver.snapshot)
        if self._task is None or not self._task.done() or self._task.cancelled() or self._task.exception() is not None:
            return None
        result = self._task.result()
        return None if result is None else result._repr_html_()

    def start(self, work: Coroutine[Any, Any, Result[S] | None], over: Callable[[Run[S]], object]) -> None:
        """Drive it in the background, and call `over` when it has ended; called by the runner, once."""
        context = copy_context()
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(work, name=f"graphengine run {self.id}", context=context)
        self._when_over = over
        self._task.add_done_callback(self._over, context=context)

    def _over(self, task: asyncio.Task[Result[S] | None]) -> None:
        if not task.cancelled():
            task.exception()  # marks it as retrieved, so that asyncio does not warn if `result` is never called
        self._set_begun()
        for queue in self.watchers:
            queue.put_nowait(None)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._when_over(self)

    def recorded(self, seq: int) -> None:
        """Note the seq of its last step here, which is durable; called by the runner."""
        self._seq = seq
        self._set_begun()

    def _set_begun(self) -> None:
        if self._begun is not None:
            self._begun.set()

    @property
    def is_going(self) -> bool:
        """Whether it is supervised here: driven, about to be, or asleep."""
        return self._task is not None and not self._task.done()

    @property
    def is_recorded(self) -> bool:
        """Whether its first step here is durable."""
        return self._seq > 0

    @property
    def _last_seq(self) -> int:
        """The seq of its last step here. What another handle has recorded since leads to the result of that one."""
        return self._seq if self.driver is None else self.driver.snapshot.seq

    @property
    def has_trouble(self) -> bool:
        """Whether it could not be resumed, for another reason than that another process drives it."""
        if self._task is None or not self._task.done() or self._task.cancelled():
            return False
        return self._task.exception() is not None and not isinstance(self._task.exception(), RunIsDriven)

    @property
    def was_cut_off(self) -> bool:
        """Whether its task was cancelled, as by an event loop that ends before it."""
        return self._task is not None and self._task.cancelled()

    @property
    def is_awaited(self) -> bool:
        """Whether anyone waits for its result, or watches it."""
        return bool(self._callers or self.watchers)

    def is_driven_in(self, task: asyncio.Task[Any]) -> bool:
        """Return whether this is its own asyncio task, and not that of a caller who runs it there."""
        return task is self._task

    def cancel(self) -> asyncio.Task[Result[S] | None]:
        """Cancel its task, and return it; called by the runner when it closes, which then waits for the task."""
        task = self._started()
        task.cancel()
        return task

    def _started(self) -> asyncio.Task[Result[S] | None]:
        if self._task is None:
            message = "the run was never started"
            raise RuntimeError(message)
        return self._task

    def _waiter(self) -> asyncio.Future[None]:
        """Return a future that is done when its task is; the caller removes it from the waiters."""
        task = self._started()
        over: asyncio.Future[None] = task.get_loop().create_future()
        self._waiters.append(over)
        if task.done():
            over.set_result(None)
        return over

    async def ended(self) -> None:
        """Return when it is no longer driven, for whatever reason."""
        over = self._waiter()
        try:
            await over
        finally:
            self._waiters.remove(over)

    async def result(self) -> Result[S]:
        """Wait until it is no longer driven, and return its result: finished, waiting, stopped, or running if released.

        `Runner.release` releases a run, and so does a Runner that closes.

        Raises:
            RunFailed: It failed; the error has the result.
            RunnerClosed: The runner was closed before the run was recorded.
            GraphEngineError: It could not be started, recorded or claimed.
        """
        over = self._waiter()
        self._callers += 1
        try:
            await over
        finally:
            self._waiters.remove(over)
            self._callers -= 1
        return unless_failed(await self._ended_with())

    async def begun(self) -> None:
        """Return when its first step is durable, or when it has ended without one."""
        if not self.is_recorded and not (self._task is not None and self._task.done()):
            self._begun = self._begun or asyncio.Event()
            await self._begun.wait()

    def is_taken(self) -> Coroutine[object, object, bool]:
        """Return whether this handle drives it: not if it is over, still waits, or another process claimed it first.

        Returns as soon as that is clear. Call it right after the run was started or resumed: it watches the run from
        the call on, whenever the coroutine is awaited.
        """
        events = Watcher()
        self.watchers.append(events)
        return self._is_taken(events)

    async def _is_taken(self, events: asyncio.Queue[Event | None]) -> bool:
        try:
            return await events.get() is not None
        finally:
            self.watchers.remove(events)

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
        queue = Watcher()
        for live in self.in_flight:
            for event in live.so_far():
                queue.put_nowait(event)
        self.watchers.append(queue)
        events = self._events(queue, after)
        weakref.finalize(events, self._unwatched, queue).atexit = False  # also if it is never iterated
        return events

    def _unwatched(self, queue: asyncio.Queue[Event | None]) -> None:
        if queue in self.watchers:
            self.watchers.remove(queue)

    async def _events(self, queue: Watcher, after: int) -> AsyncGenerator[Event, None]:
        last = after
        try:
            await self.begun()
            if not self.is_recorded:
                yield RunEnded(await self._ended_with())
                return
            for step in await self._steps(after, self._last_seq):
                last = step.seq
                yield StepRecorded(step.seq, step)
            while not (self._task is not None and self._task.done() and queue.empty()):
                events = await self._next(queue, last)
                if events is None:
                    break
                for event in events:
                    if isinstance(event, StepRecorded):
                        last = event.seq
                    yield event
            for step in await self._steps(last, self._last_seq) if queue.is_behind else ():
                last = step.seq
                yield StepRecorded(step.seq, step)
            queue.check(self.id)
            if not self._started().cancelled():  # else the event loop ends: there is no result
                ended = RunEnded(await self._ended_with())
                with suppress(RunnerClosed):  # then a later watcher gets them
                    for step in await self._steps(last, ended.result.seq):  # not recorded by its driver: it was asleep
                        yield StepRecorded(step.seq, step)
                yield ended
        finally:
            self._unwatched(queue)

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
        if self._store is None or upto <= after:
            return ()
        return await self._store.steps(self.id, after, upto)

    async def _ended_with(self) -> Result[S]:
        """Return the result, or raise the error that kept the run from being begun or claimed.

        Raises:
            GraphEngineError: That error; RunnerClosed: its task was cancelled before.
        """
        task = self._started()
        result = None if task.cancelled() else task.result()
        if result is None and self.read is not None:
            result = await self.read()
        if result is None:
            raise RunnerClosed(
                f"the runner was closed before run {self.id} was recorded",
                where=f"run {self.id}",
                repair="keep the Runner open until result() returns",
            )
        return result


def _nothing(_: object) -> None:
    """Do nothing."""
