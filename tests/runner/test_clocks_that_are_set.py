"""The machine's clock is set while a run is driven, and between two processes that drive it."""

import asyncio
import time
from itertools import pairwise

import pytest
from pydantic import BaseModel

from graphengine import Context, Limits, Retry, Runner, value
from graphengine.runner.clock import SteadyClock, SystemClock
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import alone, repeated

MOST = 60  # seconds that a test can hang before it fails
HOUR = 3600.0


class State(BaseModel):
    n: int = 0


class Machine:
    """The machine's time, as set by the test."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def machine() -> Machine:
    """Return a clock of the machine that a test sets."""
    return Machine()


@pytest.fixture
def store() -> InMemoryStore:
    """Return a store that several Runners share, one after another."""
    return InMemoryStore()


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
async def test_a_retry_waits_its_time_if_the_clock_is_set(machine: Machine, store: InMemoryStore, jump: float) -> None:
    """It waits neither an hour too long nor too briefly, and the times of the log still increase."""
    calls: list[float] = []

    async def shaky() -> int:
        calls.append(time.monotonic())
        machine.ahead = jump
        if len(calls) < 2:
            raise ValueError
        return 1

    graph = alone(State, shaky, "n", retry=Retry(attempts=2, initial_seconds=0.2, jitter=0))
    async with asyncio.timeout(MOST), Runner(store, clock=SystemClock(machine)) as runner:
        run = runner.start(graph)
        assert (await run.result()).state.n == 1
        times = [step.at for step in await store.steps(run.id)]
    assert calls[1] - calls[0] >= 0.2
    assert times == sorted(times)
    assert times[-1] - times[0] < HOUR / 2


async def test_setting_the_clock_forward_uses_up_no_limit(machine: Machine) -> None:
    """`Limits(seconds=…)` counts the time that really passes."""

    async def work(n: int) -> int:
        machine.ahead += HOUR
        return n + 1

    graph = repeated(State, work, "n", value("n") >= 3, name="long")
    async with Runner(clock=SystemClock(machine)) as runner:
        result = await runner.start(graph, limits=Limits(seconds=HOUR / 2)).result()
    assert (result.status, result.state.n) == ("finished", 3)
    assert result.elapsed_seconds < HOUR / 2


async def test_the_times_of_a_log_never_go_back(machine: Machine, store: InMemoryStore) -> None:
    """A process whose clock is earlier than the last step of a run stops, and continues, it from that step's time."""

    async def asks(ctx: Context) -> int:
        return await ctx.ask("How many?", int)

    graph, machine.ahead = alone(State, asks, "n"), HOUR
    async with Runner(store, clock=SystemClock(machine)) as runner:
        waiting = await runner.start(graph).result()
    machine.ahead = 0.0
    async with Runner(store, clock=SystemClock(machine)) as runner:
        await runner.stop(waiting.run_id)
        await runner.answer(waiting.run_id, 7)
        assert (await runner.resume(waiting.run_id, graph).result()).state.n == 7
        times = [step.at for step in await store.steps(waiting.run_id)]
    assert all(earlier <= later for earlier, later in pairwise(times))


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
async def test_a_wait_ends_at_a_time_of_the_machines_clock(machine: Machine, jump: float) -> None:
    """The stored time is a date, so it holds even if the clock was set after the run began to be driven."""

    async def naps(ctx: Context) -> int:
        machine.ahead = jump
        await ctx.sleep(0.05)
        return 1

    async with asyncio.timeout(MOST), Runner(clock=SystemClock(machine)) as runner:
        assert (await runner.start(alone(State, naps, "n")).result()).state.n == 1


async def test_a_clock_of_the_caller_is_trusted() -> None:
    """Only the machine's clock is replaced by a steady one while a run is driven."""

    class Own:
        def now(self) -> float:
            return 5.0

        async def sleep_until(self, when: float) -> None:
            """Return at once."""

    async with Runner(clock=Own()) as runner:
        run = runner.start(alone(State, lambda: 1, "n"))
        await run.result()
        assert {step.at for step in await runner.history(run.id)} == {5.0}


async def test_a_steady_clock_begins_at_the_machines_time(machine: Machine) -> None:
    """It sleeps for the given time, whatever happens to the machine's clock."""
    clock = SteadyClock(machine())
    began = clock.now()
    machine.ahead = -HOUR
    async with asyncio.timeout(MOST):
        await clock.sleep_until(began + 0.05)
    assert began + 0.05 <= clock.now() < began + HOUR / 2
