"""The fake clock: weeks pass in milliseconds, in order, and never ahead of work in progress."""

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, Context, Graph, Limits, Runner, value
from graphengine.errors import DefinitionError
from graphengine.kernel import fake_clock as clocks
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner.clock import SystemClock
from graphengine.runner.held_loops import frames_of_threads
from tests.kit.runs import SOON, alone


class State(BaseModel):
    n: int = 0


def one(work: Callable[..., Any], **options: Any) -> Graph[State]:
    """Return a graph of one node that writes n."""
    return alone(State, work, "n", **options)


async def nap(clock: FakeClock, when: float, log: list[float]) -> None:
    """Sleep until a time and record it."""
    await clock.sleep_until(when)
    log.append(when)


async def test_sleepers_wake_in_order_of_their_times() -> None:
    """The order in which they fell asleep counts only for equal times."""
    clock, log = FakeClock(start=0.0), list[float]()
    await asyncio.gather(*(nap(clock, when, log) for when in (30.0, 10.0, 20.0, 10.0)))
    assert log == [10.0, 10.0, 20.0, 30.0]
    assert clock.now() == 30.0


async def test_time_does_not_pass_while_there_is_work() -> None:
    """A coroutine that is awake ends first, even if that takes many turns of the event loop."""
    clock, log = FakeClock(start=0.0), list[float]()
    sleeper = asyncio.create_task(nap(clock, 1.0, log))
    for _ in range(200):
        await asyncio.sleep(0)
        assert clock.now() == 0.0
    await sleeper
    assert log == [1.0]


async def test_time_does_not_pass_while_a_thread_works(timed: Runner, clock: FakeClock) -> None:
    """A sync node counts as work, though the event loop has nothing to do."""
    seen: list[float] = []

    def slow() -> int:
        time.sleep(0.05)
        seen.append(clock.now())
        return 1

    sleeper = asyncio.create_task(clock.sleep_until(2000.0))
    await timed.start(one(slow)).result()
    assert seen == [1000.0]
    await sleeper
    assert clock.now() == 2000.0


async def test_a_cancelled_sleeper_is_not_waited_for() -> None:
    """Time moves to the next sleeper that is left."""
    clock, log = FakeClock(start=0.0), list[float]()
    first, second = (asyncio.create_task(nap(clock, when, log)) for when in (5.0, 9.0))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert (log, clock.now()) == ([9.0], 9.0)


async def test_a_moved_clock_moves_only_by_hand() -> None:
    """It wakes the sleepers whose time has come and no others."""
    clock, log = FakeClock(start=0.0, jumps=False), list[float]()
    naps = [asyncio.create_task(nap(clock, when, log)) for when in (3.0, 1.0, 7.0)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert (log, clock.now(), repr(clock)) == ([], 0.0, "FakeClock(0.0, 3 asleep)")
    clock.move(5)
    await asyncio.gather(*naps[:2])
    assert (log, clock.now()) == ([1.0, 3.0], 5.0)
    clock.move(2)
    await naps[2]
    assert log == [1.0, 3.0, 7.0]


async def test_a_time_that_has_come_needs_no_sleep() -> None:
    """The present time needs none either."""
    clock = FakeClock(start=5.0, jumps=False)
    await clock.sleep_until(4.0)
    await clock.sleep_until(5.0)


async def test_an_endless_sleep_does_not_move_the_clock() -> None:
    """A coroutine that sleeps without end does not move the time to infinity."""
    clock = FakeClock(start=0.0)
    endless = asyncio.create_task(clock.sleep_until(float("inf")))
    await clock.sleep_until(3.0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert (endless.done(), clock.now()) == (False, 3.0)
    endless.cancel()


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_time_moves_forwards_by_a_positive_number(seconds: float) -> None:
    """Any other value is refused with the repair."""
    with pytest.raises(DefinitionError, match="at least 0"):
        FakeClock().move(seconds)


def test_a_clock_serves_one_event_loop_after_another() -> None:
    """A second loop finds it as the first one left it."""
    clock = FakeClock(start=0.0)
    asyncio.run(clock.sleep_until(1.0))
    asyncio.run(clock.sleep_until(2.0))
    assert clock.now() == 2.0


async def test_time_that_passes_in_a_node_counts_for_the_limit_of_seconds(timed: Runner, clock: FakeClock) -> None:
    """A test sets the duration of work by moving the clock."""

    async def long(n: int) -> int:
        clock.move(60)
        return n + 1

    graph = one(long)
    graph.edges.pop()
    graph.add_edge("work", END, when=value("n") >= 9)
    graph.add_edge("work", "work")
    result = await timed.start(graph, limits=Limits(seconds=150)).result()
    assert (result.status, result.state.n, result.elapsed_seconds) == ("stopped", 3, 180.0)


async def test_runs_of_one_runner_sleep_in_parallel(timed: Runner, clock: FakeClock) -> None:
    """Twenty runs with different times are each done when their own has come, in order."""
    done: list[int] = []

    async def patient(n: int, ctx: Context) -> int:
        await ctx.sleep_until(1000.0 + n * 3600)
        done.append(n)
        assert clock.now() >= 1000.0 + n * 3600
        return n

    graph = one(patient)
    runs = [timed.start(graph, {"n": n}) for n in reversed(range(1, 21))]
    async with asyncio.timeout(SOON):
        await asyncio.gather(*(run.result() for run in runs))
    assert done == list(range(1, 21))


async def test_a_foreign_thread_does_not_hold_back_the_clock() -> None:
    """A thread that never works for an event loop is not waited for."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait, daemon=True)
    thread.start()
    async with asyncio.timeout(SOON):
        await FakeClock(start=0.0).sleep_until(9.0)
    over.set()
    thread.join()


@pytest.mark.parametrize(("jump", "slices"), [(3600.0, [30.0]), (-45.0, [30.0, 30.0, 30.0, 15.0]), (0.0, [30.0, 30.0])])
async def test_the_machines_clock_may_be_set_while_a_run_sleeps(
    monkeypatch: pytest.MonkeyPatch, jump: float, slices: list[float]
) -> None:
    """A sleep of a minute ends when the clock says so, even if it was set, or the machine slept, meanwhile."""
    now = [1000.0]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        now[0] += seconds + (jump if not slept else 0.0)
        slept.append(seconds)

    monkeypatch.setattr("graphengine.runner.clock.time.time", lambda: now[0])
    monkeypatch.setattr("graphengine.runner.clock.asyncio.sleep", sleep)
    await SystemClock().sleep_until(1060.0)
    assert slept == slices


async def test_several_clocks_of_one_event_loop_jump_independently() -> None:
    """No clock takes the checks of the others for work that is still to be done."""
    clocks = [FakeClock(start=0.0) for _ in range(3)]

    async with asyncio.timeout(30):
        for _ in range(2):
            await asyncio.gather(*(clock.sleep_until(clock.now() + 60 * n) for n, clock in enumerate(clocks, start=1)))

    assert [clock.now() for clock in clocks] == [120.0, 240.0, 360.0]


async def test_a_pool_that_was_closed_does_not_hold_back_the_clock() -> None:
    """A thread that ended has a mark in its queue, and the system gives its number to a new thread."""
    ended: list[threading.Thread] = []
    clock = FakeClock(0.0)
    while clock.now() < 60:
        with ThreadPoolExecutor(1) as pool:
            thread = pool.submit(threading.current_thread).result()
            if thread.ident in {each.ident for each in ended}:
                async with asyncio.timeout(20):
                    await clock.sleep_until(60)
        ended.append(thread)
        assert len(ended) < 1000, "otherwise this test shows nothing"
    assert clock.now() == 60


def test_a_thread_between_two_calls_counts_as_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython can return another object than a frame for a thread that runs meanwhile; the clock looks again."""
    with ThreadPoolExecutor(1) as pool:
        ident = pool.submit(threading.get_ident).result()
        torn = SimpleNamespace(f_globals={}, f_back=test_a_thread_between_two_calls_counts_as_at_work.__code__)
        monkeypatch.setattr(sys, "_current_frames", lambda: {ident: torn})
        assert True in clocks._threads()  # noqa: SLF001


@pytest.mark.parametrize("collects", [True, False])
def test_no_garbage_is_collected_while_threads_are_seen(monkeypatch: pytest.MonkeyPatch, *, collects: bool) -> None:
    """CPython before 3.11.9 can wait for ever then (gh-106883)."""
    seen: list[bool] = []

    def frames() -> dict[int, object]:
        seen.append(gc.isenabled())
        return {}

    monkeypatch.setattr(sys, "_current_frames", frames)
    was = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        frames_of_threads()
        assert (seen, gc.isenabled()) == ([False], collects)
    finally:
        (gc.enable if was else gc.disable)()
