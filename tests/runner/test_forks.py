"""Forks on a real event loop: arms in parallel, cancelled, stopped, closed, resumed, over both stores."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Limits, Retry, RunFailed, Runner
from graphengine.reducers import append
from tests.kit.facts import said
from tests.kit.runs import SOON, failing


class State(BaseModel):
    log: Annotated[list[str], append] = []
    items: list[int] = [1]
    x: int = 0


class Still:
    """A clock that does not move: a wait for a later time never ends."""

    def now(self) -> float:
        return 1000.0

    async def sleep_until(self, when: float) -> None:
        del when
        await asyncio.Event().wait()


def fork(*arms: Callable[..., Any], need: int | None = None, **options: Any) -> Graph[State]:
    """Return a graph of one fork from START; each arm is a function that writes to the log, named after it."""
    graph = Graph("fork", State)
    for arm in arms:
        graph.add_node(arm.__name__, arm, writes="log", **options)
        graph.add_edge(arm.__name__, "merge")
    graph.add_fork(START, [arm.__name__ for arm in arms], join="merge", need=need)
    graph.add_node("merge")
    graph.add_edge("merge", END)
    return graph


async def test_sync_arms_run_in_threads_in_parallel(runner: Runner) -> None:
    """Sync arms run in threads in parallel: three of them meet at a barrier."""
    barrier = threading.Barrier(3, timeout=SOON)

    def a() -> str:
        barrier.wait()
        return "a"

    def b() -> str:
        barrier.wait()
        return "b"

    async def c() -> str:
        await asyncio.to_thread(barrier.wait)
        return "c"

    assert (await runner.start(fork(a, b, c)).result()).state.log == ["a", "b", "c"]


async def test_need_cancels_the_remaining_async_arms(runner: Runner) -> None:
    """They get CancelledError while they work, their writes are dropped, and the step names them."""
    seen: list[str] = []
    begun = asyncio.Event()

    async def quick() -> str:
        await begun.wait()
        return "quick"

    async def slow() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return "slow"

    run = runner.start(fork(quick, slow, need=1))
    async with asyncio.timeout(SOON):
        result = await run.result()
    assert (result.state.log, result.status, seen) == (["quick"], "finished", ["cancelled"])
    joined = [step for step in await runner.history(run.id) if step.kind == "joined"]
    assert said(joined[0])["cancelled"] == ["~slow"]


async def test_a_cancelled_thread_does_not_delay_the_end_of_its_run(runner: Runner) -> None:
    """Its result is dropped. Since a thread cannot be ended, closing the runner waits for it."""
    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    go_on, over = threading.Event(), threading.Event()

    async def quick() -> str:
        await begun.wait()
        return "quick"

    def slow() -> str:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(SOON)
        over.set()
        return "slow"

    run = runner.start(fork(quick, slow, need=1))
    async with asyncio.timeout(SOON):
        result = await run.result()
    assert (result.status, result.state.log, over.is_set()) == ("finished", ["quick"], False)
    assert "slow" not in [step.node for step in await runner.history(run.id)]
    closing = asyncio.create_task(runner.close())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not closing.done()
    go_on.set()
    await closing
    assert over.is_set()


async def test_a_cancelled_arm_begins_no_node_once_enough_have_arrived(runner: Runner) -> None:
    """Two arms end in the same turn of the loop: one arrives, and the other's next node does not begin."""
    begun: list[str] = []
    both = asyncio.Event()

    async def quick() -> str:
        await both.wait()
        return "quick"

    async def other() -> str:
        both.set()
        await asyncio.sleep(0)
        return "other"

    async def late() -> str:
        begun.append("late")
        await asyncio.Event().wait()
        return "late"

    graph = fork(quick, other, need=1)
    graph.add_node("late", late, writes="log")
    graph.edges = [edge for edge in graph.edges if edge.source != "other"]
    graph.add_path("other", "late", "merge")
    async with asyncio.timeout(SOON):
        result = await runner.start(graph).result()
    assert (result.state.log, begun) == (["quick"], [])


async def test_arms_do_not_see_changes_of_each_others_inputs(runner: Runner) -> None:
    """The one that changes a list in place fails; its sibling, which reads the same field and ends first, does not."""
    changed, read = asyncio.Event(), asyncio.Event()

    async def guilty(items: list[int]) -> str:
        items.append(9)
        changed.set()
        await read.wait()
        return "guilty"

    async def innocent(items: list[int]) -> str:
        await changed.wait()
        read.set()
        return f"saw {items}"

    run = runner.start(fork(guilty, innocent))
    broken = await failing(run.result())
    failed = [(s.node, said(s)["error"]["kind"]) for s in await runner.history(run.id) if s.kind == "failed"]
    assert failed == [("guilty", "mutated_input")]
    seen = [step.update[0][2] for step in await runner.history(run.id) if step.kind == "node"]
    assert seen == ["saw [1]"]
    assert broken.state.items == [1]


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_limit_does_not_wait_for_the_next_attempt_of_an_arm(limit: int) -> None:
    """An arm sleeps until its next attempt; when another reaches the limit the run stops, and no attempt is made."""
    calls: list[str] = []

    async def a() -> str:
        calls.append("a")
        raise ValueError

    async def b() -> str:
        calls.append("b")
        await asyncio.sleep(0.002)
        return "b"

    graph = fork(a, b, retry=Retry(attempts=2, initial_seconds=60, jitter=0))
    if limit == 2:
        graph.edges = [edge for edge in graph.edges if edge.source != "b"]
        graph.add_node("b2")
        graph.add_path("b", "b2", "merge")
    async with Runner(clock=Still()) as runner, asyncio.timeout(SOON):
        result = await runner.start(graph, limits=Limits(visits=limit)).result()
        assert (result.status, sorted(calls)) == ("stopped", ["a", "b"])


async def test_a_failed_run_is_over_though_an_arm_sleeps(database: Path | str) -> None:
    """Two of three arms fail where two are needed; the third waits for its next attempt: the store has `failed`."""

    async def a() -> str:
        raise ValueError("a")

    async def b() -> str:
        raise KeyError("b")

    async def c() -> str:
        raise OSError("c")

    graph = fork(b, c, need=2)
    graph.add_node("a", a, writes="log", retry=Retry(attempts=2, initial_seconds=60, jitter=0))
    graph.add_edge("a", "merge")
    graph.edges = [edge for edge in graph.edges if edge.source != START]
    graph.add_fork(START, ["a", "b", "c"], join="merge", need=2)
    async with Runner(database, clock=Still()) as runner, asyncio.timeout(SOON):
        run = runner.start(graph)
        with pytest.raises(RunFailed, match="KeyError"):
            await run.result()
        assert (await runner.store.info(run.id)).status == "failed"
        again = runner.resume(run.id, graph)
        with pytest.raises(RunFailed, match="KeyError"):
            await again.result()


async def test_a_resume_tries_a_failed_arm_while_another_waits(database: Path | str) -> None:
    """This is so if a caller asks for it; a worker that took the run for another reason leaves the arm alone."""
    broken = [True]
    calls: list[int] = []

    async def a() -> str:
        calls.append(len(calls))
        if broken:
            message = "not yet"
            raise ValueError(message)
        return "a"

    async def b(ctx: Context) -> str:
        return await ctx.ask("b?")

    graph = fork(a, b)
    async with Runner(database) as runner:
        waiting = await runner.start(graph, run_id="r").result()
        assert waiting.status == "waiting"
        assert waiting.error is not None
        unasked: Any = runner.resume("r", graph)
        unasked._life.claim.asked = False  # as a worker does  # noqa: SLF001 - not public
        assert (await unasked.result()).seq == waiting.seq
        assert (await runner.resume("r", graph).result()).error is not None
        broken.clear()
        tried = await runner.resume("r", graph).result()
        assert (tried.status, tried.error, len(calls)) == ("waiting", None, 3)
        assert (await runner.resume("r", graph).result()).seq == tried.seq
        await runner.answer("r", "b")
        assert (await runner.resume("r", graph).result()).status == "finished"
    assert len(calls) == 3
