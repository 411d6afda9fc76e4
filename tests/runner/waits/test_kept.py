"""Waiting runs over restarts, stops and branches, their cost, and their events."""

import asyncio
import gc
from collections.abc import Awaitable

import pytest

from graphengine import Context, Limits, Runner, ask, iterations
from graphengine.engine.snapshot import Snapshot
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner.run_events import StepRecorded
from graphengine.stores.base import Append
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import SOON, WEEK, repeated
from tests.kit.waiting import State, forked, path, waiting

# -- restarts, other runners, stops, branches


class Slow(InMemoryStore):
    """A store in which it takes a while until a run waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits, self.go = asyncio.Event(), asyncio.Event()

    def append(self, batch: Append) -> Awaitable[None] | None:  # type: ignore[override]
        """Hold the append that records that a run waits."""
        super().append(batch)
        return self._held() if batch.status == "waiting" else None

    async def _held(self) -> None:
        self.waits.set()
        await self.go.wait()


async def test_a_stop_reaches_a_run_that_is_just_being_released() -> None:
    """It is stopped even while the store records that it waits."""

    async def rest(ctx: Context) -> str:
        await ctx.sleep_until(float("inf"))
        return "rested"

    store = Slow()
    async with Runner(store, clock=FakeClock(jumps=False)) as runner, asyncio.timeout(SOON):
        run = runner.start(path(("rest", rest, "word")))
        await store.waits.wait()
        stopping = asyncio.create_task(runner.stop(run.id, "enough"))
        await asyncio.sleep(0)
        store.go.set()
        await stopping
        result = await run.result()
        assert (result.status, result.ending and result.ending.why) == ("stopped", "enough")


class Late(InMemoryStore):
    """A store in which every append takes some turns of the event loop."""

    def append(self, batch: Append) -> Awaitable[None]:  # type: ignore[override]
        """Append now, and confirm later."""
        super().append(batch)
        return turns_later(3)


async def turns_later(turns: int) -> None:
    """Return after this many turns of the event loop."""
    for _ in range(turns):
        await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(12))
async def test_a_run_is_released_whenever_its_last_node_ends(turns: int) -> None:
    """The store can just be recording that another node sleeps: the run then waits for an answer or its time."""

    async def rest(ctx: Context) -> str:
        await ctx.sleep(WEEK)
        return "rested"

    async def work() -> str:
        await turns_later(turns)
        return "worked"

    graph = forked(("rest", rest, "word"), ("work", work, "title"), ("q", ask("Continue?", bool), "ok"))
    async with Runner(Late(), clock=FakeClock(jumps=False)) as runner, asyncio.timeout(SOON):
        result = await runner.start(graph).result()
        assert (result.status, [wait.kind for wait in result.waits]) == ("waiting", ["sleep", "ask"])
        assert (await runner.store.info(result.run_id)).driver is None


# -- the cost and the events of a waiting run


def snapshots() -> list[Snapshot]:
    """Return all snapshots that are alive; other tests can keep some."""
    gc.collect()
    return [found for found in gc.get_objects() if type(found) is Snapshot and found.frames]


async def test_a_waiting_run_holds_nothing(runner: Runner) -> None:
    """No asyncio task of its own and no snapshot remain."""
    graph = path(("q", ask("Well?", str), "word"))
    before = {id(each) for each in snapshots()}
    for _ in range(3):
        await waiting(runner, graph)
    tasks = [task for task in asyncio.all_tasks() if "graphengine run" in task.get_name()]
    assert tasks == []
    assert [found for found in snapshots() if id(found) not in before] == []


async def test_events_end_when_the_run_waits_and_continue_with_the_resume(runner: Runner) -> None:
    """A watcher of the resumed run gets every step from the first, or those after the last one seen."""
    graph = path(("q", ask("Well?", str), "word"))
    run = runner.start(graph)
    async with asyncio.timeout(SOON):
        first = [event.seq async for event in run.events() if isinstance(event, StepRecorded)]
    assert first == [1, 2]
    await runner.answer(run.id, "x")
    again = runner.resume(run.id, graph)
    async with asyncio.timeout(SOON):
        rest = [event async for event in again.events(after=2) if isinstance(event, StepRecorded)]
    assert [event.seq for event in rest] == [3, 4]
    assert [event.step.kind for event in rest] == ["resumed", "node"]


async def test_a_run_can_sleep_again_and_again() -> None:
    """It polls, and no sleep leaves anything on the stack."""

    async def poll(log: list[str], ctx: Context) -> str:
        await ctx.sleep(60)
        return "polled"

    graph = repeated(
        State, poll, "log", iterations("poll") >= 400, name="poller", node="poll", limits=Limits(visits=None)
    )
    async with Runner(clock=FakeClock(start=0.0)) as runner, asyncio.timeout(30):
        result = await runner.start(graph).result()
    assert (result.status, len(result.state.log)) == ("finished", 400)
