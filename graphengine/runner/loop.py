"""Driving one run: event → decide → evolve → append → (durable) → what is ready next.

This loop is the whole engine outside the core. It works out nothing itself: what runs next is `ready`'s answer, what
an outcome means is `decide`'s, and nothing goes on before the step that causes it is durable.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from graphengine.engine.events import Answered, MessageCame, StopAsked
from graphengine.engine.failures import error_of
from graphengine.engine.fold import evolve
from graphengine.engine.lookup import StaleEvent
from graphengine.engine.machine import decide
from graphengine.engine.ready import limit_reached, next_due, ready, task_of
from graphengine.engine.rules.wait import waiting_for
from graphengine.engine.steps import RunStatus, failure_of, outcome_of, path_of
from graphengine.engine.stored import encode_snapshot
from graphengine.errors import StoreError
from graphengine.runner.clock import steady
from graphengine.runner.live_events import Emitted, NodeBegan
from graphengine.runner.run import StepRecorded
from graphengine.stores.base import Append

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from graphengine.engine.events import Event
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Snapshot, Task
    from graphengine.engine.steps import Step
    from graphengine.errors import NodeError
    from graphengine.runner.attempt import TaskRunner
    from graphengine.runner.clock import Clock
    from graphengine.runner.run import Run
    from graphengine.stores.base import Message, Store

Landing: TypeAlias = "tuple[str, asyncio.Task[Any] | None, Event | BaseException | None]"
"""What has ended: its frame, the asyncio task that did it, and the event or error it came to, None for neither."""

_TURN_SECONDS: Final = 0.005
"""Runs whose nodes never wait give way to everything else on the event loop after so long, or so many steps."""
_TURN_STEPS: Final = 1024


@dataclass(slots=True)
class Turns:
    """What all runs of a Runner share.

    Attributes:
        called_off: Nodes that were called off and have not ended yet.
    """

    called_off: set[asyncio.Task[None]] = field(default_factory=set)
    _began: float = 0.0

    @property
    def over(self) -> bool:
        """Whether one of them has had the event loop for long enough."""
        return time.monotonic() - self._began > _TURN_SECONDS

    async def give_way(self) -> None:
        """Let everything else on the event loop move."""
        self._began = time.monotonic()
        await asyncio.sleep(0)


class Driver:
    """Drives one run from where its snapshot stands to its end, a stop or a limit.

    Attributes:
        plan: The graph.
        snapshot: Where the run stands.
        fence: The number under which it is driven here.
        holds: Whether it is driven here still: until a step that ends it is durable.
        time: The clock of its log, of what waits between attempts, and of its limit of seconds: what passes while it is
            driven is counted, whatever becomes of the machine's clock. A wait ends at a time of the machine's clock.
        run: What its callers hold of it.
    """

    def __init__(  # noqa: PLR0913 - what a run is driven with
        self, plan: Plan[Any], snapshot: Snapshot, store: Store, clock: Clock, run: Run[Any], turns: Turns
    ) -> None:
        self.plan = plan
        self.snapshot = snapshot
        self.fence = 0
        self.holds = True
        self._store = store
        self._clock = clock
        self.time = steady(clock, snapshot.now)
        self.run = run
        self._stop_reason = ""
        self._halting = False  # begins nothing more: it was asked to stop, or to let go
        self._stopped: asyncio.Event | None = None  # made where somebody waits for it
        self._consume: Sequence[int] = ()
        self._turns = turns
        self._flights: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[Any] | None = None
        self._asleep: dict[str, Task] = {}
        self._mail: dict[int, Message] = {}
        self._known: set[int] = set()  # a look at the inbox may give again what is just being recorded
        self._broken: StoreError | None = None
        self._landings: list[Landing] = []
        self._landing: asyncio.Future[None] | None = None  # what is waited for while there are none
        self.cut_off: list[str] = []  # the nodes that were in flight when the Runner closed, by path
        self._raised: dict[str, BaseException] = {}  # what frames failed with in this process, by path
        self._is_clean = run.is_clean
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def stop(self, explanation: str, consume: Sequence[int] = ()) -> None:
        """Ask for a stop at the next safe point: when what is in flight is recorded."""
        self._stop_reason = explanation or "asked"
        self._consume = consume
        self.leave()

    def leave(self) -> None:
        """Let go of the run when what is in flight is recorded, without ending it: somebody else goes on with it."""
        self._halting = True
        if self._stopped is not None:
            self._stopped.set()

    @property
    def is_halting(self) -> bool:
        """Whether nothing more is to be begun."""
        return self._halting

    @property
    def is_watched(self) -> bool:
        """Whether somebody sees live events."""
        return bool(self.run.watchers)

    def task_of(self, frame: str) -> asyncio.Task[Any] | None:
        """The asyncio task that what is in flight in a frame runs in: one of its own, or the run's."""
        return self._flights.get(frame, self._task)

    def ends(self, frame: str, path: str) -> bool:
        """Whether the node in a frame is cancelled by the driver or with it, and not by code that knows its task."""
        flight = self._flights.get(frame)
        if flight is not None and flight is asyncio.current_task() and not (self._task and self._task.cancelling()):
            return False
        if frame in self.snapshot.frames:
            self.cut_off.append(path)
        return True

    @property
    def missed_stop(self) -> tuple[str, Sequence[int]] | None:
        """A stop that was asked for when the run was just being let go, since it waits, and the messages it came by."""
        return (self._stop_reason, self._consume) if self._stop_reason and not self.holds else None

    def decide(self, event: Event) -> Step:
        """The step of an event, folded into the snapshot but not recorded yet."""
        step = self._decided(event)
        evolve(self.snapshot, step)
        self._take_raised(step)
        return step

    def _decided(self, event: Event) -> Step:
        """The step of an event. Its functions of the graph see no context variables that nodes set."""
        if self._is_clean:
            return decide(self.plan, self.snapshot, event)
        return self.run.context.copy().run(decide, self.plan, self.snapshot, event)

    def _take_raised(self, step: Step) -> None:
        """Take the exception off a step that records one, so that no store or watcher keeps it alive."""
        failure = failure_of(step)
        if failure is not None and failure.raised is not None:
            if outcome_of(step).has_failed:
                self._raised[failure.path] = failure.raised
            failure.raised = None

    @property
    def cause(self) -> BaseException | None:
        """The exception that the run failed with, if it was raised in this process."""
        failure = self.snapshot.failure
        return self._raised.get(failure.path) if failure is not None else None

    async def drive(self, tasks: TaskRunner) -> None:
        """Run what is ready until nothing is.

        Raises:
            StoreError: A step could not be recorded; the run can be resumed from what was.
        """
        snapshot, flights = self.snapshot, self._flights
        self._task = asyncio.current_task()
        try:
            wanted = self._all_ready()
            while self.holds:
                if self._mail:
                    await self._take_mail()
                    wanted = self._all_ready()
                if len(wanted) == 1 and not flights and not snapshot.waiting and self._is_clean:
                    await self._walk(tasks, wanted[0])
                    wanted = self._all_ready()
                    continue
                for task in wanted:
                    if task.frame not in flights and not (task.mode == "limit" and self._flies_below(task.frame)):
                        context = self.run.context.copy()
                        flights[task.frame] = asyncio.create_task(self._fly(tasks, task), context=context)
                        if task.due:
                            self._asleep[task.frame] = task  # from now on: it may be called off before it begins
                if flights:
                    await self._record(await self._landed())
                    wanted = self._newly_ready()
                    continue
                wanted = self._all_ready()
                if not wanted and not self._mail_fits():
                    break
        finally:
            await self._ground()
            self._task, self.run.is_clean = None, self._is_clean
        lets_go = self._halting and not self._stop_reason
        if (snapshot.status == "running" and not lets_go) or (self._stop_reason and self.holds):
            await self.end()

    def _all_ready(self) -> list[Task]:
        """What is to be done now; of a run that waits, what its time has come for."""
        snapshot = self.snapshot
        snapshot.touched.clear()
        wanted = [] if self._halting else ready(snapshot)
        if snapshot.status == "waiting":
            now = self._clock.now()
            wanted = [task for task in wanted if task.mode != "wake" or task.due <= now]
        return wanted

    def _newly_ready(self) -> list[Task]:
        """What is to be done since steps were recorded; what else there is flies already."""
        snapshot = self.snapshot
        if self._halting or snapshot.status == "waiting":
            return self._all_ready()
        wanted = ready(snapshot, snapshot.touched)
        snapshot.touched.clear()
        return wanted

    def _flies_below(self, frame: str) -> bool:
        return any(key.startswith(frame) for key in self._flights)

    async def _walk(self, tasks: TaskRunner, task: Task) -> None:  # noqa: C901 - one step after the other, in order
        """Do the only thing that is to be done, and what then is the only thing, without asyncio tasks of their own."""
        plan, snapshot, run = self.plan, self.snapshot, self.run
        touched = snapshot.touched
        while not self._halting:
            event = await self._alone(tasks, task) if task.due or run.watchers else await tasks.run(task)
            if event is None:
                return
            try:  # inline: this is asked after each step
                self._is_clean = copy_context() == tasks.context
            except Exception:  # noqa: BLE001 - values of the user's that cannot be compared
                self._is_clean = False
            if not self._is_clean:  # the next nodes must not see what this one set: they have asyncio tasks from now on
                await self._record((event,))
                return
            if self._broken is not None:
                raise self._broken
            step = decide(plan, snapshot, event)
            evolve(snapshot, step)
            status = self._status() if snapshot.waiting else snapshot.status
            pending = self._append((step,), status)
            if pending is not None:
                await pending
            elif step.seq % _TURN_STEPS == 0 or self._turns.over:
                await self._turns.give_way()
            if status != "running":
                self.holds = False
            if run.watchers:
                self.show(StepRecorded(step.seq, step))
            if self._mail or snapshot.waiting:
                return
            wanted = ready(snapshot, touched)
            touched.clear()
            if len(wanted) != 1:
                return
            task = wanted[0]

    async def _alone(self, tasks: TaskRunner, task: Task) -> Event | None:
        """Do the only thing that is to be done, without an asyncio task of its own; None if a stop came first."""
        if task.due and not await self._due(task):
            return None
        if self.run.watchers and task.mode in ("run", "fallback"):
            began = self.time.now()
            path = path_of(task.frame, task.node)
            self.show(NodeBegan(path, task.node, task.visit, task.attempt, began, self.snapshot.seq))
            await asyncio.sleep(0)  # who watches sees it before a node that blocks the loop is done
        return await tasks.run(task)

    async def _fly(self, tasks: TaskRunner, task: Task) -> None:
        """Do one of several things, and hand in the event that ends it."""
        landed: Event | BaseException | None = None
        try:
            landed = await (self._alone(tasks, task) if task.due or self.run.watchers else tasks.run(task))
        except BaseException as error:
            landed = error
            raise
        finally:
            self._hand_in((task.frame, asyncio.current_task(), landed))

    def _hand_in(self, landing: Landing) -> None:
        self._landings.append(landing)
        if self._landing is not None and not self._landing.done():
            self._landing.set_result(None)

    async def _landed(self) -> list[Event]:
        """The events of all that has ended, at least one."""
        if not self._landings:
            self._landing = self._loop.create_future()
            await self._landing
        found, self._landings = self._landings, []
        events: list[Event] = []
        for frame, flight, landed in found:
            if flight is None:
                continue  # something was sent
            if self._flights.get(frame) is not flight:
                continue  # it was cancelled
            del self._flights[frame]
            if isinstance(landed, BaseException):
                raise landed
            if landed is not None:
                events.append(landed)
        return events

    def _status(self) -> RunStatus:
        """The status to record: a run is let go by the append that says it is over, or that it waits."""
        snapshot = self.snapshot
        if snapshot.status == "waiting" and (self._stop_reason or self._mail or self._all_ready()):
            return "running"
        return "running" if self._flights else snapshot.status

    def _append(
        self, steps: Sequence[Step], status: RunStatus, consume: Sequence[int] = (), *, changed: bool = False
    ) -> Awaitable[None] | None:
        snapshot = self.snapshot
        for step in steps:
            self._take_raised(step)
        batch = Append(snapshot.run_id, self.fence, steps, status, consume, self._snapshot_record)
        if status == "waiting":
            batch.due_at = next_due(snapshot)
        if changed:
            batch.fingerprint, batch.outline = self.plan.fingerprint, self.plan.outline
        return self._store.append(batch)

    def check(self) -> None:
        """See that nothing goes on behind what could not be recorded.

        Raises:
            StoreError: Something could not be, and the run ends.
        """
        if self._broken is not None:
            raise self._broken

    async def note(self, event: Event) -> None:
        """Record an event of a node that is still running; returns when it is durable.

        Raises:
            StoreError: It could not be recorded, and the run ends here.
        """
        self.check()
        step = self.decide(event)
        try:
            pending = self._append((step,), "running")
            if pending is not None:
                await pending
        except StoreError as error:
            self._broken = error
            raise
        self.show_steps((step,))

    async def _record(self, events: Sequence[Event]) -> None:
        """Decide, evolve and append; returns when the steps are durable."""
        self.check()
        snapshot, steps = self.snapshot, []
        for event in events:
            try:
                step = self._decided(event)
            except StaleEvent:
                continue  # its frame is gone: enough other arms had arrived
            evolve(snapshot, step)
            steps.append(step)
        for frame in [key for key in self._flights if key not in snapshot.frames]:
            self._call_off(frame)
        if self._asleep:
            self._wake()
        if not steps:
            return
        status = self._status()
        pending = self._append(steps, status)
        if pending is not None:
            await pending
        elif snapshot.seq % _TURN_STEPS == 0 or self._turns.over:
            await self._turns.give_way()
        self.holds = status == "running"
        if self.run.watchers:
            self.show_steps(steps)

    def deliver(self, messages: Sequence[Message]) -> None:
        """Take what others sent to this run, at the next safe point."""
        for message in messages:
            if message.kind == "stop":
                self.stop(str(message.payload), (message.id,))
            elif message.id not in self._known:
                self._known.add(message.id)
                self._mail[message.id] = message
        if self._mail:
            self._hand_in(("", None, None))

    def _mail_fits(self) -> bool:
        """Whether any of what was sent is to be recorded now."""
        waiting = self.snapshot.status == "waiting"
        return not self._halting and any(
            message.kind != "answer"
            or waiting
            or waiting_for(self.snapshot, message.payload["wait"], message.payload["id"]) is not None
            for message in self._mail.values()
        )

    async def _take_mail(self) -> None:
        """Record what others sent. An answer that no wait is there for is kept until one is, or nothing else moves."""
        for message in list(self._mail.values()):
            payload, now = message.payload, self.time.now()
            if message.kind == "message":
                event: Event = MessageCame(now, payload["topic"], payload["payload"])
            elif (
                self.snapshot.status == "waiting"
                or waiting_for(self.snapshot, payload["wait"], payload["id"]) is not None
            ):
                event = Answered(payload["wait"], payload["id"], now, payload["value"])
            else:
                continue
            del self._mail[message.id]
            steps = [self.decide(event)]
            if self._asleep:
                self._wake()
            status = self._status()
            pending = self._append(steps, status, (message.id,))
            if pending is not None:
                await pending
            self.holds = status == "running"
            self.show_steps(steps)
            if not self.holds:
                break

    def _wake(self) -> None:
        """Call off those that wait for their time and are not to go on then any more."""
        snapshot = self.snapshot
        moves = snapshot.status == "running" and not self._halting and not limit_reached(snapshot)
        touched = dict.fromkeys(snapshot.touched) if moves else list(self._asleep)
        for key in [key for key in touched if key in self._asleep and key in self._flights]:
            frame = snapshot.frames.get(key)
            if not moves or frame is None or task_of(snapshot, frame) != self._asleep[key]:
                self._call_off(key)

    def _call_off(self, frame: str) -> None:
        flight = self._flights.pop(frame)
        self._asleep.pop(frame, None)
        self._turns.called_off.add(flight)
        flight.add_done_callback(self._turns.called_off.discard)
        flight.cancel()

    async def _ground(self) -> None:
        """End what is still in flight, where the run cannot go on; a cancelled thread is waited for."""
        left = list(self._flights.values())
        self._flights.clear()  # so that each sees that it is not cancelled by code of the graph
        for flight in left:
            flight.cancel()
        if left:
            await asyncio.gather(*left, return_exceptions=True)

    async def end(self, explanation: str = "") -> None:
        """Record that the run stops here: asked for, or because a limit was reached."""
        asked = explanation or self._stop_reason
        reason, told = ("asked", asked) if asked else ("limit", limit_reached(self.snapshot))
        step = self.decide(StopAsked(self.time.now(), reason, told))
        await self.append([step], consume=self._consume)

    async def fail(self, error: NodeError) -> None:
        """Record that the run cannot be driven here."""
        await self.append([self.decide(StopAsked(self.time.now(), "failed", error.message, error_of(error)))])

    def emitted(self, path: str, data: object) -> None:
        """Show what a node emits, from the event loop or from a thread of a node's."""
        if threading.get_ident() == self._thread:
            self.show(Emitted(path, data))
        else:
            with suppress(RuntimeError):  # the event loop is closed, and nobody watches any more
                self._loop.call_soon_threadsafe(self.show, Emitted(path, data))

    async def append(self, steps: Sequence[Step], *, consume: Sequence[int] = (), changed: bool = False) -> None:
        """Record steps that were decided, and show them; `changed` says that the graph is another than before."""
        status = self._status()
        pending = self._append(steps, status, consume, changed=changed)
        if pending is not None:
            await pending
        self.holds = status == "running"
        self.show_steps(steps)

    def show_steps(self, steps: Sequence[Step]) -> None:
        """Give durable steps to everyone who watches."""
        for step in steps:
            self.show(StepRecorded(step.seq, step))

    def show(self, event: Any) -> None:  # noqa: ANN401 - any of run.Event
        """Give an event to everyone who watches."""
        for queue in self.run.watchers:
            queue.put_nowait(event)

    def _snapshot_record(self) -> bytes:
        return encode_snapshot(self.snapshot)

    async def _due(self, task: Task) -> bool:
        """Wait until a task is due; False if a stop came first."""
        clock = self._clock if task.mode == "wake" else self.time
        if task.due <= clock.now():
            self._asleep.pop(task.frame, None)
            return True
        self._asleep[task.frame] = task
        self._stopped = self._stopped or asyncio.Event()
        sleeper = asyncio.ensure_future(clock.sleep_until(task.due))
        stopper = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((sleeper, stopper), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self._asleep.get(task.frame) is task:
                del self._asleep[task.frame]
            sleeper.cancel()
            stopper.cancel()
            await asyncio.gather(sleeper, stopper, return_exceptions=True)
        if not sleeper.cancelled():
            sleeper.result()  # a clock that fails is no reason to start early
        return not self._halting
