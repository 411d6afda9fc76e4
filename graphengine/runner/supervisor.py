"""The supervisor of a Runner's runs: it drives them, wakes those that sleep, and delivers messages to them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from graphengine.agents.run_scope import CURRENT, FROM_THREAD
from graphengine.calls.interrupts import reraise_interrupt
from graphengine.engine.snapshot import Snapshot
from graphengine.errors import DefinitionError, ResourceFailed, RunIsDriven, RunnerClosed, StoreError
from graphengine.graph.options import is_seconds
from graphengine.models.line import MACHINE_CLOCK
from graphengine.runner.alarms import Alarms
from graphengine.runner.attempt import TaskRunner
from graphengine.runner.clock import SystemClock
from graphengine.runner.lifecycle import Opener, release
from graphengine.runner.loop import Driver
from graphengine.runner.loop_watchdog import WATCH
from graphengine.runner.ownership import Ownership
from graphengine.runner.previous_runs import past_runs
from graphengine.runner.recorded_work import outside_work
from graphengine.runner.result import Result, result_of
from graphengine.runner.run_log import log_begin, log_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from concurrent.futures import Executor

    from graphengine.engine.plan import Plan
    from graphengine.graph.options import Sizes
    from graphengine.runner.clock import Clock
    from graphengine.runner.executors import Executors
    from graphengine.runner.model_routing import Models
    from graphengine.runner.resources import Resources
    from graphengine.runner.run import Run
    from graphengine.stores.base import Store

S = TypeVar("S")

Opening: TypeAlias = "Callable[[], Awaitable[Driver | Result[S]]]"
"""What opens a run. It is called in the run's asyncio task, which can be cancelled before it begins."""

log = logging.getLogger("graphengine.runner")

_CLOSED: Final = "await run.result() before the Runner closes, or raise grace_seconds; resume or recover continues it"
_UNOPENED: Final = (
    "run %s was just being started or resumed when its Runner closed, and may not be recorded\n"
    "  repair: await run.result() before the Runner closes"
)
_INBOX_SECONDS: Final = 0.5
"""How often to poll the inbox of driven runs for messages of other processes. This process delivers its own messages at
once. Half a second is short for a person who stops a run, and one query costs the store little. A store that is
notified of such messages ends the pause."""
_LOOK_SECONDS: Final = 2.0
"""How often to check, with one query for all sleeping runs, whether another process recorded a step of one. It may be
longer than the poll of the inbox: a sleeping run has nothing to do, and its own time wakes it anyway."""


class Supervisor:
    """Supervises the runs of one Runner.

    Args:
        store: The store of the runs.
        clock: The clock.
        resources: The resources of nodes.
        models: The models that replace agents' own.
        pool: Returns the thread pool of sync nodes.
        executors: The executors of nodes with `on=`.
        check: Whether to detect nodes that change their input in place.
        sizes: The size limits.

    Attributes:
        opener: Opens runs.
        drivers: The drivers of the runs that are driven now, by run id.
        sleeping: The alarms of runs that sleep here, by run id; `wake` sets one off.
        closed: Whether the Runner is closed, so that no run continues.
    """

    def __init__(  # noqa: PLR0913 - what a run is driven with
        self,
        store: Store,
        clock: Clock,
        resources: Resources,
        models: Models,
        pool: Callable[[], Executor],
        executors: Executors,
        *,
        check: bool,
        sizes: Sizes,
    ) -> None:
        self._store = store
        self._clock = clock
        self._resources = resources
        self._models = models
        self._pool = pool
        self._executors = executors
        self._inbox_task: asyncio.Task[None] | None = None
        self._sleepers_task: asyncio.Task[None] | None = None
        self._seen: dict[str, int] = {}  # the last seq of each sleeping run when it fell asleep
        self.drivers: dict[str, Driver] = {}
        self.sleeping: dict[str, asyncio.Future[None]] = {}
        self.closed = False
        self._readers = 0  # of results after the Runner was closed
        self._alarms = Alarms(clock)
        self._past = functools.partial(past_runs, store)
        self._quieter = asyncio.Event()  # set when a run was opened, or is no longer driven here
        self._grace_seconds = 0.0
        self.opener = Opener(store, clock, self.drivers, sizes, checks=check)

    @functools.cached_property
    def _one_at_a_time(self) -> asyncio.Lock:
        return asyncio.Lock()

    async def when_idle(self, run: Run[S], opening: Opening[S]) -> Driver | Result[S]:
        """Open a run when no other is driven here; several such runs are opened one after the other."""
        async with self._one_at_a_time:
            while not self.opener.is_idle:
                self._quieter.clear()
                await self._quieter.wait()
            run.is_held_back = False
            return await opening()

    async def when_begun(self, others: Iterable[Run[Any]], opening: Opening[S]) -> Driver | Result[S]:
        """Open a run when others are recorded, or have ended without that."""
        for other in others:
            await other.begun()
        return await opening()

    def grace(self, seconds: float) -> None:
        """Set how long nodes in flight have to finish when the Runner closes.

        Raises:
            DefinitionError: The time is not a number, negative or not finite.
        """
        if not is_seconds(seconds, zero=True):
            raise DefinitionError(f"Runner(grace_seconds={seconds!r})", repair="give seconds, 0 or more")
        self._grace_seconds = seconds

    async def release_all(self) -> None:
        """Start no more nodes, wait the grace time for those in flight, and release the runs unchanged."""
        for driver in self.drivers.values():
            driver.release()
        runs = [driver.run for driver in self.drivers.values()]
        if runs and self._grace_seconds:
            grace = asyncio.ensure_future(self._clock.sleep_until(self._clock.now() + self._grace_seconds))
            ended = asyncio.gather(*(run.ended() for run in runs), return_exceptions=True)
            await asyncio.wait((ended, grace), return_when=asyncio.FIRST_COMPLETED)
            for each in (ended, grace):
                each.cancel()
            await asyncio.gather(ended, grace, return_exceptions=True)

    def warn_of_unopened(self, runs: Iterable[Run[Any]]) -> None:
        """Log which runs were cut off before they were opened: nothing else would report that."""
        for run in runs:
            if run.was_cut_off and not run.is_recorded:
                log.warning(_UNOPENED, run.id)

    def close(self) -> list[asyncio.Task[None]]:
        """Stop polling, and return the asyncio tasks to wait for."""
        tasks = self._inbox_task, self._sleepers_task, self._alarms.close()
        polling = [task for task in tasks if task is not None]
        for task in polling:
            task.cancel()
        return polling

    async def supervise(self, run: Run[S], plan: Plan[S], opening: Opening[S]) -> Result[S] | None:
        """Drive a run from its opening to its result. A run that only sleeps is resumed when its time comes.

        Returns:
            None if the Runner closed while the run slept and nothing waited for its result; `run.read` reads it.
        """
        # A node, or a tool of an agent, may have started this run: do not inherit their context.
        FROM_THREAD.set(None)
        CURRENT.set(None)
        outside_work()
        run.context = copy_context()
        if not run.is_hidden:
            await asyncio.sleep(0)  # lets the caller watch the run from its first event on
        try:
            return await self._supervised(run, plan, opening)
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as error:  # SystemExit would end the event loop, and all other runs with it
            reraise_interrupt(error)
            raise DefinitionError(
                f"code of graph {plan.graph} raised {type(error).__name__}: {error}",
                where=f"run {run.id}",
                repair="raise an Exception instead; the attempt to drive the run recorded nothing",
            ) from error

    async def _supervised(self, run: Run[S], plan: Plan[S], opening: Opening[S]) -> Result[S] | None:
        opened = await opening()
        self._quieter.set()
        run.due_only = True  # if it ends in another process while it sleeps here, that end is not retried
        try:
            while True:
                result = await self._drive(run, opened) if isinstance(opened, Driver) else opened
                if result.status != "waiting":
                    return result
                dues = [wait.due_at for wait in result.waits if wait.due_at is not None]
                sleeps = bool(result.waits) and all(wait.kind == "sleep" for wait in result.waits)
                seq, due = result.seq, min(dues, default=math.inf) if sleeps and run.waits_out else None
                left = result if due is None else None
                del result, opened  # frees the state and the driver: many runs can sleep here
                if not await self._sleep(run, seq, due):
                    run.is_parked = True
                    if self.closed and not run.is_awaited:  # thousands may sleep: they are read when they are asked for
                        run.read = functools.partial(self._late_result, run, plan)
                        return None
                    return left or await self._current_result(run, plan)
                opened = await self._resume(run, plan)
        except asyncio.CancelledError:
            if not self.closed:
                raise
            return await self._current_result(run, plan)

    def wake(self, run_id: str) -> None:
        """Wake a run, if it sleeps here."""
        alarm = self.sleeping.get(run_id)
        if alarm is not None and not alarm.done():
            alarm.set_result(None)

    async def _current_result(self, run: Run[S], plan: Plan[S]) -> Result[S]:
        """Return the recorded result of a run, even if the Runner closes while it is read."""
        loading = asyncio.ensure_future(self.opener.kept.read(run.id))
        while not loading.done():
            try:
                await asyncio.wait((loading,))
            except asyncio.CancelledError:
                if not self.closed:
                    loading.cancel()
                    raise
        return result_of(plan, loading.result())

    async def _late_result(self, run: Run[S], plan: Plan[S]) -> Result[S]:
        """Return the result of a run that slept when the Runner closed; the store is opened again to read it."""
        with contextlib.suppress(RunnerClosed):  # another Runner may have it open, and must keep it
            return await self._current_result(run, plan)
        self._readers += 1
        try:
            await self._store.open()
            return await self._current_result(run, plan)
        finally:
            self._readers -= 1
            if not self._readers:
                await self._store.close()

    async def _resume(self, run: Run[S], plan: Plan[S]) -> Driver | Result[S]:
        """Resume a run. If another process claimed it first, retry until that process ends it, releases it or dies."""
        while True:
            try:
                return await self.opener.resume(run, plan)
            except RunIsDriven:
                if not await self._wait_to_retry(run):
                    return await self._current_result(run, plan)

    async def _wait_to_retry(self, run: Run[Any]) -> bool:
        """Wait a moment, and return whether to try again; False if the run is released or the Runner closed."""
        try:
            if self.closed or run.released:
                return False
            await asyncio.sleep(_INBOX_SECONDS)
        except asyncio.CancelledError:
            if not self.closed:
                raise
            return False
        return True

    async def _drive(self, run: Run[S], driver: Driver) -> Result[S]:
        """Drive a run that was opened, and return its result."""
        self.drivers[run.id] = driver
        run.driver = driver
        if len(self.drivers) == 1:
            self.opener.turns.begin()
        if run.released or self.closed:
            driver.release()
        log_begin(driver.snapshot, driver.trace)
        is_cut = False
        try:
            await self._open_inbox(driver)
            run.recorded(driver.snapshot.seq)
            try:
                tasks = await self._tasks(driver)
            except ResourceFailed as error:
                await driver.fail(error)
            else:
                with WATCH.over(driver.loop):
                    await driver.drive(tasks)
        except asyncio.CancelledError:
            if not self.closed:
                raise
            is_cut = True
        finally:
            CURRENT.set(None)  # otherwise this asyncio task keeps the last node's context alive
            self.drivers.pop(run.id, None)
            run.driver = None
            run.recorded(driver.snapshot.seq)
            self._quieter.set()
            if driver.is_driving:
                await release(self._store, run.id, driver.fence)
        log_end(driver.snapshot, driver.trace)
        await _end_trace(driver, self._store)
        if self.closed and (is_cut or driver.snapshot.status == "running"):
            return await self._released(run, driver)
        result: Result[S] = self._result_of(driver)
        missed = driver.missed_stop
        if result.status == "waiting" and missed is not None and not self.closed:
            await self.opener.stop(run.id, *missed)
            return await self._current_result(run, driver.plan)
        return result

    def _result_of(self, driver: Driver) -> Result[Any]:
        """Return the result of a run that is driven no longer."""
        result: Result[Any] = result_of(driver.plan, driver.snapshot, driver.cause)
        self.opener.kept.keep(driver.snapshot, driver.session.size_bound)
        driver.session.snapshot = Snapshot()  # frees it: the store's last append may still refer to the driver
        return result

    async def _released(self, run: Run[S], driver: Driver) -> Result[S]:
        """Return the result of a run that was in progress when the Runner closed, and log which nodes were cut off."""
        result: Result[S] = await self._current_result(run, driver.plan)
        if result.status != "running":
            return result
        cut_off = tuple(sorted(set(driver.cut_off)))
        listed = f"; cut off: {', '.join(cut_off)}" if cut_off else ""
        text = "run %s was in progress when its Runner closed, and is released%s\n  repair: %s"
        log.warning(text, run.id, listed, _CLOSED)
        return replace(result, cut_off=cut_off, repair=_CLOSED)

    async def _sleep(self, run: Run[Any], seq: int, due: float | None) -> bool:
        """Wait for a message to a waiting run, or for its time, and return whether to resume it.

        The alarm is set up before the inbox is read: a message posted before that is found in the inbox, and one posted
        after it sets the alarm. In the other order, a message between the two would be missed.
        """
        try:
            if run.released or self.closed or run.is_of_worker:
                return False
            alarm = self.sleeping[run.id] = asyncio.get_running_loop().create_future()
            if not await self._store.inbox([run.id]):
                if due is not None:
                    await self._until(due, alarm, run, seq)
                elif not alarm.done():
                    return False
            status = (await self._store.info(run.id)).status
            return status in ("waiting", "running") and run.released is False  # noqa: TRY300 - the except is for the wait
        except asyncio.CancelledError:
            if not self.closed:
                raise
            return False
        finally:
            self.sleeping.pop(run.id, None)

    async def _until(self, due: float, alarm: asyncio.Future[None], run: Run[Any], seq: int) -> None:
        """Return at a time, or when the alarm is set off. A step after `seq` by another process sets it off too."""
        if self._store.shared:
            self._seen[run.id] = seq  # not what is recorded now: another process may have stopped it meanwhile
            if self._sleepers_task is None:
                self._sleepers_task = asyncio.create_task(self._poll_sleepers(), name="graphengine sleepers")
        self._alarms.set(alarm, due)
        try:
            await alarm
        finally:
            self._seen.pop(run.id, None)
            self._alarms.drop(alarm)

    async def _poll_sleepers(self) -> None:
        """Wake each sleeping run for which another process recorded a step. Ends when no run sleeps here."""
        try:
            while self._seen:
                await asyncio.sleep(_LOOK_SECONDS)
                asleep = self._seen.copy()
                with contextlib.suppress(StoreError):  # the next poll may succeed, and a run's own time comes anyway
                    seqs = await self._store.seqs(list(asleep))
                    for run_id, seen in asleep.items():
                        # 1. A run sleeps at seq 5, and the query begins. 2. The run wakes, moves, and sleeps at seq 7.
                        # 3. The query returns 5 or 7. Neither means that another process moved it: `_seen` is 7 now.
                        if seqs.get(run_id, 0) != seen and self._seen.get(run_id) == seen:
                            self.wake(run_id)
        finally:
            self._sleepers_task = None

    async def _tasks(self, driver: Driver) -> TaskRunner:
        resources = await self._resources.of_nest(driver.plan)
        return TaskRunner(
            driver.session,
            host=driver,
            resources=resources,
            models=self._models,
            threads=self._pool,
            now=driver.time.now,
            wall=self._clock.now,
            past=self._past,
            clock=MACHINE_CLOCK if isinstance(self._clock, SystemClock) else self._clock,
            executors=None if self._executors.are_replaced else self._executors,
            trace=driver.trace,
            loop=driver.loop,
            ownership=Ownership(driver, self._store, self._clock) if self._store.shared else None,
        )

    async def _open_inbox(self, driver: Driver) -> None:
        """Begin to poll for messages, or read once what was posted while a run that slept here was being resumed."""
        if not self._store.shared:
            if driver.run.is_recorded:  # else every caller waits until it is
                driver.deliver(await self._store.inbox([driver.run.id]))
        elif self._inbox_task is None:
            self._inbox_task = asyncio.create_task(self._poll_inbox(), name="graphengine inbox")

    async def _poll_inbox(self) -> None:
        """Poll for messages to driven runs. Ends when no run is driven here."""
        try:
            await self._deliver()
        finally:
            self._inbox_task = None

    async def _deliver(self) -> None:
        seen = 0
        while self.drivers:
            with contextlib.suppress(StoreError):  # the next poll may succeed; a lasting fault fails the runs' appends
                for message in await self._store.inbox(list(self.drivers)):
                    driver = self.drivers.get(message.run_id)
                    if driver is not None:
                        driver.deliver([message])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INBOX_SECONDS):
                    seen = await self._store.news(seen)


async def _end_trace(driver: Driver, store: Store) -> None:
    """End the trace of a run that is driven here no longer."""
    trace, driver.trace = driver.trace, None
    if trace is not None:
        await trace.left(store)
