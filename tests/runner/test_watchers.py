"""Watching runs: when a watcher subscribes, and what is left of it."""

import asyncio
import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner
from graphengine.errors import RunIsDriven, RunnerClosed
from graphengine.runner import Emitted, StepRecorded
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import alone, over


class State(BaseModel):
    n: int = 0
    text: str = ""


def one(runnable: Any, writes: str = "n") -> Graph[State]:
    """Return a graph START → a → END."""
    return alone(State, runnable, writes, node="a")


async def test_events_are_kept_from_the_call_on(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not kept only from the first iteration on, so nothing is read."""

    async def work(n: int, ctx: Context) -> int:
        ctx.emit("shown")
        return n + 1

    monkeypatch.setattr(runner.store, "steps", None)
    run = runner.start(one(work))
    events = run.events()
    await run.result()
    assert [event.data async for event in events if isinstance(event, Emitted)] == ["shown"]


async def test_events_that_are_never_read_are_not_collected(runner: Runner) -> None:
    """An iterator that is dropped before its first step leaves no queue that grows."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def work(n: int) -> int:
        entered.set()
        await leave.wait()
        return n + 1

    run: Any = runner.start(one(work))
    run.events()
    await entered.wait()
    gc.collect()
    assert run._life.audience.watchers == []  # noqa: SLF001 - not public
    leave.set()
    await run.result()


async def test_the_events_of_a_driven_run_raise_at_once(database: Path | str) -> None:
    """They do so here and in another process, instead of ending at once as if nothing had happened."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def work(n: int) -> int:
        entered.set()
        await leave.wait()
        return n + 1

    graph = one(work)
    async with Runner(database) as runner, Runner(database) as other:
        run = runner.start(graph, run_id="r")
        await entered.wait()
        for each in (runner, other):
            with pytest.raises(RunIsDriven):
                await anext(each.resume("r", graph).events())
        leave.set()
        await run.result()


async def test_the_events_of_a_run_that_was_never_recorded_raise() -> None:
    """The events of a run raise an error if its Runner was closed before the run was recorded."""
    async with Runner() as runner:
        run = runner.start(one(lambda n: n))
    with pytest.raises(RunnerClosed):
        await anext(run.events())


async def test_cancelling_a_sleeping_run_anywhere_leaves_no_task() -> None:
    """Cancelled at each await of the store while it begins to sleep, and while it sleeps, it ends all its tasks."""

    class Slow(InMemoryStore):
        """A shared store whose reads each take a turn of the event loop, and can be cancelled there."""

        shared = True
        reads = 0
        stop_at = 0
        run: Any = None

        async def _read(self) -> None:
            self.reads += 1
            if self.reads == self.stop_at:
                self.run._life.task.cancel()  # noqa: SLF001 - not public
            await asyncio.sleep(0)

        async def info(self, run_id: str) -> Any:
            await self._read()
            return await super().info(run_id)

        async def inbox(self, run_ids: Sequence[str]) -> Any:
            await self._read()
            return await super().inbox(run_ids)

        async def change_token(self) -> str:
            await self._read()
            return await super().change_token()

    async def nap(ctx: Context) -> int:
        await ctx.sleep(3600)
        return 1

    before = asyncio.all_tasks()
    for stop_at in range(1, 4):
        store = Slow()
        store.stop_at = stop_at
        async with Runner(store) as runner:
            store.run = run = runner.start(one(nap))
            async for _ in run.events():
                pass
            await over(run)
            left = asyncio.all_tasks() - before
            names = {task.get_name() for task in left}
            assert names <= {"graphengine inbox", "graphengine sleepers"}, stop_at
        assert asyncio.all_tasks() == before


async def test_a_watcher_gets_steps_of_parallel_nodes_in_order() -> None:
    """A node whose step ends the run's turn shows it before another node records its work."""

    async def work(n: int, ctx: Context) -> None:
        for number in range(len(ctx.node)):
            await ctx.call(count, number)

    async def count(number: int) -> int:
        await asyncio.sleep(0)
        return number

    graph = Graph("g", State)
    names = ["a" * length for length in range(1, 9)]
    for name in names:
        graph.add_node(name, work, writes=[])
        graph.add_edge(name, "d")
    graph.add_fork(START, names, join="d")
    graph.add_node("d", lambda: None)
    graph.add_path("d", END)
    async with Runner() as runner:
        run = runner.start(graph)
        seen = [event.seq async for event in run.events() if isinstance(event, StepRecorded)]
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) == 47  # 1 + 36 of work + 8 + 2
