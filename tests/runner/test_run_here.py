"""`graph.run` in memory: the caller's asyncio task drives the run."""

import asyncio
import contextlib
import itertools
import time
from contextvars import ContextVar, copy_context
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph
from graphengine.calls.contexts import in_context
from graphengine.runner import turns

SEEN: ContextVar[str] = ContextVar("SEEN", default="unset")


class State(BaseModel):
    n: int = 0
    text: str = ""


def of(function: Any, writes: str = "n") -> Graph[State]:
    """Return a graph of one node."""
    graph = Graph("here", State)
    graph.add_node("node", function, writes=writes)
    graph.add_path(START, "node", END)
    return graph


async def test_a_run_in_memory_has_no_asyncio_task_of_its_own() -> None:
    """Its node runs in the caller's task, also after it has suspended."""
    seen: list[asyncio.Task[Any] | None] = []

    async def work() -> int:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        return 1

    assert (await of(work).run()).state.n == 1
    assert seen == [asyncio.current_task()] * 2


async def test_what_a_node_sets_in_its_context_stays_in_the_run() -> None:
    """The caller's context variables are seen by the node, and those that it sets are not seen by the caller."""

    async def work() -> str:
        before = SEEN.get()
        await asyncio.sleep(0)
        SEEN.set("the node's")
        return before

    SEEN.set("the caller's")
    assert (await of(work, "text").run()).state.text == "the caller's"
    assert SEEN.get() == "the caller's"


async def test_runs_in_a_row_let_other_tasks_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that never suspend do not hold the event loop, although each of them ends before its turn is over."""
    graph, over = Graph("here", State), asyncio.Event()
    graph.add_node("node", lambda: 1, writes="n", thread=False)
    graph.add_path(START, "node", END)
    await graph.run()
    asyncio.get_running_loop().call_soon(over.set)
    passed = itertools.count(time.monotonic(), 0.0002)
    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=lambda: next(passed)))
    for _ in range(50):
        await graph.run()
    assert over.is_set()


async def test_a_cancelled_caller_ends_its_run() -> None:
    """The node is cancelled, and the caller's cancellation is not swallowed."""
    ended: list[type[BaseException]] = []
    began = asyncio.Event()

    async def work() -> int:
        began.set()
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            ended.append(type(error))
            raise
        return 1

    async def caller() -> None:
        await of(work).run()

    task = asyncio.create_task(caller())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [asyncio.CancelledError]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await of(work).run()
    assert not asyncio.current_task().cancelling()  # type: ignore[union-attr]


async def test_a_task_that_was_cancelled_before_can_still_run_a_graph_that_waits() -> None:
    """A node that ends itself to wait differs from the earlier cancellation, as in the clean-up of a cancelled task."""

    async def asks(ctx: Context) -> int:
        return await ctx.ask("n?", int)

    async def caller() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return (await of(asks).run()).status

    task = asyncio.create_task(caller())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "waiting"
    assert (await of(asks).run()).status == "waiting"


async def test_a_coroutine_in_a_context_gets_what_is_thrown() -> None:
    """An exception that its own code handles does not reach the caller; a closed one is closed."""
    seen: list[type[BaseException]] = []

    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            SEEN.set("handled")
            asyncio.current_task().uncancel()  # type: ignore[union-attr]
        try:
            await asyncio.sleep(0)
        except BaseException as error:
            seen.append(type(error))
            raise
        return SEEN.get()

    context = copy_context()
    task: asyncio.Task[str] = asyncio.create_task(_of(in_context(context, work())))
    await asyncio.sleep(0)
    task.cancel()
    assert (await task, context[SEEN], SEEN.get()) == ("handled", "handled", "unset")
    left = _of(in_context(copy_context(), work()))
    left.send(None)
    left.close()
    assert seen == []


async def _of(awaitable: Any) -> Any:
    return await awaitable
