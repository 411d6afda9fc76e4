"""Driving one run: event → decide → evolve → append → (durable) → what is ready next.

This loop is the whole engine outside the core. It works out nothing itself: what runs next is `ready`'s answer, what
an outcome means is `decide`'s, and nothing goes on before the step that causes it is durable.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graphengine.core.decide import decide, error_of
from graphengine.core.events import StopAsked
from graphengine.core.evolve import evolve
from graphengine.core.ready import limit_reached, ready
from graphengine.core.snapshot import to_record
from graphengine.runner.run import Emitted, NodeBegan, StepRecorded
from graphengine.stores.base import Append

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from graphengine.core.events import Event
    from graphengine.core.snapshot import Snapshot, Task
    from graphengine.core.steps import Step
    from graphengine.errors import NodeError
    from graphengine.plan import Plan
    from graphengine.records import JsonValue
    from graphengine.runner.clock import Clock
    from graphengine.runner.execute import TaskRunner
    from graphengine.runner.run import Run
    from graphengine.stores.base import Store

_TURN_SECONDS: Final = 0.005
"""Runs whose nodes never wait give way to everything else on the event loop after so long, or so many steps."""
_TURN_STEPS: Final = 1024


@dataclass(slots=True)
class Turns:
    """When a run last gave way; all runs of a Runner share it."""

    last: float = 0.0


class Driver:
    """Drives one run from where its snapshot stands to its end, a stop or a limit."""

    def __init__(  # noqa: PLR0913 - what a run is driven with
        self, plan: Plan[Any], snapshot: Snapshot, store: Store, clock: Clock, run: Run[Any], turns: Turns
    ) -> None:
        self.plan = plan
        self.snapshot = snapshot
        self.fence = 0
        self.holds = True  # the run: until a step that ends it is durable
        self._store = store
        self._clock = clock
        self.run = run
        self._stop_reason = ""
        self._stopped: asyncio.Event | None = None  # made where somebody waits for it
        self._consume: Sequence[int] = ()
        self._turns = turns
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def stop(self, explanation: str, consume: Sequence[int] = ()) -> None:
        """Ask for a stop at the next safe point: when what is in flight is recorded."""
        self._stop_reason = explanation or "asked"
        self._consume = consume
        if self._stopped is not None:
            self._stopped.set()

    def decide(self, event: Event) -> Step:
        """The step of an event, folded into the snapshot but not recorded yet."""
        step = decide(self.plan, self.snapshot, event)
        evolve(self.snapshot, step)
        return step

    async def drive(self, tasks: TaskRunner) -> None:
        """Run what is ready until nothing is.

        Raises:
            StoreError: A step could not be recorded; the run can be resumed from what was.
        """
        plan, snapshot, run, record = self.plan, self.snapshot, self.run, self._record
        while not self._stop_reason:
            waiting = ready(snapshot)
            if not waiting:
                break
            task = waiting[0]
            if task.due and not await self._due(task):
                continue
            if run.watchers and task.mode in ("run", "fallback"):
                began = self._clock.now()
                self.show(NodeBegan(task.node, task.node, task.visit, task.attempt, began, snapshot.seq))
                await asyncio.sleep(0)  # who watches sees it before a node that blocks the loop is done
            event = await tasks.run(task)
            step = decide(plan, snapshot, event)
            evolve(snapshot, step)
            pending = self._store.append(Append(snapshot.run_id, self.fence, (step,), snapshot.status, (), record))
            if pending is not None:
                await pending
            elif step.at - self._turns.last > _TURN_SECONDS or step.seq % _TURN_STEPS == 0:
                self._turns.last = step.at
                await asyncio.sleep(0)
            if snapshot.status != "running":
                self.holds = False
            if run.watchers:
                self.show(StepRecorded(step.seq, step))
        if snapshot.status == "running":
            await self.end()

    async def end(self, explanation: str = "") -> None:
        """Record that the run stops here: asked for, or because a limit was reached."""
        asked = explanation or self._stop_reason
        reason, told = ("asked", asked) if asked else ("limit", limit_reached(self.snapshot))
        step = self.decide(StopAsked(self._clock.now(), reason, told))
        await self.append([step], consume=self._consume)

    async def fail(self, error: NodeError) -> None:
        """Record that the run cannot be driven here."""
        await self.append([self.decide(StopAsked(self._clock.now(), "failed", error.message, error_of(error)))])

    def emitted(self, path: str, data: object) -> None:
        """Show what a node emits, from the event loop or from a thread of a node's."""
        if threading.get_ident() == self._thread:
            self.show(Emitted(path, data))
        else:
            with suppress(RuntimeError):  # the event loop is closed, and nobody watches any more
                self._loop.call_soon_threadsafe(self.show, Emitted(path, data))

    async def append(self, steps: Sequence[Step], *, consume: Sequence[int] = (), changed: bool = False) -> None:
        """Record steps that were decided, and show them; `changed` says that the graph is another than before."""
        snapshot, plan = self.snapshot, self.plan
        new = (plan.fingerprint, plan.outline) if changed else (None, None)
        batch = Append(snapshot.run_id, self.fence, steps, snapshot.status, consume, self._record, *new)
        pending: Awaitable[None] | None = self._store.append(batch)
        if pending is not None:
            await pending
        self.holds = snapshot.status == "running"
        self.show_steps(steps)

    def show_steps(self, steps: Sequence[Step]) -> None:
        """Give durable steps to everyone who watches."""
        for step in steps:
            self.show(StepRecorded(step.seq, step))

    def show(self, event: Any) -> None:  # noqa: ANN401 - any of run.Event
        """Give an event to everyone who watches."""
        for queue in self.run.watchers:
            queue.put_nowait(event)

    def _record(self) -> dict[str, JsonValue]:
        return to_record(self.snapshot)

    async def _due(self, task: Task) -> bool:
        """Wait until a task is due; False if a stop came first."""
        if task.due <= self._clock.now():
            return True
        sleeper = asyncio.ensure_future(self._clock.sleep_until(task.due))
        self._stopped = asyncio.Event()
        stopper = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((sleeper, stopper), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            stopper.cancel()
            await asyncio.gather(sleeper, stopper, return_exceptions=True)
        if not sleeper.cancelled():
            sleeper.result()  # a clock that fails is no reason to start early
        return not self._stop_reason
