"""The world outside of a run: time, the process that drives it, the store, and the ledger of all that was done.

Invariants
    - Time jumps: whenever nothing can move, the next timer is due. Nothing here takes time.
    - A process is lost at a write that the program names: it dies before it, or right after it is durable, so that
      nobody learns of it. A dead process changes nothing any more: its door to the store refuses, and the ledger takes
      nothing. In a file it can also stall after that write: what it waits for never comes, until another process has
      its run; then it goes on as if nothing had happened, though its lease is over.
    - Each task belongs to the process in whose context it was made, and ends with it.
    - The ledger has every act. One that is recorded is there; one that was promised `once` is there at most as often as
      its beginning is recorded, and that is again only if somebody looked, and it was not there.

What races
    1. An effect acts: the ledger has it. 2. Its result is to be recorded, and the process dies before that write.
    3. The next process finds a beginning without an end, and asks. 4. Somebody looks into the ledger: it happened, so
    the answer is its result. Had the process died before 1, the answer would be to do it again.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Final, Literal, Protocol, TypeAlias

from graphengine.engine.steps import Step, usage_of
from graphengine.errors import StoreError, StoreFull
from graphengine.kernel.fake_clock import _threads
from graphengine.stores.base import Append, ClaimedRun, ClaimQuery, EndedRun, RunInfo, Store
from graphengine.stores.memory import InMemoryStore
from tests.sim.build import Connection
from tests.sim.model import Wrong
from tests.sim.program import Change

ENDS: Final = 10_000_000.0
"""When every program has ended, in seconds."""
LOOK_SECONDS: Final = 0.0005
RUN: Final = "run"
"""The first run of a program; all others are its children."""
COST_USD: Final = 0.25
"""What a turn of an agent costs: sums of it are exact."""
DEAD: Final = "its process is dead"
Loss: TypeAlias = Literal["before", "after", "stall"]
"""How a process is lost at a write: it dies before it, or once it is durable, or it stalls then."""


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer whenever nothing can move."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        super().__init__(_Jumps(self))
        self.set_task_factory(_made)  # type: ignore[arg-type]  # typeshed has no context in 3.11

    def time(self) -> float:
        """Return the time."""
        return self.now

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Call a function a turn later, in this thread."""
        done: asyncio.Future[Any] = self.create_future()

        def work() -> None:
            try:
                done.set_result(func(*args))
            except Exception as error:  # noqa: BLE001 - the caller gets it
                done.set_exception(error)

        self.call_soon(work)
        return done


def _made(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], context: Context | None = None
) -> asyncio.Task[Any]:
    """Make a task, and note it with its process."""
    task = asyncio.Task(coroutine, loop=loop, context=context)
    process = HERE.get(None) if context is None else context.get(HERE)
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
    return task


class _Jumps(selectors.SelectSelector):
    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop = self._loop
        if timeout is not None and timeout <= 0:
            return []
        if any(_threads()):  # a function of the graph that the engine calls beside the loop
            return super().select(LOOK_SECONDS)
        if woken := super().select(0):
            return woken
        if timeout is None or loop.now > ENDS:
            raise Wrong("nothing can move any more, and the run has not come to rest")
        loop.now = getattr(loop, "_scheduled")[0].when()  # noqa: B009 - asyncio says nowhere else what is due
        return []


class Clock:
    """The clock of a Runner: the time of the loop."""

    def now(self) -> float:
        """Return the time."""
        return asyncio.get_running_loop().time()

    async def sleep_until(self, when: float) -> None:
        """Return at a time."""
        loop = asyncio.get_running_loop()
        if when > ENDS:
            await loop.create_future()
        await asyncio.sleep(max(0.0, when - loop.time()))


class Process:
    """A process.

    Attributes:
        door: The store as it has it.
        context: That of everything that it does.
        changes: What its code has changed.
        tasks: What it does now.
        is_dead: Whether it died.
        has_stalled: Whether it stalled at a write; it may be awake again.
        resumes: Whether a caller resumes the run in it, and not only a worker.
        awake: Set unless it is stalled.
        lost: Set once it is dead or stalled.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.door: Any = None
        self.context = copy_context()
        self.context.run(HERE.set, self)
        self.changes: Sequence[Change] = ()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.is_dead = self.has_stalled = self.resumes = False
        self.awake, self.lost = asyncio.Event(), asyncio.Event()
        self.awake.set()

    def before_write(self) -> None:
        """Count a write, and die before it if the program says so. Raises: StoreError; StoreFull: There is no room."""
        self.lives()
        self.world.writes += 1
        self.world.wrote(self)
        if self.world.losses.get(self.world.writes) == "before":
            self.dies()
        if self.world.full:
            self.world.full -= 1
            raise StoreFull("there is no room")

    def after_write(self) -> None:
        """Die or stall now that the write is durable, if the program says so. Raises: StoreError."""
        match self.world.losses.pop(self.world.writes, None):
            case "after":
                self.dies()
            case "stall":
                self.has_stalled = True
                self.awake.clear()
                self.lost.set()

    def lives(self) -> None:
        """Raise StoreError if it is dead."""
        if self.is_dead:
            raise StoreError(DEAD)

    def dies(self) -> None:
        """Die. Raises: StoreError."""
        self.is_dead = True
        self.lost.set()
        raise StoreError(DEAD)

    async def ended(self) -> None:
        """Cancel all that it still does, and return once that has ended."""
        left = self.tasks - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


HERE: Final[ContextVar[Process]] = ContextVar("sim_process")
"""The process in which the code runs."""


class Place(Protocol):
    """Where the run is stored.

    Attributes:
        view: A store that reads it, and drives nothing.
        losses: How a process can be lost there.
    """

    view: Store
    losses: tuple[Loss, ...]

    async def open(self) -> None:
        """Open the view."""
        ...

    def process(self, world: World) -> Process:
        """Return a new process."""
        ...

    async def ends(self, process: Process) -> None:
        """Do what the system does when a process has died."""
        ...

    def forget(self, process: Process) -> None:
        """Note that a process has ended by itself."""
        ...

    def expires(self, process: Process) -> None:
        """Let the lease of a process be over."""
        ...

    def drives(self, process: Process, run_id: str = RUN) -> bool:
        """Return whether a process has the claim on a run; one that is lost has it still, or again."""
        ...

    async def check(self) -> None:
        """Check all that is stored. Raises: Wrong."""
        ...

    async def remove(self) -> None:
        """Remove everything."""
        ...


class Memory:
    """The memory of a server, which its processes share; if several live at a time, they look for what others do."""

    losses: tuple[Loss, ...] = ("before", "after")

    def __init__(self, loop: Loop, *, shared: bool = False) -> None:
        self.view: Any = Shared(clock=loop.time)
        self.view.shared = shared

    async def open(self) -> None:
        """Open the store."""
        await self.view.open()

    def process(self, world: World) -> Process:
        """Return a new process."""
        process = Process(world)
        process.door = Door(process, self.view)
        return process

    async def ends(self, process: Process) -> None:
        """Do nothing: the next claim finds that it died."""

    def forget(self, process: Process) -> None:
        """Do nothing: nothing is kept of it."""

    def expires(self, process: Process) -> None:
        """Do nothing: there are no leases."""

    def drives(self, process: Process, run_id: str = RUN) -> bool:
        """Return whether a process has the claim on a run."""
        log = self.view._logs.get(run_id)  # noqa: SLF001 - the store does not say it of a dead process
        return log is not None and log.driver_fence is not None and self.view.drivers.get(run_id) is process

    async def check(self) -> None:
        """Do nothing: there is nothing but the log."""

    async def remove(self) -> None:
        """Do nothing: it goes with the program."""


class Shared(InMemoryStore):
    """What is durable in memory."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.drivers: dict[str, Process] = {}

    def freed(self, run_id: str) -> None:
        """Free a run whose process is dead."""
        log = self._log(run_id)
        if run_id in self.drivers and self.drivers[run_id].is_dead:
            log.driver_fence = None

    async def take(self, pick: ClaimQuery) -> Sequence[ClaimedRun]:
        """Take runs: those that dead processes drove first, which are not claimed yet, as in a file."""
        held = [info for info in await self.infos([*self.drivers]) if info.held and self.drivers[info.id].is_dead]
        for info in held:
            if info.status != "running":  # it died before it had resumed the run
                self.freed(info.id)
        dead = [ClaimedRun(info, None) for info in held if info.status == "running" and info.id not in pick.aside]
        return [*dead[: pick.limit], *await super().take(replace(pick, limit=max(0, pick.limit - len(dead))))]

    async def remove(self, runs: Sequence[RunInfo | EndedRun]) -> Mapping[str, str]:
        """Remove runs, of which nobody drives those that a dead process drove."""
        for each in runs:
            self.freed(each.id)
        return await super().remove(runs)


class Door:
    """The store in memory as one process has it: a door that closes when it dies."""

    def __init__(self, process: Process, shared: Shared) -> None:
        self._process, self._shared = process, shared

    def __getattr__(self, name: str) -> Any:
        self._process.lives()
        return getattr(self._shared, name)

    async def create(self, *args: Any) -> int:
        """Record a new run, which this process drives."""
        self._process.before_write()
        fence: int = await self._shared.create(*args)
        self._shared.drivers[args[0].id] = self._process
        self._process.after_write()
        return fence

    async def claim(self, run_id: str) -> int:
        """Become the run's driver, also in place of a dead process."""
        self._process.lives()
        self._shared.freed(run_id)
        fence = await self._shared.claim(run_id)
        self._shared.drivers[run_id] = self._process
        return fence

    async def take(self, pick: ClaimQuery) -> Sequence[ClaimedRun]:
        """Become the driver of runs that are due."""
        self._process.lives()
        taken = await self._shared.take(pick)
        self._shared.drivers.update({each.info.id: self._process for each in taken if each.fence is not None})
        return taken

    def append(self, batch: Append, acts: Sequence[str] = ()) -> None:
        """Add steps, with acts in their transaction, unless the process dies before; it may die right after it."""
        self._process.before_write()
        self._shared.append(batch)
        self._process.world.acts.update(acts)
        self._process.world.recorded(batch.run_id, batch.steps, self._process)
        self._process.after_write()

    async def post(self, *args: Any, **kwargs: Any) -> bool:
        """Post a message."""
        self._process.before_write()
        done = await self._shared.post(*args, **kwargs)
        self._process.after_write()
        return done

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Yield a transaction."""
        self._process.lives()
        yield Transaction(self)

    async def open(self) -> None:
        """Do nothing: it is open."""

    async def close(self) -> None:
        """Do nothing: it is read on."""


class Transaction:
    """A transaction of the store in memory: what a function does there is done with the commit of its record."""

    def __init__(self, door: Door) -> None:
        self._door, self._connection, self.threads = door, Connection(), AtOnce()

    def call(self, function: Callable[[Any], object], kind: type[object]) -> object:
        """Call a function."""
        return function(self._connection)

    async def commit(self, batch: Append) -> None:
        """Add steps, and do what the function did, or nothing of both."""
        self._door.append(batch, self._connection.acts)

    def cancel(self) -> None:
        """Do nothing: no statement waits."""


class AtOnce(Executor):
    """Threads that have always ended."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function."""
        done: Future[Any] = Future()
        done.set_result(function(*args, **kwargs))
        return done


def cost_of(made: Sequence[Step]) -> float:
    """Return what steps cost."""
    return sum(usage_of(step).get("cost_usd") or 0.0 for step in made if step.kind != "resumed")


class Outside:
    """What is outside of the process in which the code runs, so that all programs with a graph can share it."""

    async def act(self, key: str) -> str:
        """Act."""
        return await HERE.get().world.act(key)

    async def tell(self, to: str, text: str) -> None:
        """Send a message to a run."""
        await HERE.get().world.tells(to, text)

    def begins(self, run_id: str) -> None:
        """Begin a turn of an agent."""
        HERE.get().world.begins(run_id)

    def fails(self, run_id: str) -> None:
        """End a turn of an agent that cost nothing."""
        HERE.get().world.fails(run_id)


@dataclass
class World:
    """All that is outside.

    Attributes:
        losses: At which write a process is lost, and how.
        wrote: What is called at each write, with its process.
        drives: Whether a process that has stalled has the claim on a run.
        tells: Sends a message to a run.
        lag: How many turns of the event loop an act takes.
        writes: How many writes were made.
        acts: How often each call acted, by the path of its node, the visit, and the number of the operation.
        lost: How many processes were lost, or found the store full.
        full: How many writes are to be refused.
        limit: The limit of the run's costs, in US dollars.
        spent: What its steps recorded.
        flying: How many turns of agents began in the process that drives it, and are not recorded.
        writers: Which process recorded a step of a run, as far as that is seen; of other runs than the first one only
            if their `heads` are read at each commit.
        order: The steps of all runs, by run and seq, in the order in which they were recorded, as far as that is seen.
        broken: The first thing that is wrong, as far as it showed while the run was driven.
    """

    losses: dict[int, Loss]
    wrote: Callable[[Process], None]
    drives: Callable[[Process, str], bool]
    tells: Callable[[str, str], Awaitable[None]]
    lag: int = 1
    writes: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    full: int = 0
    limit: float = inf
    spent: float = 0.0
    flying: int = 0
    writers: dict[tuple[str, int], Process] = field(default_factory=dict)
    heads: bool = False
    order: list[tuple[str, int]] = field(default_factory=list)
    broken: str = ""

    def forget(self) -> None:
        """Forget the run: it is removed, and another one will have its id."""
        self.acts = Counter({key: number for key, number in self.acts.items() if not key.startswith(f"{RUN} ")})
        self.writers, self.order = {}, [each for each in self.order if each[0] != RUN]
        self.spent, self.flying = 0.0, 0

    def begins(self, run_id: str) -> None:
        """Begin a turn of an agent, which costs. One at a time may begin below the limit (L1)."""
        if run_id != RUN or HERE.get().lost.is_set():
            return
        if self.spent + COST_USD * self.flying >= self.limit and not self.broken:
            self.broken = (
                f"a turn begins although {self.spent} USD and {self.flying} turns in flight reach {self.limit}"
            )
        self.flying += 1

    def fails(self, run_id: str) -> None:
        """End a turn that cost nothing."""
        self.flying -= run_id == RUN and not HERE.get().lost.is_set()

    def recorded(self, run_id: str, made: Sequence[Step], process: Process) -> None:
        """Note what durable steps cost, and which process recorded them."""
        self.order += [(run_id, step.seq) for step in made]
        self.writers.update({(run_id, step.seq): process for step in made})
        self.spends(run_id, made)

    def spends(self, run_id: str, made: Sequence[Step]) -> None:
        """Note what steps cost."""
        cost = cost_of(made) if run_id == RUN else 0.0
        self.spent += cost
        self.flying = max(0, self.flying - round(cost / COST_USD))

    async def act(self, key: str) -> str:
        """Act, unless the process is dead, or has stalled and lost its run: its lease would have told it to stop."""
        for _ in range(self.lag):
            await asyncio.sleep(0)
        process = HERE.get()
        await process.awake.wait()
        if process.is_dead or (process.has_stalled and not self.drives(process, key.partition(" ")[0])):
            raise asyncio.CancelledError
        self.acts[key] += 1
        return "acted"
