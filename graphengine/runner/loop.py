"""The loop that drives one run: start ready tasks, commit their events, and wait until the steps are durable.

The loop has no rules of its own. `Session.commit` decides what an event means, and `Session.take_tasks` what runs next.
Nothing starts before the step that causes it is durable. In particular:

1. A task ends with an event. The event is committed: its step is in the snapshot, and its append has begun.
2. The loop awaits the append. If that fails, the snapshot is ahead of the log, so `drive` raises and the driver is
   never used again; the run can be resumed from what was recorded.
3. Only then are the step's tasks taken and started, and the step is shown to watchers.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from graphengine.engine.events import Answered, MessageCame, StopAsked
from graphengine.engine.failures import error_of
from graphengine.engine.frame_tree import add_usage
from graphengine.engine.lookup import StaleEvent
from graphengine.engine.ready import limit_reached, next_due, task_of
from graphengine.engine.rules.wait import waiting_for
from graphengine.engine.session import Session
from graphengine.engine.step_json import as_stored
from graphengine.engine.steps import RunStatus, failure_of, outcome_of, path_of
from graphengine.engine.stored import encode_snapshot
from graphengine.errors import StoreError
from graphengine.runner.clock import steady
from graphengine.runner.jobs import Job
from graphengine.runner.live_events import Emitted, NodeBegan
from graphengine.runner.run_events import StepRecorded
from graphengine.runner.run_log import log_failure
from graphengine.stores.base import Append
from graphengine.stores.summaries import summary_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence

    from graphengine.agents.live_events import Live
    from graphengine.engine.events import Event
    from graphengine.engine.plan import Plan
    from graphengine.engine.session import Appender
    from graphengine.engine.snapshot import Snapshot, Task
    from graphengine.engine.steps import Decided, FailureRecord, Step
    from graphengine.errors import NodeError
    from graphengine.graph.options import Sizes
    from graphengine.runner.attempt import TaskRunner
    from graphengine.runner.clock import Clock
    from graphengine.runner.run import Run
    from graphengine.runner.turns import Turns
    from graphengine.state.amounts import Usage
    from graphengine.stores.base import Message, Store
    from graphengine.telemetry import RunTrace

Completion: TypeAlias = "tuple[Job | None, Event | BaseException | None]"
"""A finished job, and its event or error, None for neither. Without a job it only wakes the loop: mail has arrived."""

_TURN_STEPS: Final = 1024
"""After how many steps a run whose nodes never suspend yields to the event loop, as it does by time; see `Turns`."""


class Driver:
    """Drives one run from its snapshot to its end, a wait, a stop or a limit.

    Attributes:
        session: Decides and commits the run's events.
        plan: The graph.
        fence: The fencing number of this claim.
        is_driving: Whether the run is still driven here: until a step that ends or parks it is durable.
        wrote_at: When its last append began, by the machine's clock, if other processes can open the store.
        time: The clock of its log, of pauses between attempts, and of its limit of seconds. It counts time that passes
            while the run is driven, even if the machine's clock is set. Waits end by the machine's clock.
        run: The callers' handle on it.
        loop: Its event loop. To ask asyncio for it is a system call in Python 3.11.
        trace: Gets its steps once they are durable.
    """

    def __init__(  # noqa: PLR0913 - what a run is driven with
        self,
        plan: Plan[Any],
        snapshot: Snapshot,
        store: Store,
        clock: Clock,
        run: Run[Any],
        turns: Turns,
        *,
        sizes: Sizes,
        checks: bool,
    ) -> None:
        self.session = Session(plan, snapshot, sizes=sizes, checks=checks)
        self.session.call_in = None if run.is_clean else self._call_in
        self.plan, self.run = plan, run
        self.fence, self.is_driving, self.wrote_at = 0, True, clock.now()
        self._store, self._clock, self.time = store, clock, steady(clock, snapshot.now)
        self._stop_reason, self._turns = "", turns
        self._halting = self._cuts = False  # a stop or a release: nothing more starts; a stop cancels what is in flight
        self._is_inside_node = self._is_cut = False  # its own asyncio task runs a node; it was cancelled by that stop
        self._spent_in_cut: Usage = {}
        self._stopped: asyncio.Event | None = None  # created by the first task that waits for it
        self._consume: Sequence[int] = ()
        self._jobs: dict[str, Job] = {}
        self._starter: asyncio.Handle | None = None  # begins the pending ones as soon as one suspends
        self._task: asyncio.Task[Any] | None = None
        self._asleep: dict[str, Task] = {}
        self._mail: dict[int, Message] = {}
        self._known: set[int] = set()  # a poll of the inbox may return a message again that is just being recorded
        self._broken: StoreError | None = None
        self._completions: list[Completion] = []
        self._next_completion: asyncio.Future[None] | None = None  # set by the next completion
        self.trace: RunTrace | None = None  # set by the opener if the Runner has telemetry
        self._raised: dict[str, BaseException] = {}  # the exceptions of failed frames, by path
        self._recorded: RunStatus = "running"  # the status of the last append
        self._listed: RunStatus = snapshot.status  # the status to which the summary in the run's row belongs
        self.loop, self._thread = asyncio.get_running_loop(), threading.get_ident()

    @cached_property
    def _pending(self) -> deque[Job]:
        """The jobs that have not begun."""
        return deque()

    @cached_property
    def cut_off(self) -> list[str]:
        """The paths of the nodes that were in flight when the Runner closed, or a stop cut them."""
        return []

    @property
    def snapshot(self) -> Snapshot:
        """The run's snapshot."""
        return self.session.snapshot

    def stop(self, explanation: str, consume: Sequence[int] = (), *, now: bool) -> None:
        """Request a stop at the next safe point, when everything in flight is recorded; or cancel what is in flight."""
        self._stop_reason, self._consume = explanation or "asked", consume
        self.release()
        if not now or self._cuts:
            return
        self._cuts = True
        for within in {job.within for job in self._jobs.values() if job.within is not None and not job.is_over}:
            within.cancel()
        self._is_cut = self._is_inside_node and self._task is not None and self._task.cancel()

    def release(self) -> None:
        """Release the run when everything in flight is recorded, without ending it: another process can resume it."""
        self._halting = True
        if self._stopped is not None:
            self._stopped.set()

    @property
    def is_halting(self) -> bool:
        """Whether no more tasks are started."""
        return self._halting

    async def halted(self) -> None:
        """Return when no more tasks are started."""
        self._stopped = self._stopped or asyncio.Event()
        if not self._halting:
            await self._stopped.wait()

    @property
    def is_watched(self) -> bool:
        """Whether live events have a watcher."""
        return bool(self.run.watchers)

    @property
    def in_flight(self) -> set[Live]:
        """The calls of agents that are in flight, for watchers that subscribe late."""
        return self.run.in_flight

    def _call_in(self, call: Callable[[], Decided]) -> Decided:
        """Call in the context in which the run was started, without the context variables that nodes set."""
        return self.run.context.copy().run(call)

    def task_of(self, frame: str) -> asyncio.Task[Any] | None:
        """Return the asyncio task in which a frame's node runs: one of its own, or the run's."""
        job = self._jobs.get(frame)
        return self._task if job is None else job.within

    def note_cut_off(self, frame: str, path: str, spent: Usage | None) -> bool:
        """Return whether the driver cancelled the node in a frame, or was cancelled with it; if so, note it as cut off.

        Otherwise code of the graph cancelled the node's asyncio task, which is a failure of the node.
        """
        job = self._jobs.get(frame)
        is_own = job is not None and job.within is asyncio.current_task()
        if is_own and not self._cuts and not (self._task and self._task.cancelling()):
            return False
        if self._is_inside_node and self._was_cancelled_inside():
            return False
        if frame in self.snapshot.frames:
            self.cut_off.append(path)
        self._spent_in_cut = add_usage(self._spent_in_cut, spent or {})
        return True

    def _was_cancelled_inside(self) -> bool:
        """Return whether code of the graph cancelled the run's own asyncio task.

        The Runner halts a run before it cancels that task, a stop cuts it, and an event loop that ends cancels all of
        its tasks. A caller whose own task drives the run may cancel that at any time.
        """
        task = self._task
        if task is None or self._cuts or self._halting or not self.run.is_driven_in(task):
            return False
        return any(not other.cancelling() for other in asyncio.all_tasks(self.loop))

    async def _uncancel(self, task: asyncio.Task[Any]) -> None:
        """Continue in the run's own asyncio task, which code of the graph cancelled."""
        while task.uncancel():
            pass
        with suppress(asyncio.CancelledError):  # before Python 3.13 it comes, if it has not come yet
            await asyncio.sleep(0)

    @property
    def missed_stop(self) -> tuple[str, Sequence[int]] | None:
        """A stop that arrived while the run was being released because it waits: its reason and its messages."""
        return (self._stop_reason, self._consume) if self._stop_reason and not self.is_driving else None

    def _take_failure(self, step: Step, failure: FailureRecord) -> None:
        """Log a failure, and remove the exception from its record, so that no store or watcher keeps it alive."""
        log_failure(self.snapshot, self.trace, step, failure)
        if failure.raised is not None and outcome_of(step).has_failed:
            self._raised[failure.path] = failure.raised
        failure.raised = None

    @property
    def cause(self) -> BaseException | None:
        """The exception that the run failed with, if it was raised in this process."""
        failure = self.snapshot.failure
        return self._raised.get(failure.path) if failure is not None else None

    async def drive(self, tasks: TaskRunner) -> None:
        """Run ready tasks until there are none.

        Raises:
            StoreError: A step could not be recorded; the run can be resumed from the recorded steps.
        """
        session, snapshot, jobs = self.session, self.snapshot, self._jobs
        self._task = asyncio.current_task(self.loop)
        try:
            ready = self._all_ready()
            while self.is_driving:
                if self._mail:
                    had_waited = snapshot.status == "waiting"
                    session.recheck(task.frame for task in ready)
                    await self._take_mail()
                    ready = self._all_ready() if had_waited else self._newly_ready()
                if len(ready) == 1 and not jobs and not snapshot.waiting and session.call_in is None:
                    await self._run_sequence(tasks, ready[0])
                    ready = self._all_ready()
                    continue
                moves = self._begin_jobs(tasks, ready)
                if moves or jobs:
                    await self.commit(moves or await self._next_events())
                    ready = self._newly_ready()
                    continue
                ready = self._all_ready()
                if not ready and not self._has_usable_mail():
                    break
        except asyncio.CancelledError:
            if not self._is_cut or self._task is None or self._task.uncancel():
                raise
        finally:
            await self._cancel_all()
            self._task, self.run.is_clean = None, session.call_in is None
        is_released = self._halting and not self._stop_reason
        if (snapshot.status == "running" and not is_released) or (self._stop_reason and self.is_driving):
            await self.end()

    def _begin_jobs(self, tasks: TaskRunner, ready: Iterable[Task]) -> list[Event]:
        """Begin a job for each task that runs code of the graph, and return the events of the others.

        Most nodes of a run in memory never suspend, and an asyncio task costs half as much as a visit. So one asyncio
        task runs the first job and, if that did not suspend, the next one. When one has suspended, or has left a
        context variable behind, the others begin in asyncio tasks of their own, in the same turn of the event loop.
        """
        events: list[Event] = []
        jobs, pending = self._jobs, self._pending
        for task in ready:
            if task.frame in jobs or (task.mode == "limit" and self._has_job_below(task.frame)):
                continue
            event = tasks.move(task)
            if event is not None:
                self._announce(task)
                events.append(event)
                continue
            job = jobs[task.frame] = Job(task)
            pending.append(job)
            if task.due:
                # Already here, since a step can cancel the job before its coroutine has begun.
                self._asleep[task.frame] = task
        if pending and self.run.watchers:  # each suspends, to be announced
            self._begin_pending(tasks)
        elif pending and self._starter is None:
            self._create_task(self._run_pending(tasks))
            self._starter = self.loop.call_soon(self._begin_pending, tasks)  # after that one, in the same turn
        return events

    def _create_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self.loop.create_task(work, context=self.run.context.copy())

    def _begin_pending(self, tasks: TaskRunner) -> None:
        """Begin each job that has not begun in an asyncio task of its own."""
        if self._starter is not None:
            self._starter.cancel()
            self._starter = None
        while self._pending:
            job = self._pending.popleft()
            job.within = self._create_task(self._run_job(tasks, job))

    async def _run_pending(self, tasks: TaskRunner) -> None:
        """Run the jobs that have not begun, until one suspends: then `_begin_pending` has begun the others."""
        within = asyncio.current_task(self.loop)
        while self._starter is not None and self._pending:
            job = self._pending.popleft()
            job.within = within
            await self._run_job(tasks, job)
            if (within is not None and within.cancelling()) or not tasks.is_clean():
                return

    def _all_ready(self) -> list[Task]:
        """Return all tasks to do now; of a run that waits, only those that are due."""
        if self._halting or (self.snapshot.status == "waiting" and not self._is_time()):
            self.session.forget_changes()
            return []
        return self._due_now(self.session.take_all_tasks())

    def _due_now(self, ready: list[Task]) -> list[Task]:
        """Leave out what a run that waits is to do later: it is released meanwhile, and resumed when the time comes."""
        if self.snapshot.status != "waiting":
            return ready
        now = self._clock.now()
        return [task for task in ready if task.mode != "wake" or task.due <= now]

    def _is_due(self) -> bool:
        """Return whether a run that waits has something to do now."""
        return not self._halting and self._is_time() and bool(self._due_now(self.session.tasks()))

    def _is_time(self) -> bool:
        """Return whether one of the run's waits is over; there can be thousands."""
        due = next_due(self.snapshot)
        return due is not None and due <= self._clock.now()

    def _newly_ready(self) -> list[Task]:
        """Return the tasks that the last steps made ready; all others are in flight already."""
        if self._halting or self.snapshot.status == "waiting":
            return self._all_ready()
        return self.session.take_tasks()

    def _has_job_below(self, frame: str) -> bool:
        return any(key.startswith(frame) for key in self._jobs)

    async def _run_sequence(self, tasks: TaskRunner, task: Task) -> None:  # noqa: C901 - calls cost time at each step
        """Run a sequence of tasks, as long as each is the only one, in the run's own asyncio task.

        That saves an asyncio task for each step, but a node runs in the context of this coroutine: a context variable
        that it sets would be seen by the next nodes. So the context is compared after each node, and if it changed,
        `decide` is called in the run's context from now on and the next nodes get asyncio tasks of their own.
        """
        session, snapshot, run = self.session, self.snapshot, self.run
        within = cast("asyncio.Task[Any]", self._task)
        while not self._halting:
            self._is_inside_node = True
            event = await self._run_one(tasks, task) if task.due or run.watchers else await tasks.run(task)
            if within.cancelling() and self._was_cancelled_inside():
                await self._uncancel(within)
            self._is_inside_node = False
            if event is None:
                return
            session.call_in = None if tasks.is_clean() else self._call_in
            if self._broken is not None:
                raise self._broken
            done = session.commit((event,), self.append)  # as `commit`, but inline, to save a call for each step
            status = self._recorded  # read before the await, in which other events may be appended
            del event
            if done.durable is not None:
                await done.durable
            elif snapshot.seq % _TURN_STEPS == 0 or self._turns.over():
                await self._turns.yield_loop()
            if status != "running":
                self.is_driving = False
            if run.watchers or self.trace is not None:
                self.show_steps(done.steps)
            if self._mail or snapshot.waiting or session.call_in is not None:
                return
            ready = session.take_tasks()
            if len(ready) != 1:
                return
            task = ready[0]

    async def _run_one(self, tasks: TaskRunner, task: Task) -> Event | None:
        """Run a task once it is due, and announce its node to watchers; None if a stop came first."""
        if task.due and not await self._due(task):
            return None
        if self._announce(task):
            await asyncio.sleep(0)  # lets watchers see it before a node that blocks the event loop
        return await tasks.run(task)

    def _announce(self, task: Task) -> bool:
        """Announce the node of a task to watchers, and return whether there was anything to announce."""
        if not self.run.watchers or task.mode not in ("run", "fallback"):
            return False
        path, now = path_of(task.frame, task.node), self.time.now()
        self.show(NodeBegan(path, task.node, task.visit, task.attempt, now, self.snapshot.seq))
        return True

    async def _run_job(self, tasks: TaskRunner, job: Job) -> None:
        """Run one of several tasks, and add its completion."""
        task = job.task
        outcome: Event | BaseException | None = None
        try:
            if not self._cuts:
                outcome = await (self._run_one(tasks, task) if task.due or self.run.watchers else tasks.run(task))
        except BaseException as error:
            outcome = error
            if not isinstance(error, StoreError):  # which the loop raises
                raise
        finally:
            job.is_over = True
            self._add_completion((job, outcome))

    def _add_completion(self, completion: Completion) -> None:
        self._completions.append(completion)
        if self._next_completion is not None and not self._next_completion.done():
            self._next_completion.set_result(None)

    async def _next_events(self) -> list[Event]:
        """Wait until anything has ended, and return the events of all that has."""
        if not self._completions:
            self._next_completion = self.loop.create_future()
            await self._next_completion
        found, self._completions = self._completions, []
        events: list[Event] = []
        for job, outcome in found:
            if job is None:
                continue  # mail arrived
            frame = job.task.frame
            if self._jobs.get(frame) is not job:
                continue  # it was cancelled: another job may be in flight in its frame already
            del self._jobs[frame]
            if isinstance(outcome, BaseException):
                if not (self._cuts and isinstance(outcome, asyncio.CancelledError)):
                    raise outcome
            elif outcome is not None:
                events.append(outcome)
        return events

    def _status(self) -> RunStatus:
        """Return the status to record.

        The append that records an end, or a wait, also releases the run's lease. So a run with nodes in flight, or
        with something to do at once, stays `running`: otherwise another process could claim it at this moment.
        """
        snapshot = self.snapshot
        if snapshot.status == "waiting" and (self._stop_reason or self._mail or self._is_due()):
            return "running"
        return "running" if self._jobs else snapshot.status

    def append(
        self,
        steps: Sequence[Decided],
        *,
        status: RunStatus | None = None,
        consume: Sequence[int] = (),
        changed: bool = False,
    ) -> Awaitable[None] | None:
        """Append steps to the run's log, with its current status if none is given."""
        snapshot = self.session.snapshot
        for step in steps:
            failure = failure_of(step)
            if failure is not None:
                self._take_failure(step, failure)
            if step.typed:
                step.typed = None  # the frame has them now, and no store should keep them
        if self._jobs:  # a join may have dropped arms that are still in flight
            for frame in [key for key in self._jobs if key not in snapshot.frames]:
                self._cancel_job(frame)
            if self._asleep:
                self._cancel_sleepers()
        if status is None:
            status = self._status() if snapshot.waiting or self._jobs else snapshot.status
        batch = Append(snapshot.run_id, self.fence, steps, status, consume, self._snapshot_record)
        if status != self._listed or status != "running":
            batch.summary = summary_of(snapshot, status)
            batch.due_at = next_due(snapshot) if status == "waiting" else None
        self._recorded = self._listed = status
        self.wrote_at = self._clock.now() if self._store.shared else 0.0
        if changed:
            batch.fingerprint, batch.outline = self.plan.fingerprint, self.plan.outline
        return self._store.append(batch)

    def check(self) -> None:
        """Refuse to continue after an append that failed.

        Raises:
            StoreError: A step could not be recorded, and the run ends.
        """
        if self._broken is not None:
            raise self._broken

    async def note(self, event: Event) -> None:
        """Record an event of a node that is still running, and return when it is durable.

        Raises:
            StoreError: It could not be recorded, and the run ends here.
        """
        self.check()
        try:
            done = self.session.commit((event,), partial(self.append, status="running"))
            if not done.steps:
                raise StaleEvent(event)
            if done.durable is not None:
                await done.durable
        except StoreError as error:
            self._broken = error
            raise
        if self.run.watchers or self.trace is not None:
            self.show_steps(done.steps)

    async def commit(self, events: Iterable[Event], append: Appender | None = None) -> None:
        """Commit events, and show their steps once they are durable.

        Raises:
            StoreError: They could not be recorded.
        """
        if self._broken is not None:
            raise self._broken
        done = self.session.commit(events, append or self.append)
        status = self._recorded  # read before the await, in which other events may be appended
        if done.durable is not None:
            await done.durable
        if status != "running":
            self.is_driving = False
        if self.run.watchers or self.trace is not None:  # before the turn ends: another node's work may be recorded
            self.show_steps(done.steps)
        if done.durable is None and (self.snapshot.seq % _TURN_STEPS == 0 or self._turns.over()):
            await self._turns.yield_loop()

    def deliver(self, messages: Sequence[Message]) -> None:
        """Accept messages to this run, to be recorded at the next safe point."""
        for message in messages:
            if message.kind == "stop":
                asked = message.payload if isinstance(message.payload, dict) else {"why": message.payload}
                self.stop(str(asked["why"]), (message.id,), now=bool(asked.get("now")))
            elif message.id not in self._known:
                self._known.add(message.id)
                self._mail[message.id] = message
        if self._mail:
            self._add_completion((None, None))

    def _has_usable_mail(self) -> bool:
        """Return whether any message can be recorded now."""
        waiting = self.snapshot.status == "waiting"
        return not self._halting and any(
            message.kind != "answer"
            or waiting
            or waiting_for(self.snapshot, message.payload["wait"], message.payload["id"]) is not None
            for message in self._mail.values()
        )

    async def _take_mail(self) -> None:
        """Record messages. An answer without a wait is kept until its wait exists, or until nothing else can move.

        1. A node waits for two answers. 2. The first arrives, and the node runs again, so that no wait is open. 3. It
        asks the second question again, under the same id. The second answer, if it were recorded between 2 and 3, would
        be refused, although its question is still open.
        """
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
            await self.commit((event,), partial(self.append, consume=(message.id,)))
            if not self.is_driving:
                break

    def _cancel_sleepers(self) -> None:
        """Cancel the tasks that wait for their due time and that the last steps made obsolete."""
        snapshot = self.snapshot
        moves = snapshot.status == "running" and not self._halting and not limit_reached(snapshot)
        changed = dict.fromkeys(self.session.changed) if moves else list(self._asleep)
        for key in [key for key in changed if key in self._asleep and key in self._jobs]:
            frame = snapshot.frames.get(key)
            if not moves or frame is None or task_of(snapshot, frame) != self._asleep[key]:
                self._cancel_job(key)

    def _cancel_job(self, frame: str) -> None:
        job = self._jobs.pop(frame)
        self._asleep.pop(frame, None)
        if job.within is None:
            self._pending.remove(job)
        elif not job.is_over:  # else its asyncio task may run another job
            self._turns.cancelled.add(job.within)
            job.within.add_done_callback(self._turns.cancelled.discard)
            job.within.cancel()

    async def _cancel_all(self) -> None:
        """Cancel everything in flight, when the run cannot continue, and wait until it has ended, threads included."""
        if not self._jobs:
            return
        left = [job.within for job in self._jobs.values() if job.within is not None and not job.is_over]
        self._jobs.clear()  # first, so that `note_cut_off` sees that the driver cancels them, not code of the graph
        self._pending.clear()
        for within in left:
            within.cancel()
        if left:
            await asyncio.gather(*left, return_exceptions=True)

    async def end(self) -> None:
        """Record that the run stops here: on request, or because a limit was reached."""
        asked = self._stop_reason
        reason, text = ("asked", asked) if asked else ("limit", limit_reached(self.snapshot))
        stop = StopAsked(self.time.now(), reason, text, usage=self._spent_in_cut)
        await self.commit([stop], partial(self.append, consume=self._consume))

    async def fail(self, error: NodeError) -> None:
        """Record that the run cannot be driven here."""
        await self.commit([StopAsked(self.time.now(), "failed", error.message, error_of(error))])

    def emitted(self, path: str, data: object) -> None:
        """Show data that a node emits, from the event loop or from a node's thread."""
        if threading.get_ident() == self._thread:
            self.show(Emitted(path, data))
        else:
            with suppress(RuntimeError):  # the event loop is closed, and so are all watchers
                self.loop.call_soon_threadsafe(self.show, Emitted(path, data))

    def show_steps(self, steps: Sequence[Step]) -> None:
        """Show durable steps to all watchers, and trace them."""
        stored = [as_stored(step) for step in steps]
        if self.trace is not None:
            self.trace.seen(stored)
        for step in stored:
            self.show(StepRecorded(step.seq, step))

    def show(self, event: Any) -> None:  # noqa: ANN401 - any of run.Event
        """Show an event to all watchers."""
        for queue in self.run.watchers:
            queue.put_nowait(event)

    def _snapshot_record(self) -> bytes:
        return encode_snapshot(self.snapshot)

    async def _due(self, task: Task) -> bool:
        """Wait until a task is due; return False if a stop came first."""
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
            sleeper.result()  # raise the error of a clock that failed, instead of starting early
        return not self._halting
