"""The world outside of the runs: the time, the processes and their store, and the ledger of all that was done.

Time is that of the event loop, which jumps: whenever nothing can move, the next timer is due. If there is no timer
either, the loop is quiet, and the driver is told. A process is a Runner over a `Door` to the store. When it dies, its
door is closed, so nothing that its tasks still do reaches the store, and the ledger takes nothing from it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

from graphengine.engine.steps import Branched, Resumed, Started, Step, usage_of
from graphengine.errors import StoreError, StoreFull
from graphengine.kernel.fake_clock import _threads
from graphengine.stores.base import Append, RunInfo, StopMark, Store
from tests.crossing.program import Effect, Event, Full, Kill, Prune

T = TypeVar("T")
COST_USD: Final = 0.25
"""What each call of a model costs: sums of it are exact."""
MOST_IDLE: Final = 20_000
"""How often in a row time may jump without a write: more is a run that polls for ever."""

LOOK_SECONDS: Final = 0.0005
"""How long a thread at work is waited for at a time."""
LATEST: Final = 200_000.0
"""When every program has ended, in seconds."""


class Wrong(AssertionError):
    """A promise was broken; the first line says which one."""


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer whenever nothing can move.

    Attributes:
        now: The time, in seconds.
        quiet: Set once nothing can ever move again by itself.
        idle: How often time jumped since the last write.
    """

    def __init__(self) -> None:
        self.now, self.idle = 1000.0, 0
        self.quiet: asyncio.Future[None] | None = None
        super().__init__(_Jumps(self))

    def time(self) -> float:
        """Return the time."""
        return self.now

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Call a function a turn later, here: threads would make a program differ from one time to the next."""
        done: asyncio.Future[Any] = self.create_future()

        def work() -> None:
            try:
                done.set_result(func(*args))
            except Exception as error:  # noqa: BLE001 - the caller gets it
                done.set_exception(error)

        self.call_soon(work)
        return done

    async def until_quiet(self) -> None:
        """Return once nothing can move."""
        self.quiet = self.create_future()
        await self.quiet


class _Jumps(selectors.SelectSelector):
    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop = self._loop
        if timeout is not None and timeout <= 0:
            return []
        if any(_threads()):  # a function of the engine's own
            return super().select(LOOK_SECONDS)
        if woken := super().select(0):  # by one that has just ended
            return woken
        if loop.now > LATEST:
            raise Wrong("time goes on for ever, and no run comes to its end")
        if timeout is None or loop.idle > MOST_IDLE:
            assert loop.quiet is not None, "the driver itself hangs"
            if loop.quiet.done():
                raise Wrong(f"something polls for ever: {[task.get_name() for task in asyncio.all_tasks(loop)]}")
            loop.idle = 0
            loop.quiet.set_result(None)
        else:
            loop.now = getattr(loop, "_scheduled")[0].when()  # noqa: B009 - asyncio says nowhere else which timer is due
            loop.idle += 1
        return []


class LoopClock:
    """The clock of the Runners: the time of the event loop."""

    def now(self) -> float:
        """Return the time."""
        return asyncio.get_running_loop().time()

    async def sleep_until(self, when: float) -> None:
        """Return at a time."""
        loop = asyncio.get_running_loop()
        if when < loop.time() + LATEST:  # else it never comes
            awake = loop.create_future()
            timer = loop.call_at(when, _wake, awake)
            try:
                await awake
            finally:
                timer.cancel()
        else:
            await loop.create_future()


def _wake(awake: asyncio.Future[None]) -> None:
    if not awake.done():
        awake.set_result(None)


@dataclass(eq=False)
class Process:
    """A process: whether it lives, and the runner that drives its runs."""

    name: str
    is_dead: bool = False
    store: Any = None
    door: Any = None
    runner: Any = None


HERE: Final[ContextVar[Process]] = ContextVar("crossing_process")
"""The process in which the code runs."""


class Cell(NamedTuple):
    """A place that a promise is about: a run, the frames around with their visits, and what acts there."""

    run_id: str
    around: tuple[str, ...]
    what: str


class Acted(NamedTuple):
    """One act, what was promised, and how often the graphs around it had been tried."""

    effect: Effect
    key: str
    process: str
    tries: int


@dataclass
class World:
    """All that is outside.

    Attributes:
        events: What is to happen at which write; what is not about the store itself is called by `happens`.
        writes: How many writes were made.
        most_writes: How many may be made.
        acts: What was done, by place.
        number: The number of the last call of a model.
        calls: The run of each call of a model that was answered, by its number.
        limits: The limit of the costs of each run, in US dollars.
        starters: The run that started each child run.
        in_flight: The run of each call that began and is not recorded, by its number.
        refused: How many calls failed for good.
        spent: What each run's own steps recorded, in US dollars.
        given: What was accepted by the first run: messages and answers, by run.
        noes: The calls that a person refused, each with how often the graphs around it had been tried.
        stopped: From which write on nothing may begin in the trees of runs, until one of these is resumed.
        stopping: Which process is asked to stop a run, until it says that it has.
        trees: The first run of the tree of each child run that stops with it.
        pruned: How often a run with this id had ended and was removed.
    """

    events: dict[int, list[Event]] = field(default_factory=dict)
    happens: Callable[[Event], None] = lambda _: None
    writes: int = 0
    most_writes: int = 0
    acts: dict[Cell, list[Acted]] = field(default_factory=lambda: defaultdict(list))
    number: int = 0
    calls: dict[int, str] = field(default_factory=dict)
    spent: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    logs: dict[str, list[Step]] = field(default_factory=lambda: defaultdict(list))
    given: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    limits: dict[str, float] = field(default_factory=dict)
    starters: dict[str, str] = field(default_factory=dict)
    in_flight: dict[int, tuple[str, Process]] = field(default_factory=dict)
    refused: int = 0
    broken: str = ""
    noes: set[Cell] = field(default_factory=set)
    stopped: dict[str, int] = field(default_factory=dict)
    stopping: dict[str, Process] = field(default_factory=dict)
    trees: dict[str, str] = field(default_factory=dict)
    pruned: Counter[str] = field(default_factory=Counter)
    full: int = 0
    happened: set[str] = field(default_factory=set)
    features: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def breaks(self, what: str) -> NoReturn:
        """Note that a promise was broken where the engine catches what is raised.

        Raises:
            Wrong: Always.
        """
        self.broken = self.broken or what
        raise Wrong(what)

    def note(self, run_id: str, *features: str) -> None:
        """Note what a run does."""
        self.features[run_id].update(features)

    @contextmanager
    def calling(self, run_id: str) -> Iterator[int]:
        """Check that a call of a model may begin, and give it its number."""
        number = self.number = self.number + 1
        here = HERE.get()
        flying = sum(each == (run_id, here) for each in self.in_flight.values())
        limit = self.limits.get(run_id, inf)
        if self.spent[run_id] + COST_USD * flying >= limit and not here.is_dead:
            self.breaks(f"a call begins after the limit of its run was reached: {run_id}, {limit}, {flying} in flight")
        self.in_flight[number] = run_id, here
        try:
            yield number
        except BaseException:
            del self.in_flight[number]
            raise

    def act(self, cell: Cell, effect: Effect, key: str, tries: int) -> None:
        """Note that something was done, unless its process is dead.

        A node that a migration renames keeps its key for the visit that is in progress. A graph that is tried again
        visits it anew, under the new name. What was promised when something was done holds from then on, whatever a
        later deployment says.
        """
        here = HERE.get()
        if here.is_dead:
            raise asyncio.CancelledError
        before = self.acts[cell]
        before.append(Acted(effect, key, here.name, tries))
        promised = next((at for at, each in enumerate(before) if each.effect in ("once", "reconcile")), None)
        if promised is not None and promised < len(before) - 1:
            self.breaks(f"acted twice: {cell} is promised at most once: {before}")
        alike = [each for each in before if each.effect == "idempotent"]
        now = {each.key for each in alike if each.tries == tries}
        renamed = {each.key.replace("n", "m") for each in alike}
        if effect == "idempotent" and max(len(now), len(renamed)) > 1:
            self.breaks(f"two keys: {cell} is promised one key: {before}")

    def removed(self, run_ids: Collection[str]) -> None:
        """Note runs that were removed, and what is promised of them no more."""
        if run_ids:
            self.happened.add("prune")
        self.pruned.update(run_ids)
        for cell in [cell for cell in self.acts if cell.run_id in run_ids]:
            del self.acts[cell]
        self.noes -= {cell for cell in self.noes if cell.run_id in run_ids}
        for run_id in run_ids:
            self.given.pop(run_id, None)

    async def accepts(self, run_id: str, said: Awaitable[object], kind: str, what: str) -> None:
        """Say something to a run, and note it once it is accepted, unless the run was removed meanwhile."""
        before = self.pruned[run_id]
        await said
        if self.pruned[run_id] == before:
            self.given[run_id].append((kind, what))

    def is_stopped(self, run_id: str | None) -> bool:
        """Return whether nothing may begin in the tree of a run."""
        return run_id is not None and self.stopped.get(run_id, self.writes) < self.writes

    def did(self, key: str) -> bool:
        """Return whether anything was done with this key."""
        return any(each.key == key for acts in self.acts.values() for each in acts)

    def enters(self, process: Process) -> bool:
        """Let a process write: count it, and let happen what happens then. Return whether it dies right after it.

        Raises:
            StoreError: It is dead, or dies before. StoreFull: There is no room.
        """
        if process.is_dead:
            raise StoreError("its process is dead")
        self.writes += 1
        if self.writes > self.most_writes:
            self.broken = self.broken or f"runs write for ever: {self.writes} writes"
            process.is_dead = True
            raise StoreError("it writes for ever")
        loop = asyncio.get_running_loop()
        if isinstance(loop, Loop):
            loop.idle = 0
        dies = False
        for event in self.events.pop(self.writes, ()):
            self.notes(event)
            if isinstance(event, Full):
                self.full += event.writes
            elif isinstance(event, Kill):
                if not event.durable:
                    self.dies(process)
                dies = event.durable
            else:
                self.happens(event)
        if process.is_dead:
            raise StoreError("its process is dead")
        if self.full:
            self.full -= 1
            raise StoreFull("the disk is full")
        return dies

    def notes(self, event: Event) -> None:
        """Note that something happens; of a prune counts what it removes."""
        if not isinstance(event, Prune):
            self.happened.add(type(event).__name__.lower())

    def dies(self, process: Process) -> None:
        """End a process."""
        process.is_dead = True
        for run_id in [each for each, asked in self.stopping.items() if asked is process]:
            self.stopped.pop(run_id, None)  # it never said that it had; some of the tree may go on
        process.door.cut()
        self.happens(Kill(self.writes))

    def recorded(self, run_id: str, steps: Sequence[Step]) -> None:
        """Note durable steps."""
        self.logs[run_id] += steps
        for step in steps:
            if isinstance(step.data, Started) and step.data.starter is not None:
                self.starters[run_id] = step.data.starter.run_id
                self.trees[run_id] = step.data.starter.root
            if isinstance(step.data, (Started, Resumed, Branched)):
                self.limits[run_id] = step.data.limits.get("cost_usd") or inf
            if isinstance(step.data, Resumed):
                for stopped in (run_id, self.trees.get(run_id, "")):
                    self.stopped.pop(stopped, None)
            cost = usage_of(step).get("cost_usd") or 0.0
            self.spent[run_id] += cost
            ended = round(cost / COST_USD) if step.kind not in ("resumed", "stopped", "branched") else None
            for number in [number for number, (each, _) in self.in_flight.items() if each == run_id][:ended]:
                del self.in_flight[number]


class Door:
    """The store as one process sees it: what it writes counts, and it is closed when the process dies."""

    def __init__(self, world: World, store: Store, process: Process) -> None:
        self._world, self._store, self._process = world, store, process
        self._writing: set[asyncio.Future[Any]] = set()
        self._is_closed = False

    def __getattr__(self, name: str) -> Any:
        if self._process.is_dead:
            raise StoreError("its process is dead")
        return getattr(self._store, name)

    async def open(self) -> None:
        """Open the store, once.

        Raises:
            StoreError: Its process is dead, or closed it.
        """
        if self._process.is_dead or self._is_closed:
            raise StoreError("its process is dead")
        await self._store.open()

    async def close(self) -> None:
        """Close the store, if its process lives."""
        self._is_closed = True
        if not self._process.is_dead:
            await self._store.close()

    def cut(self) -> None:
        """Let nothing wait any more: its process has died. What is being written may become durable or not."""
        for each in [*self._writing]:
            if not each.done():
                each.set_exception(StoreError("its process is dead"))

    async def create(self, info: RunInfo, steps: Sequence[Step], graph_spec: Any, code_body: Any = None) -> int:
        """Record a new run."""
        if info.starter is not None and info.id in self._world.pruned:
            self._world.breaks(f"a child run begins again that had ended and was removed: {info.id}")
        is_late = self._world.is_stopped(info.root)
        fence = await self._write(lambda: self._store.create(info, steps, graph_spec, code_body), info.id, steps)
        if is_late and self._world.is_stopped(info.root):
            self._world.breaks(f"a run begins in a tree that is stopped: {info.id}")
        return fence

    async def remove(self, runs: Sequence[RunInfo]) -> Mapping[str, str]:
        """Remove runs."""

        async def removing() -> Mapping[str, str]:
            kept = await self._store.remove(runs)
            self._world.removed({info.id for info in runs} - kept.keys())
            return kept

        return await self._write(removing, "")

    async def claim(self, run_id: str) -> int:
        """Claim a run."""
        return await self._write(lambda: self._store.claim(run_id), run_id)

    async def post(self, run_id: str, *args: Any, **more: Any) -> bool:
        """Post a message."""
        return await self._write(lambda: self._store.post(run_id, *args, **more), run_id)

    async def mark_stop(self, run_id: str, mark: StopMark) -> None:
        """Mark a run as stopped, or not."""
        await self._write(lambda: self._store.mark_stop(run_id, mark), run_id)

    def append(self, batch: Append) -> asyncio.Future[None] | None:
        """Add steps."""
        dies = self._world.enters(self._process)
        durable = self._store.append(batch)
        if durable is not None:
            return self._until(durable, batch.run_id, batch.steps, dies=dies)
        self._done(batch.run_id, batch.steps, dies=dies)
        return None

    async def _write(self, write: Callable[[], Awaitable[T]], run_id: str, steps: Sequence[Step] = ()) -> T:
        dies = self._world.enters(self._process)
        return await self._until(write(), run_id, steps, dies=dies)

    def _until(self, write: Awaitable[T], run_id: str, steps: Sequence[Step], *, dies: bool) -> asyncio.Future[T]:
        """Return the result of a write, once it is noted. A store may give back what a cancelled caller took."""
        writing: asyncio.Future[T] = asyncio.ensure_future(write)
        told: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writing.add(told)

        def written(_: object) -> None:
            error = None if writing.cancelled() else writing.exception()
            if error is None and not writing.cancelled():
                try:
                    self._done(run_id, steps, dies=dies)
                except StoreError as death:
                    error = death
            if told.done():
                return
            if error is None:
                told.set_result(writing.result())
            else:
                told.set_exception(error)

        def left(_: object) -> None:
            self._writing.discard(told)
            if told.cancelled() and isinstance(writing, asyncio.Task) and not self._process.is_dead:
                writing.cancel()

        writing.add_done_callback(written)
        told.add_done_callback(left)
        return told

    def _done(self, run_id: str, steps: Sequence[Step], *, dies: bool) -> None:
        self._world.recorded(run_id, steps)
        if dies:
            self._world.dies(self._process)
            raise StoreError("its process is dead")


def around(frame: Any) -> tuple[str, ...]:
    """Return where a frame and those around it are, and for which visit; under the names of the first version."""
    found: list[str] = []
    while frame is not None:
        found.append(f"{frame.id} {frame.at} {frame.visit}".replace("m", "n"))
        frame = frame.up
    return tuple(found)


def attempts(frame: Any) -> int:
    """Return how often a node was tried, also by retries of the graphs around it."""
    return int(frame.attempt) + (attempts(frame.up) - 1 if frame.up is not None else 0)


def tries(frame: Any) -> int:
    """Return how often the graphs around a node were tried."""
    return attempts(frame.up) if frame.up is not None else 0


def by_write(events: Sequence[Event]) -> Mapping[int, list[Event]]:
    """Return events by the write at which they happen."""
    found: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        found[event.at].append(event)
    return found
