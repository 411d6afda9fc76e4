"""Seeing runs through: driving them, waiting with those that sleep, and handing on what others send to them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel

from graphengine.agents.run_scope import CURRENT, FROM_THREAD
from graphengine.calls.interrupts import reraise_interrupt
from graphengine.engine.snapshot import Snapshot
from graphengine.errors import DefinitionError, ResourceFailed, RunIsDriven, StoreError
from graphengine.history.load import load_snapshot
from graphengine.runner.attempt import TaskRunner
from graphengine.runner.lifecycle import Opener, release
from graphengine.runner.loop import Driver
from graphengine.runner.loop_watchdog import WATCH
from graphengine.runner.previous_runs import past_runs
from graphengine.runner.recorded_work import outside_work
from graphengine.runner.result import Result, result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Executor

    from graphengine.engine.plan import Plan
    from graphengine.graph.options import Sizes
    from graphengine.runner.clock import Clock
    from graphengine.runner.model_routing import Models
    from graphengine.runner.resources import Resources
    from graphengine.runner.run import Run
    from graphengine.stores.base import Store

S = TypeVar("S", bound=BaseModel)

log = logging.getLogger("graphengine.runner")

_CLOSED: Final = "await run.result() before the Runner closes, or raise grace_seconds; resume or recover continues it"
_INBOX_SECONDS: Final = 0.5
"""How often the inbox of driven runs is looked at, for what other processes send."""
_LOOK_SECONDS: Final = 2.0
"""How often the runs that sleep here are looked at, all at once, for what other processes do with them."""


class Tending:
    """Sees the runs of one Runner through.

    Args:
        store: Where they are kept.
        clock: Tells the time.
        resources: What nodes may ask for.
        models: The models that stand in for agents' own.
        pool: Gives the threads of sync nodes.
        check: Whether nodes that change what they are given are caught.
        sizes: How large things may be.

    Attributes:
        opener: Opens runs.
        drivers: Those of the runs that are driven now, by run.
        sleeping: What wakes a run that sleeps here, by run.
        closed: Whether the Runner is closed, so that nothing goes on any more.
    """

    def __init__(  # noqa: PLR0913 - what a run is driven with
        self,
        store: Store,
        clock: Clock,
        resources: Resources,
        models: Models,
        pool: Callable[[], Executor],
        *,
        check: bool,
        sizes: Sizes,
    ) -> None:
        self._store = store
        self._clock = clock
        self._resources = resources
        self._models = models
        self._pool = pool
        self._check = check
        self._inbox: asyncio.Task[None] | None = None
        self._look: asyncio.Task[None] | None = None
        self._seen: dict[str, int] = {}  # of the runs that sleep here: the last seq when they fell asleep
        self.drivers: dict[str, Driver] = {}
        self.sleeping: dict[str, asyncio.Event] = {}
        self.closed = False
        self._alone = asyncio.Lock()
        self._quieter = asyncio.Event()  # set when a run is driven here no longer, or was not to be
        self._grace_seconds = 0.0
        self.opener = Opener(store, clock, self.drivers, sizes)

    async def alone(self, opening: Coroutine[Any, Any, Driver | Result[S]]) -> Driver | Result[S]:
        """Open a run once no other is driven here; of several such runs, one after the other."""
        try:
            async with self._alone:
                while not self.opener.is_idle:
                    self._quieter.clear()
                    await self._quieter.wait()
                return await opening
        finally:
            opening.close()

    def grace(self, seconds: float) -> None:
        """Set how long nodes in flight have to finish when the Runner closes.

        Raises:
            DefinitionError: The time is negative or not finite.
        """
        if not 0 <= seconds < math.inf:
            raise DefinitionError(f"Runner(grace_seconds={seconds})", repair="give seconds, 0 or more")
        self._grace_seconds = seconds

    async def let_go(self) -> None:
        """Begin no more nodes, and give those in flight their time to finish; the runs are released unchanged."""
        for driver in self.drivers.values():
            driver.leave()
        ending = [asyncio.ensure_future(driver.run.ended()) for driver in self.drivers.values()]
        if ending and self._grace_seconds:
            grace = asyncio.ensure_future(self._clock.sleep_until(self._clock.now() + self._grace_seconds))
            await asyncio.wait((asyncio.gather(*ending), grace), return_when=asyncio.FIRST_COMPLETED)
            ending.append(grace)
        for each in ending:
            each.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def close(self) -> list[asyncio.Task[None]]:
        """Look at no inbox any more; gives what is still to be waited for."""
        looking = [task for task in (self._inbox, self._look) if task is not None]
        for task in looking:
            task.cancel()
        return looking

    async def see_through(
        self, run: Run[S], plan: Plan[S], opening: Coroutine[Any, Any, Driver | Result[S]]
    ) -> Result[S]:
        """Drive a run from its opening to its result; one that only sleeps is gone on with when its time has come."""
        FROM_THREAD.set(None)  # a tool may have begun it, of an agent that a thread waits for
        CURRENT.set(None)  # as may a node
        outside_work()
        run.context = copy_context()
        try:
            await asyncio.sleep(0)  # who asked for the run may watch it from its first event on
        except BaseException:
            opening.close()
            raise
        try:
            return await self._seen_through(run, plan, opening)
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as error:  # asyncio would end the event loop, and all other runs with it
            reraise_interrupt(error)
            raise DefinitionError(
                f"code of graph {plan.graph} raised {type(error).__name__}: {error}",
                where=f"run {run.id}",
                repair="raise an Exception instead; nothing was recorded of this attempt to drive the run",
            ) from error

    async def _seen_through(
        self, run: Run[S], plan: Plan[S], opening: Coroutine[Any, Any, Driver | Result[S]]
    ) -> Result[S]:
        opened = await opening
        self._quieter.set()
        run.due_only = True  # what another process makes of it while it sleeps here is not to be tried again
        try:
            return await self._to_its_end(run, plan, opened)
        except asyncio.CancelledError:
            if not self.closed:
                raise
            return await self._stands(run, plan)

    async def _to_its_end(self, run: Run[S], plan: Plan[S], opened: Driver | Result[S]) -> Result[S]:
        while True:
            result = await self._drive(run, opened) if isinstance(opened, Driver) else opened
            if result.status != "waiting":
                return result
            dues = [wait.due_at for wait in result.waits if wait.due_at is not None]
            sleeps = bool(result.waits) and all(wait.kind == "sleep" for wait in result.waits)
            del result, opened  # a run that waits holds nothing but its name
            if not await self._nap(run, min(dues, default=math.inf) if sleeps and run.waits_out else None):
                return await self._stands(run, plan)
            opened = await self._again(run, plan)

    async def _stands(self, run: Run[S], plan: Plan[S]) -> Result[S]:
        """How far a run came; read to the end even where the Runner closes meanwhile."""
        loading = asyncio.ensure_future(load_snapshot(self._store, run.id, None))
        while not loading.done():
            try:
                await asyncio.wait((loading,))
            except asyncio.CancelledError:
                if not self.closed:
                    loading.cancel()
                    raise
        return result_of(plan, loading.result())

    async def _again(self, run: Run[S], plan: Plan[S]) -> Driver | Result[S]:
        """Go on with a run; where somebody else was quicker, their end is this one's, or they die and leave it."""
        while True:
            try:
                return await self.opener.go_on(run, plan)
            except RunIsDriven:
                if not await self._patience(run):
                    return await self._stands(run, plan)

    async def _patience(self, run: Run[Any]) -> bool:
        """Wait a moment; whether to look again then."""
        try:
            if self.closed or run.left:
                return False
            await asyncio.sleep(_INBOX_SECONDS)
        except asyncio.CancelledError:
            if not self.closed:
                raise
            return False
        return True

    async def _drive(self, run: Run[S], driver: Driver) -> Result[S]:
        """Drive a run whose first step of this session is durable."""
        self.drivers[run.id] = driver
        if run.left or self.closed:
            driver.leave()
        run.recorded()
        is_cut = False
        try:
            self._watch_inbox()
            try:
                tasks = await self._tasks(driver)
            except ResourceFailed as error:
                await driver.fail(error)
            else:
                with WATCH.over(asyncio.get_running_loop()):
                    await driver.drive(tasks)
        except asyncio.CancelledError:
            if not self.closed:
                raise
            is_cut = True
        finally:
            CURRENT.set(None)  # or this asyncio task would hold the last node's context, and all that it knows
            self.drivers.pop(run.id, None)
            self._quieter.set()
            if driver.holds:
                await release(self._store, run.id, driver.fence)
        if self.closed and (is_cut or driver.snapshot.status == "running"):
            return await self._released(run, driver)
        result = result_of(driver.plan, driver.snapshot, driver.cause)
        driver.snapshot = Snapshot()  # a store may still know the driver by its last append
        missed = driver.missed_stop
        if result.status == "waiting" and missed is not None and not self.closed:
            await self.opener.stop(run.id, *missed)
            return await self._stands(run, driver.plan)
        return result

    async def _released(self, run: Run[S], driver: Driver) -> Result[S]:
        """How far a run came that was under way when the Runner closed; what was cut off is said."""
        result: Result[S] = await self._stands(run, driver.plan)
        if result.status != "running":
            return result
        cut_off = tuple(sorted(set(driver.cut_off)))
        told = f"; cut off: {', '.join(cut_off)}" if cut_off else ""
        text = "run %s was under way when its Runner closed, and is released%s\n  repair: %s"
        log.warning(text, run.id, told, _CLOSED)
        return replace(result, cut_off=cut_off, repair=_CLOSED)

    async def _nap(self, run: Run[Any], due: float | None) -> bool:
        """Whether to go on with a waiting run: because something was sent, or since its time has come."""
        try:
            if run.left or self.closed:
                return False
            alarm = self.sleeping[run.id] = asyncio.Event()  # set by what is sent from now on
            if not await self._store.inbox([run.id]):
                if due is None:
                    return False
                await self._until(due, alarm, run)
            status = (await self._store.info(run.id)).status
            return status in ("waiting", "running") and run.left is False  # noqa: TRY300 - what is caught is the wait
        except asyncio.CancelledError:
            if not self.closed:
                raise
            return False
        finally:
            self.sleeping.pop(run.id, None)

    async def _until(self, due: float, alarm: asyncio.Event, run: Run[Any]) -> None:
        """Return at a time, or when the alarm is set; another process that records a step of the run sets it too."""
        sleeper = asyncio.ensure_future(self._clock.sleep_until(due))
        waker = asyncio.ensure_future(alarm.wait())
        try:
            if self._store.shared:
                self._seen[run.id] = (await self._store.seqs([run.id])).get(run.id, 0)
                if self._look is None:
                    self._look = asyncio.create_task(self._look_at_sleepers(), name="graphengine sleepers")
            await asyncio.wait((sleeper, waker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._seen.pop(run.id, None)
            sleeper.cancel()
            waker.cancel()
            await asyncio.gather(sleeper, waker, return_exceptions=True)

    async def _look_at_sleepers(self) -> None:
        """Wake each run that sleeps here and that another process recorded a step of, as long as any run sleeps."""
        try:
            while self._seen:
                await asyncio.sleep(_LOOK_SECONDS)
                asleep = self._seen.copy()
                with contextlib.suppress(StoreError):  # the next look may succeed; a run's own time comes anyway
                    seqs = await self._store.seqs(list(asleep))
                    for run_id, seen in asleep.items():
                        # Not a run that woke meanwhile and fell asleep again: it is compared with what it saw then.
                        if seqs.get(run_id, 0) != seen and self._seen.get(run_id) == seen:
                            self.sleeping[run_id].set()
        finally:
            self._look = None

    async def _tasks(self, driver: Driver) -> TaskRunner:
        for frame in driver.snapshot.frames.values():
            frame.check = self._check
        resources = await self._resources.of_nest(driver.plan)
        return TaskRunner(
            driver.plan,
            driver.snapshot,
            host=driver,
            resources=resources,
            models=self._models,
            threads=self._pool,
            now=driver.time.now,
            wall=self._clock.now,
            past=functools.partial(past_runs, self._store),
            check=self._check,
        )

    def _watch_inbox(self) -> None:
        if self._inbox is None and self._store.shared:
            self._inbox = asyncio.create_task(self._read_inbox(), name="graphengine inbox")

    async def _read_inbox(self) -> None:
        """Look for messages to driven runs, as long as there are any."""
        try:
            await self._deliver()
        finally:
            self._inbox = None

    async def _deliver(self) -> None:
        while self.drivers:
            with contextlib.suppress(StoreError):  # the next look may succeed; the runs themselves meet lasting trouble
                for message in await self._store.inbox(list(self.drivers)):
                    driver = self.drivers.get(message.run_id)
                    if driver is not None:
                        driver.deliver([message])
            await asyncio.sleep(_INBOX_SECONDS)
