"""`graph.run` in memory: the caller's asyncio task drives the run."""

import asyncio
import contextlib
from contextvars import ContextVar
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph
from tests.kit.runs import alone

SEEN: ContextVar[str] = ContextVar("SEEN", default="unset")


class State(BaseModel):
    n: int = 0
    text: str = ""


def of(function: Any, writes: str = "n") -> Graph[State]:
    """Return a graph of one node."""
    return alone(State, function, writes, name="here", node="node")


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


async def test_runs_in_a_row_let_other_tasks_move() -> None:
    """Runs that never suspend do not hold the event loop, although each of them ends before its turn is over."""
    graph, over = Graph("here", State), asyncio.Event()
    graph.add_node("node", lambda: 1, writes="n", thread=False)
    graph.add_path(START, "node", END)
    await graph.run()
    asyncio.get_running_loop().call_soon(over.set)
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
