"""Driving: moves one run in one process, from the step that opens the run to the step that ends, parks or releases it.

The loop has no rules of its own. `Session.commit` decides what an event means, `Session.take_tasks` decides what runs
next, and the claim (`engine.claim`) decides whether anything may start, be recorded or be shown. A turn of the loop in
`drive` has these parts:

    mail        messages that have arrived are recorded: consecutive messages together, each answer alone
    ready       the tasks that the last steps made possible; after mail, or when nothing moved, the tasks of all frames
    begin       a task that runs no code of the graph becomes its event at once (`Attempt.moved`); a single task that
                runs code runs in the run's own asyncio task; of several tasks, each gets an asyncio task of its own,
                and is in `_jobs` by its frame
    events      events of tasks that have ended since: jobs put their outcomes into `_ended`, and wake the loop
    commit      decide, fold, append; wait until the append is durable; show the steps; take the next tasks

The loop ends if no task is ready or in flight and no mail can be recorded, or if the claim allows nothing more. A stop
or a release that somebody asks for meanwhile is an input of the claim. Tasks that are in flight then end or are
cancelled.

Nothing starts before the step that causes it is durable. In particular:

1. A task runs in an asyncio task of its own, and ends with an event. The loop commits the event: its step is in the
   snapshot, and its append has begun.
2. The loop awaits the append. If the append fails, the snapshot is ahead of the log, so `drive` raises an error and the
   claim is never used again. The run can be resumed from the recorded steps.
3. Only then are the next tasks taken and started, and is the step shown to watchers.

Nodes record work while they run (`note`), beside the loop. The order of the log is the order in which events were
decided: an event is decided, folded and passed to the store without an `await`, so that no other step of the run can
come in between. The exception is a node that works in a transaction of its own (`note_within`): while its steps are
decided, everything else that would decide an event waits.

A job in `_asleep` waits for a time: the end of a pause between attempts, or the end of a wait. A job in `_suspended`
waits in the middle of its code for the end of a child that moves in this process, or for a message that has already
arrived. Its coroutine is kept for at most a second, and only while this claim is held. `_mail` contains the messages
that were accepted from the inbox and are not recorded yet.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from functools import partial
from itertools import groupby
from operator import eq
from typing import TYPE_CHECKING, Any, Final, cast

from graphengine.engine.claim import DURABLE, MAIL, PROGRESS, Durable, Idle, Late, Raised, Stop
from graphengine.engine.events import AnswerArrived, MessageCame, Noted, StopAsked, WaitOver
from graphengine.engine.failures import failure_record
from graphengine.engine.frame_tree import add_usage
from graphengine.engine.lookup import StaleEvent
from graphengine.engine.ready import limit_reached, next_due, ready, task_of
from graphengine.engine.reasons import ways_of, why_of
from graphengine.engine.redaction import Redactor
from graphengine.engine.session import Session
from graphengine.engine.step_json import as_stored
from graphengine.engine.steps import RunStatus, Waiting, outcome_of, path_of
from graphengine.engine.stored import encode_snapshot
from graphengine.engine.work_keys import STARTS
from graphengine.errors import GraphEngineError, LeaseLost, OutOfOrder, ResourceFailed, StoreError
from graphengine.history.load import answer_in
from graphengine.runner.attempt import Attempt
from graphengine.runner.clock import SteadyClock, SystemClock, first_of
from graphengine.runner.followers import NOBODY, log_failure
from graphengine.runner.recorded_work import journal_of
from graphengine.runner.rules_for_effects import RULES, answers_by_rules
from graphengine.runner.run_events import Emitted, NodeBegan, StepRecorded
from graphengine.runner.scope import AttemptFacts, NodeServices
from graphengine.runner.shared import INBOX_SECONDS
from graphengine.runner.starters import is_end
from graphengine.runner.transactions import to_its_end
from graphengine.stores.base import Append, transactional
from graphengine.stores.summaries import NO_FIELDS, summary_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextvars import Context

    from graphengine.engine.claim import Claim, Closed, Do, Input, Release
    from graphengine.engine.events import Event
    from graphengine.engine.plan import Code, Plan
    from graphengine.engine.session import Appender
    from graphengine.engine.snapshot import Snapshot, Task
    from graphengine.engine.steps import Decided, FailureRecord, Step, WaitRecord
    from graphengine.runner.followers import Audience, Following
    from graphengine.runner.shared import Shared
    from graphengine.state.amounts import Usage
    from graphengine.stores.base import InboxMessage, Transaction, Transactional

_TURN_SECONDS: Final = 0.005
"""How long a run whose nodes never suspend may occupy the event loop.

The time is long enough that yielding costs nothing, and short enough that other runs and timers are not delayed
noticeably.
"""
SUSPENDED_SECONDS: Final = 1.0
"""How long an attempt stays suspended in one wait.

Meanwhile its run keeps its lease and its place in a worker, and the node keeps its resources, which its child may need.
Running the node again once in a second costs little: 20 µs for each run that the node has started.
"""
# The timer runs this much longer than the limit of seconds, so that the recorded time has reached the limit.
_MARGIN_SECONDS: Final = 0.01


class LifeTask(asyncio.Task[None]):
    """The asyncio task that drives a run, and that remembers whether the code of a node has cancelled the task.

    A node can run directly in this task, so two cases must be distinguished. If the code of a node cancels the task,
    the node has failed. If the task is cancelled because the event loop ends or the Runner closes, the run is
    interrupted and must stay resumable.
    """

    cancelled_itself = False

    def cancel(self, msg: object = None) -> bool:
        """Cancel the asyncio task that drives the run.

        A call from code that runs inside this task comes from a node. Then `cancelled_itself` is set to True.
        """
        self.cancelled_itself = self.cancelled_itself or asyncio.current_task(self.get_loop()) is self
        return super().cancel(msg)


class Driving:
    """Drives one run in this process: starts nodes and records their results, until the run ends, waits or is given up.

    Attributes:
        session: The `Session` that turns the events of the run into steps and commits the steps.
        plan: The compiled graph.
        snapshot: The snapshot of the run.
        audience: The watchers of the run, which are shown its events.
        fence: The number that this process got when it claimed the run. If another process claims the run, it gets a
            higher number, and the store then refuses writes with the lower number.
        claim: The claim, which decides whether steps may be recorded and nodes may start; see `engine.claim`.
        wrote_at: When the last append to the log began, by the machine's clock. Updated only if other processes can
            open the store.
        time: The clock of the log, of pauses between attempts, and of the limit of seconds. It counts the time that
            passes while the run is driven, even if the machine's clock is set. Waits, in contrast, end by the machine's
            clock.
        resumed_at: When this process resumed the run, by `time`; 0 if the run began here. If an attempt may begin only
            after a pause, this is the end of that pause.
        following: The followers of the run, which extensions provide; see `runner.extensions`.
        cut_off: The paths of the nodes that were cut off, because the Runner closed or a stop cancelled them.
        raised: The exceptions of failed nodes, by path.
        fields: The search fields recorded for the run so far; see `Summary.fields`.
    """

    __slots__ = (  # as each run makes one, with more attributes than a class without slots keeps without a dict
        "_accepted",
        "_asleep",
        "_awake",
        "_broken",
        "_code",
        "_context",
        "_ended",
        "_halted",
        "_has_waited",
        "_jobs",
        "_kept_code",
        "_listed",
        "_looked_at",
        "_mail",
        "_numbering",
        "_recorded",
        "_shared",
        "_spent_in_cut",
        "_suspended",
        "_task",
        "_thread",
        "_timer",
        "_turn_began",
        "audience",
        "claim",
        "cut_off",
        "fence",
        "fields",
        "following",
        "loop",
        "plan",
        "raised",
        "resumed_at",
        "session",
        "snapshot",
        "time",
        "wrote_at",
    )

    def __init__(  # noqa: PLR0913 - what the life of a run and its claim have in common
        self,
        shared: Shared[Any],
        plan: Plan[Any],
        snapshot: Snapshot,
        audience: Audience,
        context: Context,
        claim: Claim,
        within: asyncio.Task[None],
    ) -> None:
        self.session = Session(plan, snapshot, sizes=shared.sizes, checks=shared.checks)
        self.plan, self.snapshot = plan, snapshot
        self.audience, self.claim = audience, claim
        # If the machine's clock is before the last time of the log, the log's time is used instead.
        clock = shared.clock
        self.fence, self.wrote_at = 0, clock.now()
        self.time = SteadyClock(max(self.wrote_at, snapshot.now)) if isinstance(clock, SystemClock) else clock
        self.resumed_at = 0.0
        self.following: Following = NOBODY
        self.cut_off: list[str] = []
        self.loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._task = within
        self._shared, self._context = shared, context
        self._jobs: dict[str, Attempt] = {}  # the attempts in flight, by frame
        self._asleep: dict[str, Task] = {}  # the tasks that wait for their due time, by frame
        # By frame, the loop time until which an attempt stays suspended. None if no attempt was suspended yet.
        self._suspended: dict[str, float] | None = None
        self._has_waited = snapshot.seq > 1  # whether a node that begins here can have run before
        self._ended: list[tuple[Attempt, Event | BaseException | None]] = []
        self._awake: asyncio.Future[None] | None = None  # set while the loop waits for something to happen
        self._mail: dict[int, InboxMessage] = {}
        self._looked_at = -1.0  # when the last read of the inbox for a wait whose time was over began
        self._accepted: set[int] = set()  # A poll of the inbox may return a message again while it is being recorded.
        self._turn_began = time.monotonic()
        self._halted: asyncio.Event | None = None  # created when something first waits for this event
        # held while the transaction of a function is committed: see `note_within`
        self._numbering: asyncio.Lock | None = None
        self._timer: asyncio.Handle | None = None  # the timer of the limit of seconds
        self._spent_in_cut: Usage = {}
        self._broken: GraphEngineError | None = None
        self.raised: dict[str, BaseException] = {}
        self._recorded: RunStatus = "running"  # the status of the last append
        self._listed: RunStatus = snapshot.status  # the status to which the summary in the run's row belongs
        self.fields: Mapping[str, str] = NO_FIELDS
        # The ids of the code that the steps name, and of the code that the store has.
        self._code = self._kept_code = snapshot.code

    # --- the loop -------------------------------------------------------------------------------------------------

    async def drive(self) -> None:  # noqa: C901 - a turn of the loop in the order it happens
        """Run the nodes of the run and record their results, until the run has nothing to do or may not continue here.

        Raises:
            StoreError: A step could not be recorded. The run can be resumed from the recorded steps.
        """
        snapshot, claim, plan, shared = self.snapshot, self.claim, self.plan, self._shared
        try:
            needs = plan.resources or plan.graphs or shared.resources.replaced
            resources = await shared.resources.of_nest(plan) if needs else {}
        except ResourceFailed as error:
            await self.commit([StopAsked(self.time.now(), "failed", error.message, failure_record(error, "", 1))])
            return
        # Not kept in an attribute: it refers to this object, so both would live until a collection of cycles.
        services = NodeServices(
            self.session,
            snapshot.run_id,
            self,
            resources,
            following=self.following,
            threads=shared.threads,
            now=self.time.now,
            wall=shared.clock.now,
            past=shared.past,
            executors=shared.executors,
            children=shared.children,
            loop=self.loop,
            is_shared=shared.store.shared,
            guard=Redactor(plan, snapshot) if plan.secret else None,
            effects=shared.effects,
            types=shared.types,
        )
        if snapshot.limits.get("seconds") is not None:
            self._timer = self.loop.call_soon(self._check_time_limit)
        try:
            ready = self._ready(anew=True)
            while claim.may_record:
                if self._mail and not (claim.stop and claim.stop.final):  # a final stop drops the mail
                    had_waited = snapshot.status == "waiting"
                    self.session.changed += [task.frame for task in ready]  # these tasks were taken, but not started
                    await self._take_mail()
                    ready = self._ready(anew=had_waited)
                if (
                    len(ready) == 1
                    and not (self._jobs or snapshot.waiting or ready[0].due)
                    and not (self._has_waited and self._may_wait_again(ready[0]))
                ):
                    events = await self._run_alone(services, ready[0])
                else:
                    events = self._begin(services, ready)
                if events or self._jobs:
                    events = events or await self._next_events()
                    do = await self.commit(self._with_ends(events) if self._suspended else events)
                    ready = self._ready() if do.start else []
                    continue
                ready = self._ready(anew=True)
                if not ready and (self.is_halting or not any(map(self._can_record, self._mail.values()))):
                    break
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._jobs:
                await self._cancel_all()
        self.check()
        if claim.may_record:
            await self._record_stop()

    async def _record_stop(self) -> None:
        """Record that the run is stopped, if somebody asked for a stop or a limit is reached.

        Nothing is recorded if the run has ended meanwhile.
        """
        if not self.claim.step(Idle(self.snapshot.status)).append:
            return
        asked = self.claim.stop
        late = f"seconds {self._driven_seconds():.3f} >= {self.snapshot.limits.get('seconds')}"
        reason, text = (asked.reason, asked.why) if asked else ("limit", limit_reached(self.snapshot) or late)
        is_final = asked is not None and asked.final
        stop = StopAsked(self.time.now(), reason, text, usage=self._spent_in_cut, final=is_final)
        consume = (*asked.consume, *(self._mail if is_final else ())) if asked else ()
        await self.commit([stop], partial(self.append, consume=consume))

    def _ready(self, *, anew: bool = False) -> list[Task]:
        """Return the tasks that can start now, such as a node to run or a wait whose time is over.

        After a step, only the parts of the run that the step changed are examined. With `anew`, all parts are examined.
        """
        if self.claim.may_start and self.snapshot.status != "waiting":
            return self.session.take_tasks(anew=anew)
        self.session.changed = []
        return self._due_tasks()

    def _due_tasks(self) -> list[Task]:
        """Return the tasks of a waiting run whose time has come, such as the end of a sleep.

        This process does not start tasks with a later time. They are started by the process that resumes the run at
        that time.
        """
        # `next_due` is checked first, because there can be thousands of waits.
        now, due = self._shared.clock.now(), next_due(self.snapshot)
        if self.is_halting or due is None or due > now:
            return []
        return [task for task in self.session.tasks() if task.mode != "wake" or task.due <= now]

    def _begin(self, services: NodeServices, ready: Iterable[Task]) -> list[Event]:
        """Begin the given tasks. Each task that runs a node gets an asyncio task of its own.

        A task that runs no code of the graph, such as the end of a wait, is completed at once.

        Returns:
            The events of the tasks that are completed.
        """
        events: list[Event] = []
        jobs, suspended = self._jobs, self._suspended
        for task in ready:
            frame = task.frame
            if task.mode == "limit":  # Tasks in that graph that only wait for their time would wait in vain.
                for key in [key for key in self._asleep if key.startswith(frame)]:
                    self._cancel_job(key)
                self._end_suspended(partial(_is_below, frame))
            if suspended and frame in suspended:
                if task.mode == "wake":
                    # 1. Two nodes wait for the same message of a topic, each for a minute. 2. Both are suspended,
                    #    because the message has arrived. 3. One of them receives the message. The other waits for its
                    #    time, at which the inbox is read once more: see `_is_due`.
                    self._end_suspended(partial(eq, frame))
                elif task.mode == "deliver":
                    events += filter(None, [Attempt(task, services).moved()])
                else:
                    self._continue_suspended(task)
                continue
            if frame in jobs or (task.mode == "limit" and any(key.startswith(frame) for key in jobs)):
                continue
            job = Attempt(task, services)
            if task.due:  # Noted here already, because a step can cancel the job before its coroutine has begun.
                self._asleep[frame] = task
            elif (event := job.moved()) is not None:
                self._announce(task)
                events.append(event)
                self._has_waited = self._has_waited or task.mode == "deliver"
                continue
            jobs[frame] = job
            job.within = self.loop.create_task(self._work(job), context=self._context)
        return events

    async def _run_alone(self, services: NodeServices, task: Task) -> list[Event]:
        """Run a node directly in the asyncio task of the run, because no other node runs at the same time.

        This saves an asyncio task of its own, which would cost as much as the whole step of a node that never suspends.
        The node still gets context variables of its own. Returns the event that ends the attempt.
        """
        is_shown = bool(self.audience.live) and self._announce(task)
        job = Attempt(task, services)
        event = job.moved()
        if event is None:
            within = job.within = self._task
            self._jobs[task.frame], job.state = job, "running"
            try:
                if is_shown or time.monotonic() - self._turn_began > _TURN_SECONDS:
                    # Other runs can move, and watchers see the node before it blocks the event loop.
                    await asyncio.sleep(0)
                    self._turn_began = time.monotonic()
                event = await job.run_in(self._context.copy()) if self.claim.may_start else None
            except asyncio.CancelledError:
                if not self.claim.cuts or within.uncancel():
                    raise
            finally:
                self._jobs.pop(task.frame, None)
            if isinstance(within, LifeTask) and within.cancelling() and self._was_cancelled_inside():
                within.cancelled_itself = False
                while within.uncancel():
                    pass
                # Before Python 3.13, the cancellation arrives only now if it has not arrived yet.
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)
        elif task.mode == "deliver":
            self._has_waited = True
        return [] if event is None else [event]

    async def _work(self, job: Attempt) -> None:
        """Run an attempt of a node in its own asyncio task.

        The event that ends the attempt, or an exception, is passed to the loop in `drive`.
        """
        task = job.task
        outcome: Event | BaseException | None = None
        job.state = "running"
        try:
            if not self.claim.cuts and (not task.due or await self._is_due(task)):
                if self._announce(task):
                    await asyncio.sleep(0)  # lets watchers see the node before it blocks the event loop
                outcome = job.moved() if task.due else None
                outcome = outcome or await job.run_in(self._context.copy())
        except StoreError as error:  # the loop raises this error
            outcome = error
        except BaseException as error:
            outcome = error
            raise
        finally:
            self._ended.append((job, outcome))
            self._wake()

    async def _next_events(self) -> list[Event]:
        """Wait until at least one running node has ended or a message has arrived.

        Returns:
            The events of all nodes that have ended. The list is empty if only a message has arrived.
        """
        if not self._ended:
            awake = self._awake = self.loop.create_future()
            if self._suspended:
                await self._await_job_or_end(awake)
            else:
                await awake
        ended, self._ended = self._ended, []
        events: list[Event] = []
        for job, outcome in ended:
            if self._jobs.get(job.task.frame) is not job:
                continue  # The job was cancelled, and another job may already be in flight in its frame.
            if job.state == "suspended" and isinstance(outcome, Noted):
                events.append(outcome)
                continue
            del self._jobs[job.task.frame]
            if self._suspended:
                self._suspended.pop(job.task.frame, None)
            # The next tasks are also looked for in this frame if the job did nothing because mail had arrived.
            self.session.changed.append(job.task.frame)
            if isinstance(outcome, BaseException):
                if not (self.claim.cuts and isinstance(outcome, asyncio.CancelledError)):
                    raise outcome
            elif outcome is not None:
                events.append(outcome)
        return events

    def _wake(self) -> None:
        if self._awake is not None and not self._awake.done():
            self._awake.set_result(None)

    # --- suspended attempts --------------------------------------------------------------------------------------

    def _may_wait_again(self, task: Task) -> bool:
        """Return whether a node has started child runs or received messages before, in this visit.

        Such a node probably waits again, so it gets an asyncio task of its own. Only a node with its own asyncio task
        can be suspended while it waits, instead of running again from its beginning.
        """
        frame = self.snapshot.frames.get(task.frame)
        results = {} if frame is None else frame.recorded_results
        return any(memo.by == "message" or STARTS in key for key, memo in results.items())

    @property
    def runs_again(self) -> bool:
        return self._shared.runs_again

    def suspends(self, attempt: AttemptFacts, waits: Mapping[str, WaitRecord]) -> bool:
        """Return whether an attempt stays suspended in memory while its node waits, instead of ending.

        An attempt stays suspended if it waits only for the ends of child runs that are active in this process, or if a
        message for which it waits has already arrived. The wait for such a message ends at once, usually in the
        transaction that records the wait. So a node that receives 400 messages does not run again 400 times, each time
        with more recorded work to read.

        An item of a map that waits for a message gives its turn to another item. So its attempt ends: the resources
        that its code uses, such as a connection, are released before the next item begins, as `concurrency=` promises.

        The first wait of a visit always ends the attempt, and the node runs again. So code that cannot run again is
        noticed early, and not only after a process has died.
        """
        frame, active = attempt.task.frame, self._shared.active_children.get(self.snapshot.run_id, ())
        is_job = self._jobs.get(frame) is attempt and attempt.within is not self._task and journal_of(attempt).has_run
        ends_here = all(wait.together and (wait.keeps_slot or wait.topic in active) for wait in waits.values())
        is_in_item = "[" in frame
        has_come = not is_in_item and any(wait.topic and self.has_message(wait.topic) for wait in waits.values())
        if self.runs_again or self.is_halting or not (is_job and (ends_here or has_come)):
            return False
        facts = Waiting(waits=dict(waits), usage=attempt.usage or {})
        self._ended.append((cast("Attempt", attempt), Noted(attempt.task, attempt.began, self.time.now(), facts)))
        if self._suspended is None:
            self._suspended = {}
        self._suspended[frame] = self.loop.time() + SUSPENDED_SECONDS
        moves = any(wait.topic in active or self.has_message(wait.topic or "") for wait in waits.values())
        if not moves:
            # The children have ended, or are not active here. The inbox shows which is the case.
            self._shared.wake(self.snapshot.run_id)
        self._wake()
        return True

    def _continue_suspended(self, task: Task) -> None:
        """Let an attempt that was suspended while its node waited continue, because the wait is over.

        If the attempt cannot continue, it is ended, so that its node runs again from the beginning.
        """
        job = self._jobs[task.frame]
        is_same = (task.mode, task.visit, task.attempt) == (job.task.mode, job.task.visit, job.task.attempt)
        if is_same and self._suspended and job.journal is not None and job.journal.in_flight.go_on():
            del self._suspended[task.frame]
            self._announce(task)
        else:
            self._end_suspended(lambda frame: frame == task.frame)

    def _end_suspended(self, holds: Callable[[str], bool] | None = None) -> None:
        """End suspended attempts, so that their nodes run again from the beginning when their waits are over.

        `holds` selects the attempts by their frame, which is the place in the run where the attempt is. By default all
        are ended.
        """
        suspended = self._suspended or {}
        for frame in [frame for frame in suspended if holds is None or holds(frame)]:
            del suspended[frame]
            if (job := self._jobs.get(frame)) is not None and not job.within.done():
                job.within.cancel()

    async def _await_job_or_end(self, awake: asyncio.Future[None]) -> None:
        """Wait until a running node ends or a child run reports its end.

        While this method waits, an attempt that is suspended in memory is ended if its child runs are no longer active
        in this process, or if it has been suspended for too long. The alarm of the run, which wakes this method, is set
        up before the inbox is read, so that no report between the two is missed.
        """
        shared, run_id, suspended = self._shared, self.snapshot.run_id, self._suspended or {}
        alarm = shared.suspended.get(run_id)
        if alarm is None or alarm.done():
            alarm = shared.suspended[run_id] = self.loop.create_future()
            alarm.add_done_callback(lambda _: self._wake())
            inbox = await shared.store.inbox([run_id])
            if not (inbox and all(map(is_end, inbox)) and shared.gathers(run_id)):
                self.deliver(inbox)
                shared.gets_ends(run_id)
            ended = {message.payload["topic"] for message in inbox if is_end(message)}
            self._end_suspended(lambda frame: not self._continues_soon(frame, ended))
        now, is_over = self.loop.time(), bool(limit_reached(self.snapshot))
        self._end_suspended(lambda frame: is_over or suspended[frame] <= now)
        timer = self.loop.call_at(min(suspended.values()), self._wake) if suspended else None
        try:
            await awake
        finally:
            if timer is not None:
                timer.cancel()

    def _continues_soon(self, frame: str, ended: Collection[str]) -> bool:
        """Return whether a node that is suspended in memory while it waits will continue soon.

        That is so if a child run for which it waits is active in this process or has reported its end, or if a message
        for which it waits has arrived.
        """
        job, active = self._jobs.get(frame), self._shared.active_children.get(self.snapshot.run_id, ())
        topics = [] if job is None else [wait.topic or "" for wait in journal_of(job).in_flight.waits.values()]
        return any(topic in active or topic in ended or self.has_message(topic) for topic in topics)

    async def let_go(self) -> None:
        """Give back the lease on the run, so that another process can drive the run.

        If attempts were suspended in memory, the log does not show yet that the run waits. Then the append that gives
        the lease back also records the status `waiting`.
        """
        snapshot = self.snapshot
        is_listed = self._suspended is None or self._broken is not None
        if snapshot.status == "waiting" and self.claim.may_record and not is_listed:
            with suppress(StoreError):
                written = self.append((), status="waiting")
                if written is not None:
                    await written
                return
        with suppress(StoreError):  # the lease expires anyway
            await self._shared.store.release(snapshot.run_id, self.fence)

    async def _is_due(self, task: Task) -> bool:
        """Wait until a task's time has come, such as the end of a timeout, and return whether the task is still due.

        The result is False if a stop or a message came first. Before a timeout takes effect, the inbox is read once
        more, because an answer may have arrived in time:

        1. The time of a question ends in a second.
        2. Another process records an answer, and shows its caller that the answer is recorded.
        3. The time ends before the inbox is polled.

        An answer that is found in this last read is recorded first. A read that began after the time of several waits
        is enough for all these waits.
        """
        clock = self._shared.clock if task.mode == "wake" else self.time
        if task.due > clock.now():
            for ended in await first_of(clock.sleep_until(task.due), self.halted()):
                ended.result()  # raises the error of a clock that failed, instead of starting early
        frame = self.snapshot.frames.get(task.frame)
        needs_look = frame is not None and task.wait in frame.waits and frame.waits[task.wait].kind != "sleep"
        while needs_look and not (self.is_halting or task.due <= self._looked_at <= clock.now()):
            began = clock.now()
            try:
                self.deliver(await self._shared.store.inbox([self.snapshot.run_id]))
                self._looked_at = began
            except StoreError:  # The next read may succeed. A default must not win against an answer that has arrived.
                await asyncio.sleep(INBOX_SECONDS)
        self._asleep.pop(task.frame, None)
        has_mail = any(map(self._can_record, self._mail.values()))
        return not (self.is_halting or has_mail) and frame is not None and task_of(self.snapshot, frame) == task

    def _cancel_job(self, frame: str) -> None:
        """Cancel a running attempt whose result is no longer needed. Does not wait until the attempt has ended."""
        job = self._jobs.pop(frame)
        self._asleep.pop(frame, None)
        # The frame can come into being again under the same id, for example as an arm of a fork that is visited again.
        if self._suspended:
            self._suspended.pop(frame, None)
        if not job.within.done():
            self._shared.leaving.add(job.within)
            job.within.add_done_callback(self._shared.leaving.discard)
            job.within.cancel()

    def _cancel_obsolete(self) -> None:
        """Cancel the attempts that the last steps made obsolete.

        An attempt is obsolete if it runs in an arm of a fork that was dropped, or if it waits for a time that no longer
        matters.
        """
        snapshot, changed = self.snapshot, dict.fromkeys(self.session.changed)
        for frame in [key for key in changed if key in self._jobs and key not in snapshot.frames]:
            self._cancel_job(frame)  # a join may have dropped arms
        if not self._asleep:
            return
        moves = snapshot.status == "running" and not self.is_halting and not limit_reached(snapshot)
        changed = changed if moves else dict.fromkeys(self._asleep)
        for key in [key for key in changed if key in self._asleep and key in self._jobs]:
            asleep = snapshot.frames.get(key)
            if not moves or asleep is None or task_of(snapshot, asleep) != self._asleep[key]:
                self._cancel_job(key)

    async def _cancel_all(self) -> None:
        """Cancel all running nodes because the run cannot continue in this process, and wait until they have ended.

        The code of a node in a thread cannot be cancelled, so this method waits for its end.
        """
        left = [job.within for job in self._jobs.values() if not job.within.done()]
        # Cleared first, so that `note_cut_off` sees that the jobs are cancelled here and not by code of the graph.
        self._jobs.clear()
        for within in left:
            within.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # --- recording ------------------------------------------------------------------------------------------------

    async def commit(
        self, events: Iterable[Event], append: Appender | None = None, *, of: Input = PROGRESS, is_note: bool = False
    ) -> Do:
        """Turn events into steps, append the steps to the log, and show them to watchers once they are durable.

        Returns:
            What the claim on the run says to do next, for example whether further nodes may start.

        Raises:
            StoreError: The steps could not be recorded.
        """
        claim = self.claim
        while self._numbering is not None and self._numbering.locked():
            async with self._numbering:
                pass
        # `may_record` decides the most frequent case without the table of the claim.
        if not ((of is PROGRESS and claim.may_record) or claim.step(of).append):
            self.check()
        done = self.session.commit(events, append or self.append)
        if is_note and not done.steps:
            raise StaleEvent(events)
        status = self._recorded  # Read before the await, during which other events may be appended.
        if done.durable is not None:
            await done.durable
            self._turn_began = time.monotonic()
        do = claim.step(DURABLE if status == "running" else Durable(status))
        if do.show and (self.audience.watchers or self.following.recorded):
            self._show(done.steps)
        return do

    async def note(self, event: Event) -> None:
        """Record an event of a node that is still running, such as the result of a call.

        Returns when the step is durable.

        Raises:
            StoreError: The step could not be recorded, and the run ends here.
        """
        try:
            await self.commit((event,), partial(self.append, status="running"), is_note=True)
        except (StoreError, OutOfOrder) as error:
            self.give_up(error)
            raise

    def give_up(self, error: GraphEngineError) -> None:
        """Stop driving the run because of an error. No step is recorded from now on.

        `drive` raises the error after it has cancelled all running nodes.
        """
        self._broken = error
        self.claim.step(Raised())

    @property
    def transactions(self) -> Transactional | None:
        return transactional(self._shared.store)

    async def note_within(self, events: Sequence[Noted], transaction: Transaction) -> None:
        """Record events as the last statement of the transaction of a node's function, and commit the transaction.

        The steps of the run are numbered without gaps, and a transaction can be undone until its end. So the steps of
        the transaction get their numbers when all earlier steps are durable. Until COMMIT has ended, no other step of
        this run is decided, and nothing of this run is sent to the store: it would wait for the lock on the run's row,
        and all runs that are written together with it would wait too.
        """
        self._numbering = self._numbering or asyncio.Lock()
        async with self._numbering:
            try:
                # After this, everything that was sent before is durable, or has failed.
                written = self.append((), status="running")
                if written is not None:
                    await written
                self.check()
                steps = [self.session.decide(event) for event in events]
                for number, step in enumerate(steps):
                    step.seq, step.typed = step.seq + number, None
                await to_its_end(self._commit_within(steps, transaction))
            except (StoreError, OutOfOrder) as error:
                self.give_up(error)
                raise

    async def _commit_within(self, steps: Sequence[Decided], transaction: Transaction) -> None:
        """Append steps to the log in the database transaction of a node's function, and commit the transaction.

        The steps are applied to the snapshot of the run only after the commit, because the database may undo them
        before.
        """
        began, snapshot = self._shared.clock.now(), self.snapshot
        await transaction.commit(Append(snapshot.run_id, self.fence, steps, "running"))
        for step in steps:
            self.session.fold(step)
        self.wrote_at = began
        if self.claim.step(DURABLE).show and (self.audience.watchers or self.following.recorded):
            self._show(steps)

    def append(
        self,
        steps: Sequence[Decided],
        *,
        status: RunStatus | None = None,
        consume: Sequence[int] = (),
        changed: bool = False,
        code: Code | None = None,
    ) -> Awaitable[None] | None:
        """Append steps to the log of the run, and update the row of the run in the same transaction.

        Args:
            steps: The steps. Without steps, only the row of the run is written, which also checks that this process
                still owns the run.
            status: The status to record; by default the current status of the run.
            consume: The ids of the messages that the steps take from the inbox.
            changed: Whether to record that the run continues under another form of its graph.
            code: The code of the graph, if it must be stored although no step refers to it yet.

        Returns:
            An awaitable that ends when the steps are durable; None if they are durable already.
        """
        snapshot, shared = self.snapshot, self._shared
        for step in steps:
            failure = step.data.error
            if failure is not None:
                self.take_failure(step, failure)
            if step.typed:
                step.typed = None  # The frame has the typed values now, and no store should keep them.
        if self._jobs:
            self._cancel_obsolete()
        if snapshot.mailbox and RULES in snapshot.mailbox:
            self.deliver([*answers_by_rules(snapshot, self.plan, self.time.now())])
        status = status or self._status()
        batch = Append(snapshot.run_id, self.fence, steps, status, consume, self._encode)
        if status != self._listed or status != "running":
            fields = self.fields_at(status) if self.plan.search else self.fields
            batch.summary = summary_of(snapshot, status, fields)
            batch.due_at = next_due(snapshot) if status == "waiting" else None
            batch.posts = shared.posts(snapshot, status)
        self._recorded = self._listed = status
        # While a cut-off process may still act, `wrote_at` is 0, so that each node asks the store before it begins.
        waits = snapshot.cut_until and snapshot.cut_until > self.time.now()
        self.wrote_at = 0.0 if waits or not shared.store.shared else shared.clock.now()
        if snapshot.code != self._code:
            self._code = snapshot.code
            code = self.plan.code if snapshot.code != self._kept_code else None
        if code is not None:
            self._kept_code, batch.code, batch.code_body = code.id, code.id, code.body
        if changed:
            batch.fingerprint, batch.graph_spec = self.plan.fingerprint, self.plan.graph_spec
        return shared.store.append(batch)

    def fields_at(self, status: RunStatus, *, begins: bool = False) -> Mapping[str, str]:
        """Return the values of the fields that the graph names in `search=`, by which lists of runs can be filtered.

        Search fields of the input are computed when the run begins, and search fields of the output when it finishes.
        At any other time, the method returns the values that were computed before.

        Args:
            status: The status of the run. With `finished`, the fields of the output are computed.
            begins: Whether the run begins now. If so, the snapshot contains its input, and the fields of the input are
                computed.
        """
        values = self.snapshot.root.values
        if begins:
            self.fields = self.plan.fields_of(values, at_end=False)
        if status == "finished":
            self.fields = {**self.fields, **self.plan.fields_of(values, at_end=True)}
        return self.fields

    def _encode(self) -> bytes:
        return encode_snapshot(self.snapshot)

    def _status(self) -> RunStatus:
        """Return the status to record with an append.

        The append that records an end or a wait also gives up the lease on the run. So while nodes are in flight, or
        something can be done at once, the recorded status stays `running`. Otherwise another process could claim the
        run while this process still works on it.
        """
        status = self.snapshot.status
        goes_on = status == "waiting" and (self.claim.stop or self._mail or self._due_tasks())
        return "running" if self._jobs or goes_on else status

    def check(self) -> None:
        """Raise the error of an append to the log that failed earlier, if there was one.

        After such a failure the run must not continue in this process.

        Raises:
            StoreError: A step could not be recorded, and the run ends here.
        """
        if self._broken is not None:
            raise self._broken

    def take_failure(self, step: Step, failure: FailureRecord) -> None:
        """Log the failure of a node, and keep its exception for the run's result.

        The exception is removed from the step, so that no store or watcher keeps the exception alive.
        """
        log_failure(self.snapshot, self.following, step, failure)
        if failure.raised is not None and outcome_of(step).has_failed:
            self.raised[failure.path] = failure.raised
        failure.drop_exceptions()

    # --- requests and mail ----------------------------------------------------------------------------------------

    def ask(self, request: Stop | Release | Late | Closed) -> None:
        """Tell the claim that the run is to be stopped, released or closed, and halt as the claim demands."""
        self.obey(self.claim.step(request))

    def obey(self, do: Do) -> None:
        """Do what the claim on the run (`engine.claim`) demands: start no more nodes, or also cancel running ones."""
        if self.is_halting:
            self._halted = self._halted or asyncio.Event()
            self._halted.set()
            self._end_suspended()
        for job in self._jobs.values() if do.cancel else ():
            if job.state != "ready" and not job.within.done():  # otherwise the job ends as soon as it begins
                job.within.cancel()

    @property
    def is_halting(self) -> bool:
        """Whether no further node starts, because the run is stopped or released, or this process lost it."""
        return not self.claim.may_start

    @property
    def is_released(self) -> bool:
        """Whether this process gives up the run, by a release or because its Runner closes, and still owns the run."""
        claim = self.claim
        return claim.may_record and (claim.released or claim.closed) and claim.stop is None

    def _check_time_limit(self) -> None:
        """Check whether the run has reached its limit of seconds, and cancel all running nodes in this case.

        Without this, a call that hangs would never end. If there is time left, the check is repeated when it is over.
        The clock of the run decides, because the timers of the event loop may count other seconds.
        """
        left = (self.snapshot.limits.get("seconds") or 0.0) - self._driven_seconds()
        if left <= 0 and self.snapshot.status == "running":
            self.ask(Late())
        else:
            self._timer = self.loop.call_later(max(0.0, left) + _MARGIN_SECONDS, self._check_time_limit)

    def _driven_seconds(self) -> float:
        """Return for how many seconds the run has been driven, by this and earlier processes, up to this moment.

        The number in the snapshot does not include the time since the last step.
        """
        snapshot = self.snapshot
        return snapshot.elapsed_seconds + (
            max(0.0, self.time.now() - snapshot.now) if snapshot.status == "running" else 0.0
        )

    def deliver(self, messages: Sequence[InboxMessage]) -> None:
        """Accept messages that have arrived for this run.

        They are recorded before the next nodes start. A message that asks for a stop takes effect at once.
        """
        for message in messages:
            if message.kind == "stop":
                self.ask(stop_in(message))
            elif message.id not in self._accepted:
                self._accepted.add(message.id)
                self._mail[message.id] = message
        if self._mail:
            self._wake()

    def has_message(self, topic: str) -> bool:
        """Return whether a message on this topic has arrived that no node has received yet.

        If so, a node that begins to wait for such a message does not have to end: the message is recorded first, and
        then ends the wait.
        """
        arrived = [each.payload["topic"] for each in self._mail.values() if each.kind == "message"]
        return topic in self.snapshot.mailbox or topic in arrived

    def _can_record(self, message: InboxMessage) -> bool:
        """Return whether a message to the run can be recorded now.

        An answer whose question is not open at this moment is not recorded yet. It is kept until the question is open
        again, or until nothing else in the run can move. An example:

        1. A node waits for two answers.
        2. The first answer arrives, and the node runs again, so that no wait is open.
        3. The node asks the second question again, under the same id.

        If the second answer were recorded between 2 and 3, it would be refused, although its question is still to be
        answered.
        """
        return (
            message.kind == "message"
            or self.snapshot.status == "waiting"
            or self.snapshot.open_waits.holder(message.payload["wait"], message.payload["id"]) is not None
        )

    async def _take_mail(self) -> None:
        """Record the messages to this run that have arrived, in the order of their arrival.

        Consecutive messages are recorded together, and each answer to a question is recorded alone.
        """
        self._has_waited = True
        for _, group in groupby(list(self._mail.values()), lambda each: each.kind == "message" or each.id):
            events, ids = self.arrived(group)
            if ids:
                await self.commit(events, partial(self.append, consume=ids), of=MAIL)
            if not self.claim.may_record:
                break

    def arrived(self, messages: Iterable[InboxMessage]) -> tuple[Iterator[Event], Sequence[int]]:
        """Take the messages that can be recorded now, and return their events and their ids.

        If one of the messages ends a wait, the end of the wait is among the events. It is recorded in the same
        transaction, so that no code of the graph runs in between.
        """
        taken = [self._mail.pop(message.id) for message in messages if self._can_record(message)]
        return self._events_of(taken), [message.id for message in taken]

    def _events_of(self, arrived: Iterable[InboxMessage]) -> Iterator[Event]:
        """Yield an event for each message that has arrived, and then the end of the wait that one of them ends, if any.

        The end of the wait depends on the steps that record the messages. So its event is computed when these events
        have become steps.
        """
        now, snapshot, claim = self.time.now(), self.snapshot, self.claim
        for each in arrived:
            if each.kind == "message":
                yield MessageCame(now, each.payload["topic"], each.payload["payload"], each.payload.get("told", False))
            else:
                yield AnswerArrived(each.payload["wait"], each.payload["id"], now, answer_in(each.payload))
        halts = claim.stop or claim.released or claim.closed
        if not halts and snapshot.runnable is not None:
            yield from self._deliver_waits(now, snapshot.runnable)

    def _deliver_waits(self, now: float, frame: str) -> Iterator[Event]:
        """Yield an event for each wait at this place in the run that can end now because its message has arrived."""
        for task in ready(self.snapshot, (frame,)):
            if task.mode == "deliver":
                yield WaitOver(task.frame, task.wait, now, delivered=True)

    def _with_ends(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the given events, and then an event for the end of each wait that can end at once.

        A wait that one of the events begins can end at once if its message has already arrived. All events are recorded
        in one transaction, so that a node which is suspended in memory continues without a further write.
        """
        yield from events
        if self.claim.may_start and not self._mail:
            for event in events:
                if isinstance(event, Noted) and event.id.frame in (self._suspended or ()):
                    yield from self._deliver_waits(self.time.now(), event.id.frame)

    # --- what nodes use: `runner.scope.Host` ---------------------------------------------------------------------

    async def check_owned(self) -> None:
        """Ask the store whether this process still drives the run, before a node begins long after the last write.

        A process can be suspended by a debugger, a virtual machine that moves, or a laptop that is closed. When it
        continues, its lease can have ended, and another process can have taken its run. The next write of this process
        is refused then. But a node would begin before that write, and would repeat what the other process does.

        Raises:
            LeaseLost: Another process has taken the run, or the run was released.
        """
        if self._numbering is not None:
            async with self._numbering:
                pass
        began = self._shared.clock.now()  # the machine's clock, which advances while the machine is suspended
        written = self._shared.store.append(Append(self.snapshot.run_id, self.fence, (), "running"))
        if written is not None:
            await written
        self.wrote_at = began

    async def may_begin(self, *, reads: bool) -> bool:
        """Return whether a node may begin, after waiting for another process that may still be running the same node.

        The wait is needed in the following case:

        1. Another process drove the run, with a node in flight, and was cut off from the database.
        2. This process took the run.
        3. The other process continues to act until it notices. So nodes that were in flight begin here only when the
           lease of the other process is over.
        """
        snapshot, time_ = self.snapshot, self.time
        if not reads and snapshot.cut_until > time_.now():
            for ended in await first_of(time_.sleep_until(snapshot.cut_until), self.halted()):
                ended.result()
            if self.is_halting:
                return False
        await self.check_owned()
        return True

    async def read_code(self, code: str) -> Mapping[str, Any] | None:
        return await self._shared.store.code(code)

    async def keep_code(self) -> None:
        if self.plan.code is not None and self.plan.code.id != self._kept_code:
            written = self.append((), status="running", code=self.plan.code)
            if written is not None:
                await written

    def cut_until(self, seq: int) -> float:
        return self.snapshot.cut_until if seq < self.snapshot.cut_seq else 0.0

    @property
    def acting(self) -> Sequence[Attempt]:
        """The attempts that are acting outside the run right now and that a cancellation would interrupt."""
        return [job for job in self._jobs.values() if job.acts]

    async def confirm(self) -> None:
        """Ask the store whether this process still owns the run, and end the run here if another process has taken it.

        The store is not asked once this process has sent the append that gives the lease back, because that append
        itself fails if the run was taken. Asking then could end the wrong claim:

        1. The store is asked.
        2. Meanwhile the run gives its lease back, and is claimed here again.
        3. The answer says that the former lease is gone, which is true but no longer matters.
        """
        if self._recorded != "running":
            return
        try:
            await self.check_owned()
        except LeaseLost as error:
            here = self._shared.driven.get(self.snapshot.run_id)
            if here is not None and here.driving is self and self.claim.owned:
                self._broken = error
                self.obey(self.claim.step(Raised()))

    async def halted(self) -> None:
        """Wait until no further node may start, because the run is being stopped or released."""
        self._halted = self._halted or asyncio.Event()
        await self._halted.wait()

    def spending(self) -> Sequence[AttemptFacts]:
        """Return the attempts with usage, such as tokens, that is not recorded in a step yet."""
        return [job for job in self._jobs.values() if job.usage]

    def note_cut_off(self, attempt: AttemptFacts) -> bool:
        """Return whether the driver of the run, and not the code of the node, cancelled this attempt.

        If so, remember that the node was cut off. If the node's own code cancelled its asyncio task, the node has
        failed instead.
        """
        frame, within, run = attempt.task.frame, attempt.within, self._task
        is_own = self._jobs.get(frame) is attempt and within is asyncio.current_task() and not self.claim.cuts
        if is_own and (not run.cancelling() or (within is run and self._was_cancelled_inside())):
            return False
        if frame in self.snapshot.frames:
            self.cut_off.append(attempt.path)
        self._spent_in_cut = add_usage(self._spent_in_cut, attempt.usage or {})
        return True

    def _was_cancelled_inside(self) -> bool:
        """Return whether the code of a node cancelled the asyncio task of the run, in which the node ran."""
        return not self.is_halting and isinstance(self._task, LifeTask) and self._task.cancelled_itself

    def emitted(self, path: str, data: object) -> None:
        """Show data from `ctx.emit` to watchers. May be called from the event loop or from the thread of a node."""
        if threading.get_ident() == self._thread:
            self.audience.show(Emitted(path, data))
        else:
            with suppress(RuntimeError):  # The event loop is closed, and so are all watchers.
                self.loop.call_soon_threadsafe(self.audience.show, Emitted(path, data))

    def _announce(self, task: Task) -> bool:
        """Tell the watchers of the run's live events that a node begins.

        Returns:
            False if nobody was told, because there is no such watcher or the task runs no node.
        """
        if not self.audience.live or task.mode not in ("run", "fallback"):
            return False
        path, now = path_of(task.frame, task.node), self.time.now()
        self.audience.show(NodeBegan(path, task.node, task.visit, task.attempt, now, self.snapshot.seq))
        return True

    def _show(self, steps: Sequence[Step]) -> None:
        """Pass recorded steps to the watchers of the run and to the followers, by which extensions follow the run.

        Watchers also get the reason why each edge was taken.
        """
        stored = [as_stored(step) for step in steps]
        for recorded in self.following.recorded:
            recorded(stored)
        if self.audience.watchers:
            for step in stored:
                outcome = outcome_of(step)
                is_tried = outcome.tests or outcome.arms
                why = why_of(outcome, ways_of(self.plan.graph_spec, step) if is_tried else ())
                self.audience.tell(StepRecorded(step.seq, step, why))


def _is_below(around: str, frame: str) -> bool:
    return frame.startswith(around)


def stop_in(message: InboxMessage) -> Stop:
    """Convert a message in the inbox of a run, by which somebody asks to stop the run, to a `Stop`."""
    asked = message.payload if isinstance(message.payload, dict) else {"why": message.payload}
    now, final = bool(asked.get("now")), bool(asked.get("final"))
    why = str(asked["why"]) or "asked"
    return Stop(why, (message.id,), now=now, final=final, reason="above" if asked.get("above") else "asked")
