"""The Worker, which drives the due runs of a database until it is stopped.

`Store.take` returns the runs that are due: runs whose time has come, runs that were answered or received a message,
runs that were released, and queued runs that no process has driven yet. Each of them goes to one worker. If the process
of a run has died, the worker itself claims the run. Any number of workers can work on one database. When a worker ends,
its runs do not end: the worker releases them, and another worker resumes them.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from graphengine import __version__
from graphengine.errors import DefinitionError, LeaseLost, RunIsDriven, RunnerClosed, StoreError, StoreUnreachable
from graphengine.kernel.extension import compiled
from graphengine.kernel.inside import Claim, graphs_by_name, handle_on, life_of, lives_of
from graphengine.kernel.store import ClaimedRun, ClaimQuery
from graphengine.runner import opening
from graphengine.worker.retention import PASS_SECONDS, Removed, Remover
from graphengine.worker.schedules import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from pydantic import PositiveInt

    from graphengine.kernel.extension import GraphDefinition, Result, Retention, Run, Seconds
    from graphengine.kernel.extension import Runner as CoreRunner
    from graphengine.kernel.store import RunInfo

_AGAIN_SECONDS: Final = 60.0
"""How long a worker leaves a run alone that could not be resumed.

Usually a person must remove the cause, such as a changed graph. Until then, each attempt would load the run in vain.
"""
_MEASURE_SECONDS: Final = 15.0
"""The time between two counts of the runs in queues, for extensions.

Metrics are usually exported every minute, and a count reads an index.
"""


@dataclass(frozen=True, slots=True)
class Took:
    """An event of a worker: it took a run and begins to drive the run. The callback `on_event` receives it.

    Attributes:
        info: The row of the run, as the worker found it in the store.
        why: The reason: `queued` if the run begins; `due` if its time has come; `sent` if it was answered or received a
            message; `orphan` if the process that drove it has died.
    """

    info: RunInfo
    why: Literal["queued", "due", "sent", "orphan"]


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """An event of a worker: it no longer drives a run. The callback `on_event` receives it.

    Attributes:
        info: The row of the run, as the worker found it in the store.
        result: The result of the run. Its status is `running` if the run was released. For a failed run, it contains
            the error.
    """

    info: RunInfo
    result: Result[Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """An event of a worker: something failed, and will be tried again. The callback `on_event` receives it.

    Attributes:
        info: The run that could not be resumed. None if a schedule could not start its run or the store could not be
            polled.
        error: The error.
    """

    info: RunInfo | None
    error: Exception


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The state of a worker, for health checks.

    Attributes:
        is_stopping: Whether the worker is stopping and takes no more runs.
        driven: The ids of the runs that the worker drives.
        concurrency: The maximum number of runs at the same time.
        polled_at: When the worker last looked for due runs successfully, epoch seconds; None if it has not yet.
        idle_seconds: How many seconds ago the worker should have looked for due runs again. None if the worker drives
            as many runs as it may, and so need not look.
        trouble: The error of the last look for due runs; None if it succeeded.
    """

    is_stopping: bool
    driven: Sequence[str]
    concurrency: int
    polled_at: float | None
    idle_seconds: float | None
    trouble: StoreError | None


WorkerEvent: TypeAlias = "Took | RunOutcome | Refused | Removed"


class Worker:
    """Drives the due runs in the store of a Runner.

    A program with a `Worker` that drives thousands of runs at once should let Python collect garbage less often, with
    `gc.set_threshold(50_000, 20, 20)`. The command `graphengine worker` does this, too.

    Args:
        runner: The Runner that drives the runs. It must stay open while the worker works.
        graphs: The graphs, with distinct names. Runs of other graphs are left alone.
        queues: The queues from which the worker takes runs, in turn; None for all queues.
        concurrency: The maximum number of runs at the same time.
        poll_seconds: How long the worker waits, by the Runner's clock, after a poll that found no runs. New queued
            runs, messages and releases end the wait early. With PostgreSQL, the death of another process does too.
        on_event: A function that is called with each event.
        retention: How long the runs of graphs without their own `retention=` are kept; None to keep them for ever.

    Example:
        >>> async def main() -> None:
        ...     async with Runner("runs.db") as runner:
        ...         worker = Worker(runner, count)
        ...         worker.stop()  # from another task, when it is to end
        ...         await worker.run()
        >>> asyncio.run(main())
    """

    def __init__(  # noqa: PLR0913 - what a worker takes, and how
        self,
        runner: CoreRunner,
        *graphs: GraphDefinition[Any],
        queues: Sequence[str] | None = None,
        concurrency: PositiveInt = 4,
        poll_seconds: Seconds = 1.0,
        on_event: Callable[[WorkerEvent], object] = lambda _: None,
        retention: Retention | None = None,
    ) -> None:
        if isinstance(queues, str):
            text = f"Worker(queues={queues!r}): queues must be a list of names, but it is a text"
            raise DefinitionError(text, where="Worker(runner, …)", repair=f"write queues=[{queues!r}]")
        if not graphs:
            text = "the Worker has no graphs, so it would leave all runs alone"
            repair = "pass the graphs whose runs it takes: Worker(runner, graph, …)"
            raise DefinitionError(text, where="Worker(runner, …)", repair=repair)
        self._runner = runner
        self._lives = lives_of(runner)
        self._clock = self._lives.shared.clock
        self._graphs = graphs_by_name(graphs, "Worker(runner, ")
        self._queues = None if queues is None else tuple(queues)
        self._taken = 0
        self._concurrency = concurrency
        self._poll_seconds = poll_seconds
        self._on_event = on_event
        self._driven: dict[str, asyncio.Task[None]] = {}
        # Runs that could not be resumed, and runs that another worker took first, each with the time until which this
        # worker leaves them alone.
        self._aside: dict[str, float] = {}
        self._elsewhere: dict[str, float] = {}
        # Runs that should be driven alone, because they may crash the process. No other runs are taken before them.
        self._suspects: dict[str, RunInfo] = {}
        self._is_alone = False  # Whether one of these runs is being driven.
        self._ticker = Ticker(runner, self._graphs)
        self._ticked_at = -math.inf
        kept = {name: graph.retention or retention for name, graph in self._graphs.items()}
        self._remover = Remover(runner.store, {name: keep for name, keep in kept.items() if keep is not None})
        self._paused: list[str] = []  # Paused queues, `graph:NAME` and `tenant:NAME`, as read at `_paused_at`.
        self._paused_at = -math.inf
        self._stopping = asyncio.Event()
        self._looking = asyncio.Event()
        self._polled_at: float | None = None  # The time of the last poll that succeeded.
        self._trouble: StoreError | None = None  # The error of the last poll, if it failed.
        self._heard = 0  # The number of announcements of the store that the worker has heard.
        self._measured_at = -math.inf  # The time of the last count of the queues.

    async def run(self) -> None:
        """Work until `stop` is called or the task of this call is cancelled. In both cases the runs are released first.

        Raises:
            InputError: A graph needs an executor that the Runner does not have. Its runs are left to other workers.
            StoreError: The first poll of the store failed. Later failures are reported to `on_event` and tried again.
            RunnerClosed: The Runner was closed.
        """
        for graph in self._graphs.values():
            self._lives.checked(compiled(graph))
        is_first = True
        removing: asyncio.Task[None] | None = None
        try:
            await self._introduce()
            if self._remover.role:
                removing = asyncio.create_task(self._remove(), name="graphengine worker retention")
            while not self._stopping.is_set():
                try:
                    await self._tick()
                    with suppress(TimeoutError):
                        # Runs that were announced until now are found by `_take`, so skip these announcements.
                        async with asyncio.timeout(0):
                            self._heard = await self._runner.store.notifications(-1)
                    await self._take()
                    await self._measure()
                    self._polled_at, self._trouble = self._clock.now(), None
                except StoreError as error:
                    if is_first:
                        raise
                    self._trouble = error
                    self._on_event(Refused(None, error))
                is_first = False
                await self._wait_for_poll()
        finally:
            if removing is not None:
                removing.cancel()
                await asyncio.wait([removing])
            await self._drain()

    async def _tick(self) -> None:
        """Start the runs of schedules that are due, but not more often than the worker polls the store.

        The main loop of the worker calls this method each time it wakes. If it was woken early, the cause was a run or
        a message, never a schedule, so the schedules are not read again.
        """
        now = self._clock.now()
        if not self._ticked_at <= now < self._ticked_at + self._poll_seconds:  # Also True if the clock was set back.
            self._ticked_at = now
            trouble = await self._ticker.tick()
            if trouble is not None:
                self._on_event(Refused(None, trouble))

    @property
    def state(self) -> WorkerState:
        """The present state of the worker, for health checks."""
        driven = sorted(run_id for run_id, task in self._driven.items() if not task.done())
        idle: float | None = None
        if self._polled_at is not None and len(driven) < self._concurrency and not self._is_alone:
            idle = max(0.0, self._clock.now() - self._polled_at - self._poll_seconds)
        return WorkerState(self._stopping.is_set(), driven, self._concurrency, self._polled_at, idle, self._trouble)

    async def _introduce(self) -> None:
        """Tell the store which graphs and queues this worker serves.

        `graphengine workers` lists this information, and other workers read it to agree which worker removes old runs.
        """
        facts = {"graphs": sorted(self._graphs), "concurrency": self._concurrency, "since": self._clock.now()}
        facts["version"] = __version__
        queues = None if self._queues is None else list(self._queues)
        await self._runner.store.open()
        await self._runner.store.set_role({**facts, "queues": queues, **self._remover.role})

    async def _remove(self) -> None:
        """Remove old runs, as the retention of their graphs allows, every ten minutes until the worker stops."""
        while True:
            try:
                async with aclosing(self._remover.once(self._clock.now())) as removals:
                    async for removed in removals:
                        self._on_event(removed)
            except Exception as error:  # noqa: BLE001 - the next pass tries again, and runs are driven meanwhile
                self._on_event(Refused(None, error))
            await self._clock.sleep_until(self._clock.now() + PASS_SECONDS)

    def look_now(self) -> None:
        """Wake the worker, so that it looks for due runs at once.

        Call `look_now` when this process itself has made a run due. Otherwise the worker would notice the run only at
        the announcement of the store, or at its next poll.
        """
        self._looking.set()

    def stop(self) -> None:
        """Ask the worker to end. Nodes in flight finish and are recorded, then the runs are released unchanged."""
        self._stopping.set()
        self._looking.set()

    async def _measure(self) -> None:
        """Tell the extensions of the Runner, at most every 15 seconds, to count the runs that wait in queues."""
        now = self._clock.now()
        if now >= self._measured_at + _MEASURE_SECONDS:
            self._measured_at = now
            for each in self._lives.shared.extensions:
                await each.polled(self._runner.store)

    async def _take(self) -> None:
        """Take due runs and drive them, until the worker drives as many runs as it may.

        A run that may crash the process is driven alone, after all others have ended.
        """
        while not self._stopping.is_set():
            if self._driven and (self._is_alone or self._suspects):
                return
            self._is_alone = bool(self._suspects)
            if self._is_alone:
                self._begin(ClaimedRun(self._suspects.pop(next(iter(self._suspects))), None))
                return
            if not await self._take_some(self._concurrency - len(self._driven)):
                return

    async def _take_some(self, room: int) -> bool:
        """Take as many due runs from the store as the worker has room for, and begin to drive them.

        Args:
            room: The number of runs that the worker can drive in addition.

        Returns:
            Whether some of the runs may crash the process and therefore have to be driven alone.
        """
        if room <= 0:
            return False
        now = self._clock.now()
        if now >= self._paused_at + self._poll_seconds:
            limits = await self._runner.store.queue_limits()
            self._paused, self._paused_at = [name for name, each in limits.items() if each.paused], now
        self._aside, self._elsewhere = _keep_later(self._aside, now), _keep_later(self._elsewhere, now)
        aside = {*self._aside, *self._elsewhere, *self._driven}
        kept = self._lives.shared.kept.ids
        graphs = [name for name in self._graphs if f"graph:{name}" not in self._paused]
        tenants = [name.removeprefix("tenant:") for name in self._paused if name.startswith("tenant:")]
        pick = ClaimQuery(now, room, graphs, self._queues, aside, kept, self._aside, tenants, self._taken)
        self._lives.check_usable()
        taken = await self._runner.store.take(pick) if graphs else ()
        self._taken += len(taken)
        for each in taken:
            if each.fence is not None:
                self._begin(each)
        for each in [each for each in taken if each.fence is None]:  # Runs whose process has died.
            if await opening.is_better_alone(self._runner.store, each.info):
                self._suspects[each.info.id] = each.info
            else:
                self._begin(each)
        return bool(self._suspects)

    def _begin(self, taken: ClaimedRun) -> None:
        run_id = taken.info.id
        self._driven[run_id] = asyncio.create_task(self._drive(taken), name=f"graphengine worker {run_id}")

    async def _wait_for_poll(self) -> None:
        """Wait until there is a reason to look for due runs again.

        The reasons are:

        - A run of this worker has ended.
        - `poll_seconds` have passed.
        - The store has announced a change.
        - `look_now` was called, or the worker must stop.
        """
        clock = self._clock
        waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._looking.wait()), *self._driven.values()]
        if len(self._driven) < self._concurrency:
            now, tick = clock.now(), self._ticked_at + self._poll_seconds
            until = tick if now < tick < now + self._poll_seconds else now + self._poll_seconds
            waiting.append(asyncio.ensure_future(clock.sleep_until(until)))
            waiting.append(asyncio.ensure_future(self._hear()))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            self._looking.clear()
        finally:
            own = [each for each in waiting if each not in self._driven.values()]
            for each in own:
                each.cancel()
            await asyncio.gather(*own, return_exceptions=True)
            for run_id in [run_id for run_id, task in self._driven.items() if task.done()]:
                self._driven.pop(run_id).result()

    async def _hear(self) -> None:
        """Wait until the store announces that a run may have become due, such as a run that another process queued."""
        self._heard = await self._runner.store.notifications(self._heard)

    async def _drain(self) -> None:
        self._stopping.set()
        with suppress(RunnerClosed):
            await asyncio.gather(*(self._runner.release(run_id) for run_id in self._driven))
        await asyncio.gather(*self._driven.values(), return_exceptions=True)
        self._driven.clear()

    async def _drive(self, taken: ClaimedRun) -> None:
        """Resume a run that was taken from the store, and drive it until it ends, waits, or is released.

        The outcome is reported to `on_event`.
        """
        info, now = taken.info, self._clock.now()
        try:
            run, taking = await self._resume_or_release(taken)
            life, is_taken = life_of(run), await taking
            if is_taken:
                self._on_event(Took(info, _why_taken(info, now)))
            try:
                # `outcome` also returns when the run only sleeps. The `result` of a caller would wait on.
                result = await life.outcome()
            finally:
                life.is_retrieved = True
            if life.claim.held_back:
                self._suspects[info.id] = info
            if is_taken:
                self._on_event(RunOutcome(info, result))
        except RunIsDriven:
            self._elsewhere[info.id] = now + self._poll_seconds  # Another worker was faster.
        except RunnerClosed:
            self._stopping.set()
            raise
        except (LeaseLost, StoreUnreachable) as error:  # Another process has the run, or the database is restarting.
            self._elsewhere[info.id] = self._clock.now() + self._poll_seconds
            self._on_event(Refused(info, error))
        except Exception as error:  # noqa: BLE001 - a fault of one run must not end the others
            self._aside[info.id] = self._clock.now() + _AGAIN_SECONDS
            self._on_event(Refused(info, error))

    async def _resume_or_release(self, taken: ClaimedRun) -> tuple[Run[Any], Coroutine[object, object, bool]]:
        """Resume a run that this worker took from the store, for example because its former process has died.

        If the resume fails at once, the run is released, so that another worker can take it.

        Returns:
            The handle of the run, and an awaitable that tells whether this process drives the run.
        """
        lives, info = self._lives, taken.info
        try:
            plan = lives.checked(compiled(self._graphs[info.graph]))
            resume = partial(opening.resume, taken=taken)
            # `asked=False` means that nobody asked for a retry: if another worker was faster and the run has failed
            # there, the run is not retried.
            claim = Claim(asked=False, of_worker=True, gives_way=not self._is_alone)
            life = lives.begin(plan, info.id, resume, claim)
        except BaseException:
            if taken.fence is not None:
                await opening.release(self._runner.store, info.id, taken.fence)
            raise
        return handle_on(life, lives), life.is_taken()


def _keep_later(until: Mapping[str, float], now: float) -> dict[str, float]:
    return {run_id: at for run_id, at in until.items() if at > now}


def _why_taken(info: RunInfo, now: float) -> Literal["queued", "due", "sent", "orphan"]:
    if info.status == "running":
        return "queued" if info.queued else "orphan"
    return "due" if info.due_at is not None and info.due_at <= now else "sent"


__all__ = ["Refused", "RunOutcome", "Took", "Worker", "WorkerEvent", "WorkerState"]
