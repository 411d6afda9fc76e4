"""A run while it is active in this process: opened, driven, possibly asleep and driven again, until it is over.

One asyncio task does all of this for a run. Everything else about the run in this process belongs to its `Life`: its
handle, its watchers, and its claim on the store. Objects that all runs of a Runner share are in `Shared`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import weakref
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar

from graphengine.engine.claim import (
    Alone,
    Begin,
    Claim,
    Cut,
    Do,
    Found,
    Left,
    Opened,
    Quiet,
    Raised,
    Refused,
    Woken,
)
from graphengine.engine.failures import text_of
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.user_frames import cut_to_user_code
from graphengine.errors import DefinitionError, GraphEngineError, LeaseLost, RunIsDriven, RunnerClosed, RunText
from graphengine.history.changes import poke
from graphengine.history.reasons import StepReasons
from graphengine.runner import opening
from graphengine.runner.driving import Driving, LifeTask
from graphengine.runner.extensions import OpenRun
from graphengine.runner.followers import NOBODY, Audience, log_run
from graphengine.runner.import_guard import IS_IMPORTING, RunAtImport
from graphengine.runner.other_forms import read_result
from graphengine.runner.result import Result, RunFailed, result_of
from graphengine.runner.run_events import StepRecorded
from graphengine.runner.scope import CURRENT
from graphengine.runner.shared import INBOX_SECONDS, ActiveChildren
from graphengine.runner.starters import is_end, topic_of
from graphengine.runner.threads import FROM_THREAD
from graphengine.runner.transactions import no_transactions
from graphengine.state.interrupts import reraise_interrupt
from graphengine.stores.base import transactional

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence

    from graphengine.engine.claim import Closed, Release, Stop
    from graphengine.engine.plan import Plan
    from graphengine.engine.steps import StarterRecord
    from graphengine.runner.run_events import Watcher
    from graphengine.runner.shared import Shared
    from graphengine.stores.base import InboxMessage, RunInfo

S = TypeVar("S")

Opening: TypeAlias = "Callable[[Life[S]], Awaitable[Driving | Result[S, Any]]]"
"""A function that opens a run: it records the first step of this process for the run.

It returns the `Driving` that drives the run, or a result if the run cannot be driven now.
"""

Point: TypeAlias = Literal["begun", "over"]
"""A point for which callers wait: `begun` when the first step is durable, `over` when the life ends."""

log = logging.getLogger("graphengine.runner")

_GONE: Final = Snapshot()
"""The snapshot that a life has after its run has ended here.

It has no frames, so no task of the run can record anything.
"""

_CLOSED: Final = "await run.result() before the Runner closes, or raise grace_seconds; resume or recover continues it"
_RELEASED: Final = "resume or recover continues the run"


async def _await_to_end(work: Coroutine[Any, Any, None]) -> None:
    """Await work to its end even if the calling task is cancelled meanwhile. The cancellation is raised afterwards.

    For example, a Runner that closes cancels the tasks of its runs, but extensions must still be told that a run ended.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _first_time(result: Result[Any]) -> float:
    """Return when the first wait of a waiting run is over, in epoch seconds; infinity if it waits without a time."""
    return min((wait.due_at for wait in result.waits if wait.due_at is not None), default=math.inf)


class Life(Generic[S]):
    """Handles one run while this process is responsible for the run: opens it, drives it, and keeps its result.

    A single asyncio task opens the run, drives it and waits for it. The life ends when this process has nothing left to
    do for the run.

    Args:
        shared: The objects that the run shares with other runs. The life is in `shared.lives` until it is over.
        run_id: The id of the run.
        plan: The compiled graph.
        open_: The function that opens the run, called in the run's own asyncio task.
        claim: The claim on the run. The life does what `claim.step` returns.

    Attributes:
        seq: The number of the last durable step that this process knows. While the run is driven, it is the number
            before driving began.
        nonce: The nonce of the run, once this process has driven it.
        is_over: Whether the life is over.
        driving: The object that drives the run, while it is driven.
        result: The result at the end of the life.
        handle: The `Run` of this life, if a handle was made.
        reports_to: For a run that a node of another run started: the id of that run, and the topic on which the end is
            reported to it.
    """

    __slots__ = (
        "_callers",
        "_is_retrieved",
        "_report",
        "_waiting",
        "audience",
        "claim",
        "context",
        "driving",
        "handle",
        "id",
        "is_over",
        "nonce",
        "plan",
        "reasons",
        "reports_to",
        "result",
        "seq",
        "shared",
        "task",
    )

    def __init__(self, shared: Shared[Life[Any]], run_id: str, plan: Plan[S], open_: Opening[S], claim: Claim) -> None:
        self.shared, self.claim = shared, claim
        self.id, self.plan = run_id, plan
        self.audience = Audience()
        self.seq = 0
        self.nonce = ""
        self.is_over = False
        self._waiting: dict[Point, list[asyncio.Future[None]]] = {}  # callers, by the point for which they wait
        self.driving: Driving | None = None
        self.result: Result[S, Any] | None = None
        self.handle: weakref.ref[Any] | None = None
        self.reasons: StepReasons | None = None  # the reasons of steps that another process records
        self._is_retrieved = False
        self._report: weakref.finalize[..., Any] | None = None  # reports the error of the run when the handle is gone
        self.reports_to: tuple[str, str] | None = None
        self._callers = 0
        self.context = copy_context()
        for inherited in (FROM_THREAD, CURRENT):
            if inherited.get() is not None:  # a node, or a tool of an agent, started the run
                self.context.run(inherited.set, None)
        own = self.context.copy()
        loop = asyncio.get_running_loop()
        self.task = LifeTask(self._live(open_), loop=loop, name=f"graphengine run {run_id}", context=own)
        self.task.add_done_callback(self._on_driving_done, context=own)
        shared.lives.add(self)
        poke(shared.store, run_id)

    # --- from its opening to its result ----------------------------------------------------------------------------

    async def _live(self, open_: Opening[S]) -> None:  # noqa: C901, PLR0912 - a life in the order it happens
        """Open the run, drive it, and let it sleep while it waits, as long as this process has to do with the run.

        If the run was asleep when its Runner closed, this life of the run has no result. Thousands of runs can sleep in
        a process, so the objects that opened and drove the run, which hold its state, are freed before it sleeps.
        """
        claim = self.claim
        result: Result[S, Any] | None
        try:
            if not self._callers:  # A caller that already waits for the end needs no first events.
                await asyncio.sleep(0)  # lets the caller watch the run from its first event on
            opened = await self._open_as_claimed(claim.step(Begin()), open_)
            del open_
            while True:
                if isinstance(opened, Driving):
                    do, result = await self._drive(opened)
                else:
                    self.note_seq(opened.seq)
                    do, result = claim.step(Found(opened.status, self._due(opened) if opened.waits else None)), opened
                del opened
                if claim.may("sleep") and result is not None:
                    seq, first, kept = result.seq, _first_time(result), result if do.wake is None else None
                    del result
                    do, result = await self._sleep(seq, do.wake, first), kept
                if do.post is not None:
                    await opening.stop(self.shared, self.id, do.post)
                if not do.open:
                    break
                opened = await self._open_as_claimed(do, opening.resume)
            if do.outcome == "recorded" and claim.closed and not self._callers and not self.audience.watchers:
                return  # Thousands of runs may sleep, and nobody asks for their results.
            self.result = result = result if do.outcome == "driven" else await self._current_result()
            if result is not None and result.status != "failed":
                self.task.remove_done_callback(self._on_driving_done)
                # One turn of the event loop before `_on_driving_done`, which would have nothing to report.
                self._tell_over()
        except asyncio.CancelledError:
            if claim.step(Cut()).outcome == "raise":
                raise
            # A Runner that closes can cut a run off before its first node begins. That is reported as well.
            self.result = await (self._cut_off(()) if claim.closed else self._current_result())
        except BaseException as error:
            claim.step(Raised())
            if isinstance(error, Exception):
                raise
            reraise_interrupt(error)  # `SystemExit` would end the event loop, and with it all other runs.
            raise DefinitionError(
                f"code of graph {self.plan.graph!r} raised {type(error).__name__}: {text_of(error)}",
                where=f"run {self.id}",
                repair="raise a subclass of Exception instead; nothing was recorded in this attempt to drive the run",
            ) from error

    async def _open_as_claimed(self, do: Do, open_: Opening[S]) -> Driving | Result[S, Any]:
        """Open the run as the claim on it demands, and return the object that drives the run.

        If another process drives the run already, this method waits for that process and tries again. If there is
        nothing to drive, the method returns the result of the run instead.
        """
        claim, shared = self.claim, self.shared
        while True:
            try:
                if do.open != "alone":
                    return await open_(self)
                async with shared.one_at_a_time:
                    await shared.idle()
                    claim.step(Alone())
                    return await open_(self)
            except RunIsDriven:
                do, open_ = claim.step(Refused()), opening.resume
                if do.outcome == "raise":
                    raise
                if do.outcome is not None:
                    return await self._current_result()
                await self._follow()

    async def _follow(self) -> None:
        """Wait a moment while another process drives the run, and then pass the last step in the store to watchers.

        Watchers read the steps before that step from the store themselves.
        """
        store, audience = self.shared.store, self.audience
        if not self.seq:
            self.note_seq((await store.info(self.id)).seq)
        await asyncio.sleep(INBOX_SECONDS)  # cancelled if the Runner closes
        if audience.watchers:
            seq = (await store.info(self.id)).seq
            for step in await store.steps(self.id, seq - 1, seq):
                self.reasons = self.reasons or StepReasons(store, self.id)
                why = await self.reasons.why(step)
                audience.tell(StepRecorded(seq, step, why))  # Watchers read the steps before this step from the store.

    def _tell_over(self) -> None:
        self.shared.lives.discard(self)
        self.is_over = True
        if self.reports_to is not None:
            self.shared.has_come_to_rest(self.reports_to)
        poke(self.shared.store, self.id)
        for point in tuple(self._waiting):
            self._wake_waiters(point)
        if self.audience.watchers:
            self.audience.tell(None)

    def _wake_waiters(self, point: Point) -> None:
        for waiter in self._waiting.pop(point, ()):
            if not waiter.done():
                waiter.set_result(None)

    def _on_driving_done(self, task: asyncio.Task[None]) -> None:
        # The exception is retrieved, so that asyncio does not also warn about it.
        error = None if task.cancelled() else task.exception()
        self._tell_over()
        if error is None and (self.reports_to is not None or self.result is None or self.result.status != "failed"):
            return
        handle = self.handle() if self.handle is not None else None
        # The holder of the handle may still ask for the error. It is reported when the handle is gone, or when the
        # process ends.
        if handle is not None:
            if not self.is_retrieved:
                self._report = weakref.finalize(handle, self._log_error)
        # Otherwise callers that found the run by its id get the error.
        elif not self._callers and not self.audience.watchers:
            self._log_error()

    @property
    def is_retrieved(self) -> bool:
        """Whether a caller retrieved the result or the error of the run.

        If no caller retrieves an error, it is logged when the handle is gone. When a caller retrieves the result or the
        error, the finalizer of the handle, which would log the error, is removed. If it stayed, some objects would
        never be freed:

        1. A caller gets the error. The traceback of the error refers to the frame of the caller, and the frame refers
           to the handle.
        2. The finalizer refers to this life, and the life refers to its task with the error.
        3. So the error, through the finalizer, would keep the handle alive, whose end the finalizer waits for.
        """
        return self._is_retrieved

    @is_retrieved.setter
    def is_retrieved(self, is_retrieved: bool) -> None:
        self._is_retrieved = is_retrieved
        if is_retrieved and self._report is not None:
            self._report.detach()
            self._report = None

    def _log_error(self) -> None:
        """Log the error that ended the run, such as the failure of a node, unless a caller has retrieved it."""
        if self.is_retrieved:
            return
        self.is_retrieved = True
        result, error = self.result, self.task.exception()
        cause, recorded = error, ""
        if error is None and result is not None:
            error, cause = RunFailed(result), result.cause
            if cause is None and result.error is not None and result.error.traceback:
                recorded = f"\n{result.error.traceback}"
        elif isinstance(error, GraphEngineError):  # The frames of such an error belong to the engine.
            cause = error.__cause__
        if cause is not None:
            cut_to_user_code(cause)
        text = "nobody asked for the result of run %s, which raises %s: %s%s"
        log.error(text, self.id, type(error).__name__, error, RunText(recorded), exc_info=cause, extra={"run": self.id})

    def deliver(self, messages: Sequence[InboxMessage]) -> None:
        if self.driving is not None:
            self.driving.deliver(messages)

    def is_taken(self) -> Coroutine[object, object, bool]:
        """Return whether this process drives the run, as soon as that is certain.

        The result is False if the run is over, still waits, or was claimed by another process. Call this method right
        after this object was made: the run is watched from the call on, no matter when the returned coroutine is
        awaited.
        """
        return self._is_taken(self.audience.joined(live=False))

    async def _is_taken(self, events: Watcher) -> bool:
        try:
            return await events.get() is not None
        finally:
            self.audience.left(events)

    @property
    def has_trouble(self) -> bool:
        """Whether the run could not be opened. A run that another process drives does not count as trouble."""
        error = self.task.exception() if self.task.done() and not self.task.cancelled() else None
        return error is not None and not isinstance(error, RunIsDriven)

    def note_seq(self, seq: int) -> None:
        """Remember the number of the last durable step, and wake callers that wait for the first step."""
        self.seq = seq
        if "begun" in self._waiting:
            self._wake_waiters("begun")

    async def until(self, point: Point) -> None:
        """Wait until the run has begun in this process, or until this process has nothing left to do for the run.

        The argument names the point to wait for. `begun` is reached when the first step that this process records is
        durable, and `over` when this process has nothing left to do. A caller that waits for `begun` also wakes if the
        life ends without a durable step.
        """
        if not (self.is_over or (self.seq and point == "begun")):
            waiter = self.task.get_loop().create_future()
            self._waiting.setdefault(point, []).append(waiter)
            await waiter

    @property
    def last_seq(self) -> int:
        """The number of the last step that this process has recorded or read.

        Another process may have recorded further steps since.
        """
        return self.seq if self.driving is None else self.driving.snapshot.seq

    async def outcome(self, *, retrieves: bool = False) -> Result[S, Any]:
        """Wait until this process has nothing left to do for the run, and return the result or raise the error.

        Args:
            retrieves: Whether to note that a caller retrieved the result or the error, so that the error is not logged.
        """
        self._callers += 1
        try:
            if not self.is_over:  # the same as `until`, without a further call
                waiter = self.task.get_loop().create_future()
                self._waiting.setdefault("over", []).append(waiter)
                await waiter
        finally:
            self._callers -= 1
        if retrieves:
            self.is_retrieved = True
        return self.ended_with()

    def ended_with(self) -> Result[S, Any]:
        """Return the result of the run after its life in this process is over, or raise the error that ended it.

        Raises:
            GraphEngineError: The run could not be begun, claimed or recorded.
            RunnerClosed: The Runner closed before the run was recorded, or while the run slept.
            LeaseLost: The asyncio task of the run was cancelled while its Runner was open, and the run was released.
        """
        result = self.result
        if not self.task.cancelled():
            self.task.result()
        if result is None and self.seq and not self.shared.closed:
            raise LeaseLost(
                f"run {self.id} is no longer driven by this process, because its asyncio task was cancelled",
                where=f"run {self.id}",
                repair=_RELEASED,
            )
        if result is None:
            text = "while run {} slept" if self.seq else "before run {} was recorded"
            raise RunnerClosed(
                f"the runner was closed {text.format(self.id)}",
                where=f"run {self.id}",
                repair="keep the Runner open until result() returns",
            )
        return result

    async def claimed(
        self,
        snapshot: Snapshot,
        size_bytes: int | None = None,
        *,
        info: RunInfo | None = None,
        parent: str | None = None,
        is_queued: bool = False,
    ) -> Driving:
        """Create the object that drives the run from a snapshot.

        Called before this process records its first step of the run.

        Args:
            snapshot: The snapshot of the run. For a new run it contains only the origin.
            size_bytes: The size of the state as JSON, if it is known.
            info: The row of the run in the database; None for a new run.
            parent: The id of the run from which this run branches off, if any.
            is_queued: Whether this is a new run that only a worker will drive.
        """
        shared = self.shared
        shared.keep_plan(self.plan)
        driving = Driving(shared, self.plan, snapshot, self.audience, self.context, self.claim, self.task)
        if size_bytes is not None:
            driving.session.size_bytes = size_bytes
        if info is not None and info.summary is not None:
            driving.fields = info.summary.fields
        if shared.follows:
            caller = None if self.seq else self.context  # A run that wakes up here has no caller.
            opened = OpenRun(shared.store, snapshot, info, parent, caller, self.plan.graph, is_queued)
            driving.following = await shared.following(opened)
        return driving

    # --- driven -----------------------------------------------------------------------------------------------------

    async def _drive(self, driving: Driving) -> tuple[Do, Result[S, Any]]:
        """Drive the run until it ends, waits or must be given up.

        Returns:
            What the claim on the run says to do next, and the result of the run so far.
        """
        shared, claim = self.shared, self.claim
        self.driving, self.nonce = shared.note_driven(self, driving), driving.snapshot.nonce
        if driving.snapshot.starter is not None:
            self.note_starter(driving.snapshot.starter)
        try:
            driving.obey(claim.step(Opened(beside=driving.snapshot.shared_process)))
            log_run(driving.snapshot, driving.following, is_over=False)
            if self.seq or shared.store.shared:  # The inbox of a new run is empty if no other process uses the store.
                await shared.hear(self)
            self.note_seq(driving.snapshot.seq)
            await driving.drive()
        except asyncio.CancelledError:
            if claim.step(Cut()).outcome == "raise":
                # 1. A node runs in this asyncio task. 2. Another process has taken the run, so everything in flight is
                #    cancelled, which is this task. 3. The lost lease ended the run, and callers must get that error.
                driving.check()
                raise
        except BaseException:
            claim.step(Raised())
            raise
        finally:
            del shared.driven[self.id]
            shared.suspended.pop(self.id, None)
            self.driving = None
            self.note_seq(driving.snapshot.seq)
            shared.note_fewer()
            if claim.owned:
                await driving.let_go()
            followers, driving.following = driving.following, NOBODY
            if followers.left:
                await _await_to_end(followers.leave())
        log_run(driving.snapshot, followers, is_over=True)
        cause = driving.raised.get(driving.snapshot.failure.path) if driving.snapshot.failure is not None else None
        result: Result[S, Any] = result_of(self.plan, driving.snapshot, cause)
        do = claim.step(
            Left(
                driving.snapshot.status,
                self._due(result) if driving.snapshot.waiting and result.waits else None,
                bool(driving.cut_off),
            )
        )
        if do.outcome == "cut_off":
            return Do(outcome="driven"), await self._cut_off(driving.cut_off)
        if self.reports_to is not None or driving.snapshot.status == "waiting" or self.id in shared.kept:
            self._keep(driving)
        # Frees the snapshot, because the last append of the store may still refer to the claim.
        driving.session.snapshot = driving.snapshot = _GONE
        return do, result

    def _keep(self, driving: Driving) -> None:
        """Keep the last snapshot of a run in memory if code in this process will probably read it soon.

        The snapshot of a waiting run is read when an answer or a message arrives. The end of a finished child run is
        read by its parent run, so it is kept if the parent run is active in this process too.
        """
        shared, snapshot = self.shared, driving.snapshot
        if snapshot.status == "waiting":
            shared.kept.keep(snapshot, driving.session.size_bound)
            return
        shared.kept.drop(self.id)
        if self.reports_to is not None and not self.plan.secret and shared.has(self.reports_to[0]):
            shared.ends.keep(snapshot)

    async def _cut_off(self, paths: Iterable[str]) -> Result[S, Any]:
        """Warn that the run was interrupted because its Runner closed or released it. Returns the run's result.

        The warning and the result name the nodes that were cut off. If the run ended nevertheless, there is no warning.
        """
        result = await self._current_result()
        if result.status != "running":
            return result
        cut_off = tuple(sorted(set(paths)))
        listed = f"; cut off: {', '.join(cut_off)}" if cut_off else ""
        why, repair = ("closed", _CLOSED) if self.claim.closed else ("released it at once", _RELEASED)
        text = "run %s was in progress when its Runner %s, and is released%s\n  repair: %s"
        log.warning(text, self.id, why, listed, repair)
        return replace(result, cut_off=cut_off, repair=repair)

    # --- asleep -----------------------------------------------------------------------------------------------------

    async def _sleep(self, seq: int, due: float | None, first: float) -> Do:
        """Wait until a message for the waiting run arrives or the time for which it waits is over.

        The alarm is set up before the inbox is read. So a message that was posted before is found in the inbox, and a
        message that is posted later sets off the alarm. In the other order, a message between the two would be missed.

        The time of the run is checked even if this process does not wait for the time:

        1. The run waits for a message until a time, and this life of the run waits only for the message.
        2. The time comes.
        3. A caller that wants the run to be driven finds this life, which is not asleep yet, and leaves the run to it.
           So this life has to check the time.

        Returns:
            What the claim on the run says to do next.
        """
        shared, store, claim = self.shared, self.shared.store, self.claim
        alarm = shared.asleep[self.id] = asyncio.get_running_loop().create_future()
        try:
            inbox = await store.inbox([self.id])
            if not inbox or (due is not None and all(map(is_end, inbox)) and shared.gathers(self.id)):
                if due is not None:
                    await shared.until(due, alarm, self.id, seq)
                elif not (alarm.done() or first <= shared.clock.now()):
                    return claim.step(Quiet())
            return claim.step(Woken((await store.info(self.id)).status))
        except asyncio.CancelledError:
            do = claim.step(Cut())
            if do.outcome == "raise":
                raise
            return do
        finally:
            shared.asleep.pop(self.id, None)
            shared.gets_ends(self.id)

    def _due(self, result: Result[Any]) -> float | None:
        """Return until when a waiting run can sleep in this process, in epoch seconds; None if it cannot sleep here.

        The run can sleep if it waits only for times, or for a child run that is active in this process. The run wakes
        when the child run ends, and also when the child run is no longer active here.
        """
        waits, active = result.waits, self.shared.active_children.get(self.id)
        moves = active is not None and any(wait.topic in active for wait in waits)
        if not moves and any(wait.kind != "sleep" for wait in waits):
            return None
        return _first_time(result)

    def note_starter(self, starter: StarterRecord) -> None:
        """Remember the parent of this child run, so that the parent sleeps here while the child is active."""
        if self.reports_to is None:
            self.reports_to = starter.run_id, starter.topic or topic_of(self.id)
            self.shared.active_children.setdefault(self.reports_to[0], ActiveChildren()).began(self.reports_to[1])

    # --- its recorded result ----------------------------------------------------------------------------------------

    async def _current_result(self) -> Result[S, Any]:
        """Load the result of the run from the store. If the Runner closes meanwhile, the result is still loaded."""
        loading = asyncio.ensure_future(self._load_result())
        while not loading.done():
            try:
                await asyncio.wait((loading,))
            except asyncio.CancelledError:
                if not self.claim.closed:
                    loading.cancel()
                    raise
        return loading.result()

    async def _load_result(self) -> Result[S, Any]:
        return await read_result(self.shared, self.plan, await self.shared.kept.read(self.id))

    def ask(self, request: Stop | Release | Closed) -> None:
        """Pass a request to the claim on the run: to stop the run, to release it, or to leave it as the Runner closes.

        A run that is released or given up is no longer driven here, and another process can continue it. Its log gets
        no step for this.
        """
        if self.driving is not None:
            self.driving.ask(request)
        else:
            self.claim.step(request)


class Lives:
    """Finds the active runs of a Runner by their ids, and makes runs active.

    A run is active in this process while it is opened, driven or asleep. The Runner, its handles, workers and commands
    share this object.

    Attributes:
        shared: The objects that the runs share.
        loop: The event loop that first used the Runner.
    """

    def __init__(self, shared: Shared[Life[Any]]) -> None:
        self.shared = shared
        self._pid = os.getpid()
        # The last checked plan, because many runs of one graph often start one after the other.
        self._checked: Plan[Any] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def check_usable(self) -> None:
        """Check that the Runner is open, and that it is used in the process and event loop to which it belongs.

        Raises:
            RunAtImport: A file starts a run while it is imported only for its graphs.
            RunnerClosed: The Runner is closed, or belongs to another process or event loop.
            DefinitionError: No event loop is running.
        """
        if IS_IMPORTING.get():
            raise RunAtImport
        if self.shared.closed or self._pid != os.getpid():
            forked = "" if self.shared.closed else ", in a process that was forked from the one that created it"
            repair = "create a new Runner: async with Runner(path)"
            raise RunnerClosed(f"this Runner is closed{forked}", repair=repair)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None:
            raise DefinitionError(
                "a Runner was used where no event loop is running",
                repair="in a script: SyncRunner(path) or graph.run_sync(state); in async code: async with Runner(path)",
            )
        if self.loop is not None and self.loop is not loop:
            raise RunnerClosed(
                "this Runner belongs to another event loop",
                repair="create a Runner in each event loop: async with Runner(path)",
            )
        self.loop = loop

    def checked(self, plan: Plan[S], *, is_queued: bool = False) -> Plan[S]:
        """Check that runs of a graph can begin here, and return the compiled graph.

        For example, the store must support the transactions of the nodes, and extensions can refuse the graph. Errors
        are raised as by `Runner.start`.
        """
        self.check_usable()
        resources = self.shared.resources
        if resources.replaced:
            resources.check({name: make for here in plan.nest for name, make in here.resources.items()})
        if is_queued or plan is not self._checked:
            self._checked = None
            if plan.transacts and self.shared.effects == "act" and transactional(self.shared.store) is None:
                raise no_transactions(plan.transacts[0])
            for each in self.shared.checking:
                each.checked(plan, is_queued=is_queued)
            self._checked = None if is_queued else plan
        return plan

    async def wait_until_recorded(self, run_id: str) -> None:
        """Wait until a run that was just started in this process is recorded, so that the store can be asked about it.

        Return at once if no such run is being started here.
        """
        self.check_usable()
        await self.shared.store.open()
        while (life := self.of(run_id)) is not None and not (life.seq or life.claim.held_back):
            await life.until("begun")
            self.check_usable()

    def of(self, run_id: str) -> Life[Any] | None:
        """Return the `Life` of a run that is active in this process; None if the run is not active here.

        If there are several for one run, return the one that drives the run, or that is most likely to drive it.
        """
        driven = self.shared.driven.get(run_id)
        if driven is not None:
            return driven
        lives = (life for life in self.shared.lives if life.id == run_id and not life.task.done())
        return min(lives, key=lambda life: (not life.claim.may("be_wanted"), not life.seq), default=None)

    async def result_under(self, plan: Plan[S], snapshot: Snapshot) -> Result[S, Any]:
        """Return the result of a recorded run.

        Its state is migrated to the current version of the graph if that is possible.
        """
        return await read_result(self.shared, plan, snapshot)

    def begin(self, plan: Plan[S], run_id: str, open_: Opening[S], claim: Claim | None = None) -> Life[S]:
        """Make a run active in this process. The run is then opened and driven in an asyncio task of its own."""
        return Life(self.shared, run_id, plan, open_, claim or Claim())
