"""The world outside of a run: time, the process that drives it, the store, and the ledger of all that was done.

Invariants
    - Time jumps: whenever nothing can move, the next timer is due. Nothing here takes time.
    - One process at a time drives the run. It dies at a write that the program names: before it, or right after it is
      durable. A dead process changes nothing any more: its door to the store refuses, and the ledger takes nothing.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from graphengine.engine.steps import Step, usage_of
from graphengine.errors import StoreError
from graphengine.kernel.fake_clock import _threads
from graphengine.stores.base import Append
from graphengine.stores.memory import InMemoryStore
from tests.sim.model import Wrong

ENDS: Final = 100_000.0
"""When every program has ended, in seconds."""
LOOK_SECONDS: Final = 0.0005
RUN: Final = "run"
"""The first run of a program; all others are its children."""
COST_USD: Final = 0.25
"""What a turn of an agent costs: sums of it are exact."""
DEAD: Final = "its process is dead"


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer whenever nothing can move."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Jumps(self))

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


class Memory(InMemoryStore):
    """What is durable."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.drivers: dict[str, Process] = {}

    def freed(self, run_id: str) -> None:
        """Free a run whose process is dead."""
        log = self._log(run_id)
        if run_id in self.drivers and self.drivers[run_id].is_dead:
            log.driver_fence = None


class Process:
    """The store as one process has it: a door that closes when it dies."""

    def __init__(self, world: World, memory: Memory) -> None:
        self._world, self._memory = world, memory
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        if self.is_dead:
            raise StoreError(DEAD)
        return getattr(self._memory, name)

    async def create(self, *args: Any) -> int:
        """Record a new run, which this process drives."""
        self._dies_before()
        fence: int = await self._memory.create(*args)
        self._memory.drivers[args[0].id] = self
        self._dies_after()
        return fence

    async def claim(self, run_id: str) -> int:
        """Become the run's driver, also in place of a dead process."""
        self._memory.freed(run_id)
        fence = await self._memory.claim(run_id)
        self._memory.drivers[run_id] = self
        return fence

    def append(self, batch: Append) -> None:
        """Add steps, unless the process dies before; it may die right after it."""
        self._dies_before()
        self._memory.append(batch)
        self._world.recorded(batch.run_id, batch.steps)
        self._dies_after()

    async def post(self, *args: Any, **kwargs: Any) -> bool:
        """Post a message."""
        self._dies_before()
        done = await self._memory.post(*args, **kwargs)
        self._dies_after()
        return done

    async def open(self) -> None:
        """Do nothing: it is open."""

    async def close(self) -> None:
        """Do nothing: it is read on."""

    def _dies_before(self) -> None:
        if not self.is_dead:
            self._world.writes += 1
            self._world.wrote()
            self.is_dead = self._world.deaths.get(self._world.writes) is False
        if self.is_dead:
            raise StoreError(DEAD)

    def _dies_after(self) -> None:
        if self._world.deaths.get(self._world.writes):
            self.is_dead = True
            raise StoreError(DEAD)


@dataclass
class World:
    """All that is outside.

    Attributes:
        deaths: At which write a process dies, and whether that write is durable.
        wrote: What is called at each write.
        writes: How many writes were made.
        acts: How often each call acted, by the path of its node, the visit, and the number of the operation.
        died: How many processes died.
        limit: The limit of the run's costs, in US dollars.
        spent: What its steps recorded.
        flying: How many turns of agents began in the process that drives it, and are not recorded.
        broken: The first promise that was broken where the engine catches what is raised.
    """

    deaths: dict[int, bool]
    wrote: Callable[[], None]
    writes: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    died: int = 0
    process: Process | None = None
    limit: float = inf
    spent: float = 0.0
    flying: int = 0
    broken: str = ""

    def begins(self, run_id: str) -> None:
        """Begin a turn of an agent, which costs. One at a time may begin below the limit (L1)."""
        if run_id != RUN:
            return
        if self.spent + COST_USD * self.flying >= self.limit and not self.broken:
            self.broken = (
                f"a turn begins although {self.spent} USD and {self.flying} turns in flight reach {self.limit}"
            )
        self.flying += 1

    def recorded(self, run_id: str, made: Sequence[Step]) -> None:
        """Note what durable steps cost."""
        if run_id != RUN:
            return
        cost = sum(usage_of(step).get("cost_usd") or 0.0 for step in made if step.kind != "resumed")
        self.spent += cost
        self.flying = max(0, self.flying - round(cost / COST_USD))

    async def act(self, key: str) -> str:
        """Act, unless the process is dead."""
        await asyncio.sleep(0)
        if self.process is None or self.process.is_dead:
            raise asyncio.CancelledError
        self.acts[key] += 1
        return "acted"
