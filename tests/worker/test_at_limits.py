"""Limits that are reached while the rest of a run, or of a graph inside it, only waits; and waits in what failed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from graphengine import END, START, Context, Graph, Limits, RunFailed, Runner
from graphengine.kernel.fake_clock import FakeClock
from tests.kit.runs import SOON
from tests.runner.waits.test_at_limits import State, asks, graph_of, sleeps


async def asks_in_time(ctx: Context) -> str:
    """Ask a person, who may not answer."""
    return await ctx.ask("Well?", timeout_seconds=60, default="nothing")


async def receives(ctx: Context) -> str:
    """Receive a message."""
    return await ctx.receive("news", str)


async def receives_in_time(ctx: Context) -> str:
    """Receive a message, which may not come."""
    return await ctx.receive("news", str, timeout_seconds=60, default="nothing")


async def starts(ctx: Context) -> str:
    """Wait for a run that waits."""
    child = Graph("child", State)
    child.add_node("sleeps", sleeps, writes="log")
    child.add_path(START, "sleeps", END)
    return (await (await ctx.start(child)).result()).state.log[0]


async def fails_once(ctx: Context) -> str:
    """Fail at first, and pause."""
    if ctx.attempt == 1:
        raise OSError
    return "tried again"


async def nothing() -> str:
    """Stand behind a pause."""
    return "passed"


WAITS = (sleeps, asks, asks_in_time, receives, receives_in_time, starts, fails_once, nothing)


@pytest.mark.parametrize("turns", [0, 30], ids=["limit_first", "wait_first"])
@pytest.mark.parametrize("wait", WAITS, ids=lambda wait: wait.__name__)
async def test_a_run_at_its_limit_waits_for_nothing(
    timed: Runner, clock: FakeClock, wait: Callable[..., Any], turns: int
) -> None:
    """It stops at once, with its limit, and stays so; with a higher one it waits again, and comes to its end."""
    graph, began = graph_of(wait, turns, None), clock.now()
    pauses = ["waits"] if wait is nothing else []
    async with asyncio.timeout(SOON):
        result = await timed.start(graph, limits=Limits(visits=1), pause_before=pauses, run_id="r").result()
        assert (result.status, result.ending and result.ending.why) == ("stopped", "visits 1 >= 1")
        assert clock.now() == began
        clock.move(100)
        await asyncio.sleep(0)
        seq = (await timed.info("r")).seq
        assert seq == len(await timed.history("r"))
        run = timed.resume("r", graph, limits=Limits(visits=9))
        if wait is asks:
            await timed.answer("r", "yes")
        if wait is receives:
            await timed.send("r", "news", "yes")
        result = await run.result()
        while result.status == "waiting":
            if wait is nothing:
                await timed.answer("r", value=True)
            result = await timed.resume("r", graph).result()
    assert (result.status, len(result.state.log)) == ("finished", 2)


@pytest.mark.parametrize("turns", [0, 30], ids=["limit_first", "wait_first"])
@pytest.mark.parametrize("wait", WAITS[:-1], ids=lambda wait: wait.__name__)
async def test_a_graph_inside_at_its_limit_waits_for_nothing(
    timed: Runner, clock: FakeClock, wait: Callable[..., Any], turns: int
) -> None:
    """Its node fails at once; in a graph with a higher limit it waits again, and comes to its end."""
    began = clock.now()
    async with asyncio.timeout(SOON):
        with pytest.raises(RunFailed, match="the inner graph 'arms' reached its limit: visits 1 >= 1"):
            await timed.start(graph_of(wait, turns, Limits(visits=1)), run_id="r").result()
        assert clock.now() == began
        clock.move(100)
        graph = graph_of(wait, turns, Limits(visits=9))
        run = timed.resume("r", graph)
        if wait is asks:
            await timed.answer("r", "yes")
        if wait is receives:
            await timed.send("r", "news", "yes")
        result = await run.result()
        while result.status == "waiting":
            result = await timed.resume("r", graph).result()
    assert result.status == "finished"
