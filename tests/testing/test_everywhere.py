"""The kit works under plain pytest, pytest-asyncio (which runs most of these tests) and anyio."""

import asyncio
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, value
from graphengine.testing import EdgeCoverage, run_node, walk


class Count(BaseModel):
    n: int = 0


def counting() -> Graph[Count]:
    """Count to three."""

    async def more(n: int, ctx: Context) -> int:
        await ctx.sleep(3600)
        return n + int(await ctx.ask("How many?", int))

    graph = Graph("count", Count)
    graph.add_node("more", more, writes="n")
    graph.add_edge(START, "more")
    graph.add_edge("more", END, when=value("n") >= 3)
    graph.add_edge("more", "more")
    return graph


async def both() -> None:
    """A node that parks twice, and a walk."""
    graph = counting()
    with EdgeCoverage(graph) as coverage:
        done = await run_node(graph, "more", {"n": 1}, answers=[2])
        assert done.update == {"n": 3}
        (await walk(graph, {"more": [{"n": 1}, {"n": 3}]})).assert_path("more more END")
    assert coverage.percent == 100.0


def by_asyncio() -> None:
    """Run as a script does."""
    asyncio.run(both())


def by_anyio() -> None:
    """Run on asyncio as anyio's plugin does."""
    anyio.run(both)


def by_a_runner() -> None:
    """Run as a test without a plugin does."""
    with asyncio.Runner() as runner:
        runner.run(both())
        runner.run(both())


@pytest.mark.parametrize("run", [by_asyncio, by_anyio, by_a_runner])
def test_a_plain_test_can_run_nodes_and_walks(run: Callable[[], object]) -> None:
    """A plain test runs nodes by asyncio.run, by an asyncio Runner twice, and by anyio; nothing is left open."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run()


async def test_a_node_can_use_a_cancel_scope() -> None:
    """Ending its attempt inside cancels nothing outside."""
    async with anyio.create_task_group() as group:
        group.start_soon(both)
        with anyio.fail_after(30):
            await both()
    current = asyncio.current_task()
    assert current is not None
    assert not current.cancelling()


async def test_nodes_can_run_concurrently() -> None:
    """Each has its own state, models and clock."""
    calls: list[Coroutine[Any, Any, Any]] = [run_node(counting(), "more", {"n": n}, answers=[1]) for n in range(20)]
    found = await asyncio.gather(*calls)

    assert [done.update["n"] for done in found] == [*range(1, 21)]
