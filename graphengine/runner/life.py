"""The life of a run in this process: it is opened, driven, maybe asleep and driven again, until it is over.

One asyncio task lives it. Everything else about the run here, its handle, its watchers, its claim on the store, belongs
to its `Life`; what it shares with other runs is in `Shared`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import weakref
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar

from graphengine.engine.snapshot import Snapshot
from graphengine.engine.user_frames import cut_to_user_code
from graphengine.errors import DefinitionError, GraphEngineError, ResourceFailed, RunIsDriven, RunnerClosed
from graphengine.runner import opening
from graphengine.runner.attempt import TaskRunner
from graphengine.runner.context import NodeServices
from graphengine.runner.driving import Driving, LifeTask
from graphengine.runner.extensions import OpenRun
from graphengine.runner.followers import NOBODY, Audience, log_run
from graphengine.runner.result import Result, RunFailed, result_of
from graphengine.runner.run_events import StepRecorded
from graphengine.runner.scope import CURRENT
from graphengine.runner.shared import INBOX_SECONDS
from graphengine.runner.threads import FROM_THREAD
from graphengine.state.interrupts import reraise_interrupt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.runner.run_events import Watcher
    from graphengine.runner.shared import Shared
    from graphengine.stores.base import Message, RunInfo

S = TypeVar("S")

Opening: TypeAlias = "Callable[[Life[S]], Awaitable[Driving | Result[S]]]"
"""What opens a run: it records the first step here, and returns what drives the run, or a result if nothing does."""

log = logging.getLogger("graphengine.runner")

_CLOSED: Final = "await run.result() before the Runner closes, or raise grace_seconds; resume or recover continues it"
_RELEASED: Final = "resume or recover continues it"


class Life(Generic[S]):
    """The life of one run.

    Args:
        shared: What it shares with other runs; the life is in its `lives` until it is over.
        run_id: The run's id.
        plan: The graph.
        open_: Opens it, in its own asyncio task.
        is_asked: Whether a caller asked for it, so that it is resumed even if it failed or was stopped.
        waits_out: Whether it stays here while it waits only for a time.
        of_worker: Whether only `Store.take` may continue it once it waits.
        held_back: Whether it is recorded, but not opened here until no other run is driven here.
        follows: Whether it follows the run, if another process drives it, and resumes it when that one has left it.

    Attributes:
        seq: The seq of its last durable step here, apart from those since it is driven.
        is_over: Whether it is over.
        is_parked: Whether it takes no more messages, because it waits for one.
        is_released: Whether it is, or is to be, released for another process.
        is_held_back: Whether it is not driven here until no other run is; see `opening.resume`.
        driving: What drives it, while it is driven.
        result: How it ended.
        handle: The `Run` on it, if one was made.
        is_retrieved: Whether a caller retrieved its result or its error.
    """

    def __init__(  # noqa: PLR0913 - what a run begins with
        self,
        shared: Shared[Life[Any]],
        run_id: str,
        plan: Plan[S],
        open_: Opening[S],
        *,
        is_asked: bool = True,
        waits_out: bool = True,
        of_worker: bool = False,
        held_back: bool = False,
        follows: bool = False,
    ) -> None:
        self.shared, self.id, self.plan = shared, run_id, plan
        self.is_asked, self.waits_out, self.of_worker, self.is_held_back = is_asked, waits_out, of_worker, held_back
        self.audience = Audience()
        self.seq, self.is_over = 0, False
        self._points: dict[str, asyncio.Event] = {}  # made by callers that wait: thousands of runs can sleep
        self.is_parked = self.is_released = False
        self.driving: Driving | None = None
        self.result: Result[S] | None = None
        self.handle: weakref.ref[Any] | None = None
        self.is_retrieved = False
        self._follows = follows
        self._callers = 0
        self.context = copy_context()
        for inherited in (FROM_THREAD, CURRENT):
            if inherited.get() is not None:  # a node, or an agent's tool, started it
                self.context.run(inherited.set, None)
        own = self.context.copy()
        loop = asyncio.get_running_loop()
        self.task = LifeTask(self._live(open_), loop=loop, name=f"graphengine run {run_id}", context=own)
        self.task.add_done_callback(self._ended, context=own)
        shared.lives.add(self)

    # --- from its opening to its result ----------------------------------------------------------------------------

    async def _live(self, open_: Opening[S]) -> None:
        """Live it. A run that only sleeps is resumed when its time comes."""
        if not self._callers:  # else the caller already waits for its end
            await asyncio.sleep(0)  # lets the caller watch the run from its first event on
        lived = self._lived(open_)
        del open_
        try:
            self.result = await lived
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as error:  # SystemExit would end the event loop, and all other runs with it
            reraise_interrupt(error)
            raise DefinitionError(
                f"code of graph {self.plan.graph} raised {type(error).__name__}: {error}",
                where=f"run {self.id}",
                repair="raise an Exception instead; the attempt to drive the run recorded nothing",
            ) from error

    async def _lived(self, open_: Opening[S]) -> Result[S] | None:
        """Open it, drive it, and let it sleep, until it is over; None if it slept when its Runner closed.

        Thousands of runs can sleep here, so what opened it and what drove it, which hold its state, are freed first.
        """
        opened = await self._opened(open_)
        del open_
        self.is_asked = False  # if it ends in another process while it sleeps here, that end is not retried
        try:
            if opened is None:
                opened = await self._resume()
            while True:
                if isinstance(opened, Driving):
                    result = await self._drive(opened)
                else:
                    result = opened
                    self.note_seq(result.seq)
                if self.is_held_back and not (self.of_worker or self._must_end()):
                    opened = await self._resume_alone()
                    continue
                if result.status != "waiting":
                    return result
                seq, due = result.seq, self._due(result)
                left = result if due is None else None
                del result, opened
                if not await self._sleep(seq, due):
                    self.is_parked = True
                    if left is None and self.shared.closed and not self._callers and not self.audience.watchers:
                        return None  # thousands may sleep, and nobody asks for their results
                    return left or await self._current_result()
                opened = await self._resume()
        except asyncio.CancelledError:
            if not self.shared.closed:
                raise
            return await self._current_result()

    async def _opened(self, open_: Opening[S]) -> Driving | Result[S] | None:
        """Open it; None if another process drives it, which it follows."""
        try:
            return await (self._resume_alone() if self.is_held_back else open_(self))
        except RunIsDriven:
            if not self._follows:
                raise
            self.note_seq((await self.shared.store.info(self.id)).seq)
            return None

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()  # retrieved, so that asyncio does not warn as well
        self.shared.lives.discard(self)
        self.is_over = True
        for point in self._points.values():
            point.set()
        for queue in self.audience.watchers:
            queue.put_nowait(None)
        if error is None and (self.result is None or self.result.status != "failed"):
            return
        handle = self.handle() if self.handle is not None else None
        if handle is not None:
            weakref.finalize(
                handle, self._log_error
            )  # who has it may still ask; at the latest at the end of the process
        elif (
            not self._callers and not self.audience.watchers
        ):  # else callers that found the run by its id get the error
            self._log_error()

    def _log_error(self) -> None:
        """Log the error that ended it, unless a caller retrieved it."""
        if self.is_retrieved:
            return
        self.is_retrieved = True
        result, error = self.result, self.task.exception()
        cause, recorded = error, ""
        if error is None and result is not None:
            error, cause = RunFailed(result), result.cause
            if cause is None and result.error is not None and result.error.traceback:
                recorded = f"\n{result.error.traceback}"
        elif isinstance(error, GraphEngineError):  # its own frames are the engine's
            cause = error.__cause__
        if cause is not None:
            cut_to_user_code(cause)
        text = "nobody asked for the result of run %s, which raises %s: %s%s"
        log.error(text, self.id, type(error).__name__, error, recorded, exc_info=cause, extra={"run": self.id})

    def deliver(self, messages: Sequence[Message]) -> None:
        """Accept messages, if it is driven."""
        if self.driving is not None:
            self.driving.deliver(messages)

    def is_taken(self) -> Coroutine[object, object, bool]:
        """Return whether it is driven here: not if it is over, still waits, or another process claimed it first.

        Returns as soon as that is clear. Call it right after the life was made: it watches the run from the call on,
        whenever the coroutine is awaited.
        """
        return self._is_taken(self.audience.joined())

    async def _is_taken(self, events: Watcher) -> bool:
        try:
            return await events.get() is not None
        finally:
            self.audience.left(events)

    @property
    def has_trouble(self) -> bool:
        """Whether it could not be opened, for another reason than that another process drives it."""
        if not self.task.done() or self.task.cancelled():
            return False
        error = self.task.exception()
        return error is not None and not isinstance(error, RunIsDriven)

    def note_seq(self, seq: int) -> None:
        """Note the seq of its last step here, which is durable."""
        self.seq = seq
        if "begun" in self._points:
            self._points["begun"].set()

    async def until(self, point: Literal["begun", "over"]) -> None:
        """Return when its first step is durable, or it is over; or only when it is over."""
        if not (self.is_over or (self.seq and point == "begun")):
            await self._points.setdefault(point, asyncio.Event()).wait()

    @property
    def last_seq(self) -> int:
        """The seq of its last step here. What another handle has recorded since leads to the result of that one."""
        return self.seq if self.driving is None else self.driving.snapshot.seq

    async def outcome(self) -> Result[S]:
        """Wait until it is over, and return its result, or raise what ended it."""
        self._callers += 1
        try:
            await self.until("over")
        finally:
            self._callers -= 1
        return self.ended_with()

    def ended_with(self) -> Result[S]:
        """Return the result of a life that is over, or raise what ended it.

        Raises:
            GraphEngineError: It could not be begun, claimed or recorded; RunnerClosed: its Runner closed before, or
                while it slept.
        """
        result = self.result
        if not self.task.cancelled():
            self.task.result()
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
    ) -> Driving:
        """Return what drives it from a snapshot, before its first step is recorded. Called by what opens it."""
        shared = self.shared
        shared.plans[self.plan.fingerprint] = self.plan
        driving = Driving(shared, self.plan, snapshot, self.audience, self.context)
        if size_bytes is not None:
            driving.session.size_bytes = size_bytes
        if shared.extensions:
            caller = None if self.seq else self.context  # a run that wakes up here has no caller
            opened = OpenRun(shared.store, snapshot, info, parent, caller)
            driving.following = await shared.following(opened)
        return driving

    # --- driven -----------------------------------------------------------------------------------------------------

    async def _drive(self, driving: Driving) -> Result[S]:
        """Drive it, and return its result."""
        shared = self.shared
        self.driving, shared.driven[self.id] = driving, self
        if self.is_released or shared.closed:
            driving.release()
        log_run(driving.snapshot, driving.following, is_over=False)
        is_cut = False
        try:
            await self._move(driving)
        except asyncio.CancelledError:
            if not shared.closed:
                raise
            is_cut = True
        finally:
            del shared.driven[self.id]
            self.driving = None
            self.note_seq(driving.snapshot.seq)
            shared.quieter.set()
            if driving.is_ours:
                await opening.release(shared.store, self.id, driving.fence)
            followers, driving.following = driving.following, NOBODY
            if followers.left:
                await followers.leave()
        log_run(driving.snapshot, followers, is_over=True)
        is_running = driving.snapshot.status == "running"
        if (shared.closed and (is_cut or is_running)) or (driving.cut_off and is_running):
            return await self._cut_off(driving)
        cause = driving.cause if driving.snapshot.failure is not None else None
        result: Result[S] = result_of(self.plan, driving.snapshot, cause)
        if result.status == "waiting":
            shared.kept.keep(driving.snapshot, driving.session.size_bound)
        # Frees it: the store's last append may still refer to the claim.
        driving.session.snapshot = driving.snapshot = Snapshot()
        if result.status == "waiting" and (missed := driving.missed_stop) is not None and not shared.closed:
            await opening.stop(shared, self.id, *missed)
            return await self._current_result()
        return result

    async def _move(self, driving: Driving) -> None:
        """Drive it until it ends, waits, or is released."""
        shared, store, plan = self.shared, self.shared.store, self.plan
        if store.shared:
            shared.poll_inbox()
        elif self.seq:  # else every caller waits until it is recorded
            driving.deliver(await store.inbox([self.id]))
        self.note_seq(driving.snapshot.seq)
        try:
            resources = await shared.resources.of_nest(plan) if plan.resources or plan.graphs else {}
        except ResourceFailed as error:
            await driving.fail(error)
            return
        services = NodeServices(
            run=driving.session,
            host=driving,
            resources=resources,
            threads=shared.threads,
            now=driving.time.now,
            wall=shared.clock.now,
            past=shared.past,
            executors=shared.executors,
            following=driving.following,
            loop=driving.loop,
            is_shared=store.shared,
        )
        await driving.drive(TaskRunner(services))

    async def _cut_off(self, driving: Driving) -> Result[S]:
        """Return the result of a run whose Runner closed, or released it at once, and log which nodes were cut off."""
        result = await self._current_result()
        if result.status != "running":
            return result
        cut_off = tuple(sorted(set(driving.cut_off)))
        listed = f"; cut off: {', '.join(cut_off)}" if cut_off else ""
        why, repair = ("closed", _CLOSED) if self.shared.closed else ("released it at once", _RELEASED)
        text = "run %s was in progress when its Runner %s, and is released%s\n  repair: %s"
        log.warning(text, self.id, why, listed, repair)
        return replace(result, cut_off=cut_off, repair=repair)

    # --- asleep -----------------------------------------------------------------------------------------------------

    def _due(self, result: Result[S]) -> float | None:
        """Return until when it stays here; None if it does not."""
        if not self.waits_out or not result.waits or any(wait.kind != "sleep" for wait in result.waits):
            return None
        return min((wait.due_at for wait in result.waits if wait.due_at is not None), default=math.inf)

    async def _sleep(self, seq: int, due: float | None) -> bool:
        """Wait for a message to a waiting run, or for its time, and return whether to resume it.

        The alarm is set up before the inbox is read: a message posted before that is found in the inbox, and one posted
        after it sets the alarm. In the other order, a message between the two would be missed.
        """
        shared, store = self.shared, self.shared.store
        if self.is_released or shared.closed or self.of_worker:
            return False
        alarm = shared.asleep[self.id] = asyncio.get_running_loop().create_future()
        try:
            if not await store.inbox([self.id]):
                if due is not None:
                    await shared.until(due, alarm, self.id, seq)
                elif not alarm.done():
                    return False
            status = (await store.info(self.id)).status
        except asyncio.CancelledError:
            if not shared.closed:
                raise
            return False
        finally:
            shared.asleep.pop(self.id, None)
        return status in ("waiting", "running") and not self.is_released

    def _must_end(self) -> bool:
        return self.is_released or self.shared.closed

    async def _resume_alone(self) -> Driving | Result[S]:
        """Resume it once no other run is driven here."""
        async with self.shared.one_at_a_time:
            await self.shared.idle()
            self.is_held_back = False
            return await opening.resume(self)

    async def _resume(self) -> Driving | Result[S]:
        """Resume it. If another process claimed it first, retry until that process ends it, releases it or dies."""
        while True:
            try:
                return await opening.resume(self)
            except RunIsDriven:
                if self.is_released or self.shared.closed:
                    return await self._current_result()
                await asyncio.sleep(INBOX_SECONDS)  # cancelled if the Runner closes: `_live` then reads the result
                if self.audience.watchers:
                    seq = (await self.shared.store.info(self.id)).seq
                    for step in await self.shared.store.steps(self.id, seq - 1, seq):
                        self.audience.show(StepRecorded(seq, step))  # watchers read those before

    # --- its recorded result ----------------------------------------------------------------------------------------

    async def _current_result(self) -> Result[S]:
        """Return the recorded result, even if the Runner closes while it is read."""
        loading = asyncio.ensure_future(self.shared.kept.read(self.id))
        while not loading.done():
            try:
                await asyncio.wait((loading,))
            except asyncio.CancelledError:
                if not self.shared.closed:
                    loading.cancel()
                    raise
        return result_of(self.plan, loading.result())

    def release(self, *, now: bool = False) -> None:
        """Release it for another process: end here without a step, when what is in flight is recorded or, now, cut."""
        self.is_released = True
        if self.driving is not None:
            self.driving.release(now=now)
        self.shared.wake(self.id)


__all__ = ["Life", "Opening"]
