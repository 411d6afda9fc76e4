"""A Run: the handle on something that is being driven, and the events it shows."""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel

from graphengine.engine.steps import Outcome
from graphengine.errors import RunIsDriven, RunnerClosed
from graphengine.runner.live_events import Emitted, NodeBegan, TextDelta
from graphengine.runner.result import RunFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence

    from graphengine.engine.steps import Step
    from graphengine.runner.result import Result

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class StepRecorded:
    """A step is durable. Each subscriber gets these from the first on, in order of seq."""

    seq: int
    step: Step

    def __str__(self) -> str:
        step = self.step
        to = f" → {', '.join(step.data.to)}" if isinstance(step.data, Outcome) and step.data.to else ""
        visit = f" {step.path} (visit {step.visit}, attempt {step.attempt})" if step.node else ""
        return f"{self.seq} {step.kind}{visit}{to}"


Event: TypeAlias = "NodeBegan | Emitted | TextDelta | StepRecorded"


class Run(Generic[S]):
    """A run that is being driven in the background.

    Attributes:
        id: Its id.
    """

    def __init__(self, run_id: str, steps: Callable[[int], Awaitable[Sequence[Step]]]) -> None:
        self.id = run_id
        self.watchers: list[asyncio.Queue[Event | None]] = []
        self.waits_out = True  # times that come by themselves; set by the runner
        self.due_only = False  # one that failed or was stopped is left alone; set by who goes on with it unasked
        self.tags: tuple[str, ...] = ()  # what it is marked with when it begins; set by the runner
        self.left = False  # to whoever goes on with it; set by the runner
        self.context = contextvars.copy_context()  # what its nodes run in copies of; set by the runner when it begins
        self.is_clean = True  # its asyncio task still has that context: no node set a variable there; set by the driver
        self._steps = steps
        self._task: asyncio.Task[Result[S]] | None = None
        self._recorded = False
        self._known: asyncio.Event | None = None  # made where somebody waits for it

    def __repr__(self) -> str:
        return f"Run({self.id!r})"

    def start(self, work: Coroutine[Any, Any, Result[S]], over: Callable[[Run[S]], object]) -> None:
        """Drive it with this work in the background, and tell when it is over; called by the runner, once."""
        self._task = asyncio.create_task(work, name=f"graphengine run {self.id}")
        self._task.add_done_callback(self._over)
        self._task.add_done_callback(lambda _: over(self))

    def _over(self, task: asyncio.Task[Result[S]]) -> None:
        if not task.cancelled():
            task.exception()  # read it, so that asyncio does not complain where nobody asks for the result
        self._tell()
        for queue in self.watchers:
            queue.put_nowait(None)

    def recorded(self) -> None:
        """Its first step is durable; called by the runner."""
        self._recorded = True
        self._tell()

    def _tell(self) -> None:
        if self._known is not None:
            self._known.set()

    @property
    def is_going(self) -> bool:
        """Whether it is seen through here: driven, about to be, or asleep."""
        return self._task is not None and not self._task.done()

    @property
    def has_trouble(self) -> bool:
        """Whether it could not be gone on with, though nobody else drives it."""
        if self._task is None or not self._task.done() or self._task.cancelled():
            return False
        return self._task.exception() is not None and not isinstance(self._task.exception(), RunIsDriven)

    @property
    def was_cut_off(self) -> bool:
        """Whether its work was cancelled, as an event loop does that ends before it."""
        return self._task is not None and self._task.cancelled()

    def cancel(self) -> asyncio.Task[Result[S]]:
        """End its work now; called by the runner when it closes, which waits for what is given."""
        task = self._started()
        task.cancel()
        return task

    def _started(self) -> asyncio.Task[Result[S]]:
        if self._task is None:
            message = "the run was never started"
            raise RuntimeError(message)
        return self._task

    async def ended(self) -> None:
        """Return when it is no longer driven, however that came."""
        await asyncio.wait((self._started(),))

    async def result(self) -> Result[S]:
        """What it came to, once it ended: finished, waiting or stopped; running, if it was released.

        `Runner.leave` releases a run, and so does a Runner that closes.

        Raises:
            RunFailed: It failed; the error has the result.
            RunnerClosed: The runner was closed before the run was recorded.
            GraphEngineError: It could not be started, recorded or claimed.
        """
        task = self._started()
        await asyncio.wait((task,))
        if task.cancelled():
            raise self._closed()
        result = task.result()
        if result.status == "failed":
            raise RunFailed(result)
        return result

    async def begun(self) -> None:
        """Return when its first step is durable, or it is over without one."""
        if not self._recorded and not (self._task is not None and self._task.done()):
            self._known = self._known or asyncio.Event()
            await self._known.wait()

    def is_taken(self) -> Coroutine[object, object, bool]:
        """Whether anything is done for it here: not where it is over, waits, or another one was quicker to claim it.

        Returns as soon as that is clear. Call it right after it was started or resumed: what it did before is not seen,
        and it is watched from the call on, whenever what is given is awaited.
        """
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.watchers.append(events)
        return self._is_taken(events)

    async def _is_taken(self, events: asyncio.Queue[Event | None]) -> bool:
        try:
            return await events.get() is not None
        finally:
            self.watchers.remove(events)

    def events(self, after: int = 0) -> AsyncIterator[Event]:
        """Return what happens until the run ends: recorded steps after seq `after`, and live events.

        The run is watched from this call on, whenever the iterator is first awaited. Call it before anything else is
        awaited, or one turn of the event loop later, and no text of a model's answer is missed: an answer is streamed
        only where the run is watched when the model is asked.

        Raises:
            GraphEngineError: When iterated, if the run could not be begun or claimed, as `RunIsDriven`.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self.watchers.append(queue)
        events = self._events(queue, after)
        weakref.finalize(events, self._unwatched, queue).atexit = False  # also where it is never iterated
        return events

    def _unwatched(self, queue: asyncio.Queue[Event | None]) -> None:
        if queue in self.watchers:
            self.watchers.remove(queue)

    async def _events(self, queue: asyncio.Queue[Event | None], after: int) -> AsyncIterator[Event]:
        last = after
        try:
            await self.begun()
            if not self._recorded:
                self._over_at_once()
                return
            for step in await self._steps(after):
                last = step.seq
                yield StepRecorded(step.seq, step)
            while not (self._task is not None and self._task.done() and queue.empty()):
                event = await queue.get()
                if event is None:
                    break
                if isinstance(event, StepRecorded):
                    if event.seq <= last:
                        continue
                    last = event.seq
                if isinstance(event, NodeBegan) and event.after < last:
                    continue  # its end was among the past steps
                yield event
        finally:
            self._unwatched(queue)

    def _over_at_once(self) -> None:
        """Raise what kept the run from being begun or claimed.

        Raises:
            GraphEngineError: It could not be; RunnerClosed: its work was cancelled before.
        """
        task = self._started()
        if task.cancelled():
            raise self._closed()
        task.result()

    def _closed(self) -> RunnerClosed:
        return RunnerClosed(
            f"the runner was closed before run {self.id} was recorded",
            where=f"run {self.id}",
            repair="keep the Runner open until the result is there",
        )
