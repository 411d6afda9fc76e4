"""Limits that are reached while the rest of a run, or of a graph inside it, only waits; and waits in what failed."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Limits, Retry, RunFailed, Runner
from graphengine.kernel.fake_clock import FakeClock
from graphengine.reducers import append
from tests.kit.runs import SOON


class State(BaseModel):
    log: Annotated[list[str], append] = []


async def sleeps(ctx: Context) -> str:
    """Sleep."""
    await ctx.sleep(60)
    return "slept"


async def sleeps_longer(ctx: Context) -> str:
    """Sleep longer."""
    await ctx.sleep(90)
    return "slept longer"


async def asks(ctx: Context) -> str:
    """Ask a person."""
    return await ctx.ask("Well?")


def arms_of(waits: Callable[..., Any], works: Callable[..., Any], limits: Limits | None) -> Graph[State]:
    """Return a graph of two arms."""
    graph = Graph("arms", State, result="log", limits=limits)
    graph.add_node("waits", waits, writes="log", retry=Retry(2, initial_seconds=60, jitter=0))
    graph.add_node("works", works, writes="log")
    graph.add_node("both")
    graph.add_fork(START, ["waits", "works"], join="both")
    graph.add_edge("waits", "both")
    graph.add_edge("works", "both")
    graph.add_edge("both", END)
    return graph


def graph_of(wait: Callable[..., Any], turns: int, inner: Limits | None) -> Graph[State]:
    """Return two arms, of which one waits, and the other makes a visit after some turns of the event loop.

    With `inner` they are in a graph inside that has these limits.
    """

    async def works() -> str:
        for _ in range(turns):
            await asyncio.sleep(0)
        return "worked"

    graph = arms_of(wait, works, inner)
    if inner is None:
        return graph
    outer = Graph("outer", State)
    outer.add_node("inside", graph, writes={"log": str})
    outer.add_path(START, "inside", END)
    return outer


async def test_a_waiting_run_that_gets_a_lower_limit_stops(timed: Runner, clock: FakeClock) -> None:
    """A resume of a run that waits can set a limit that is reached already: then it waits no longer."""
    graph = graph_of(asks, 30, None)
    result = await timed.start(graph, run_id="r").result()
    assert result.status == "waiting"
    began = clock.now()
    result = await timed.resume("r", graph, limits=Limits(visits=1)).result()
    assert (result.status, clock.now()) == ("stopped", began)
    await timed.answer("r", "yes")
    result = await timed.resume("r", graph, limits=Limits(visits=9)).result()
    assert result.status == "finished"


@pytest.mark.parametrize("other", [asks, sleeps_longer], ids=lambda other: other.__name__)
async def test_a_sleep_in_a_part_that_failed_wakes_nobody(
    timed: Runner, clock: FakeClock, other: Callable[..., Any]
) -> None:
    """While others wait, the run is not due, and is opened only for them."""

    async def works() -> str:
        return "worked"

    inner = arms_of(sleeps, works, Limits(visits=1))
    graph = Graph("outer", State)
    graph.add_node("waits", other, writes="log")
    graph.add_node("inside", inner, writes={"log": str})
    graph.add_node("both")
    graph.add_fork(START, ["waits", "inside"], join="both")
    graph.add_edge("waits", "both")
    graph.add_edge("inside", "both")
    graph.add_edge("both", END)
    began = clock.now()
    async with asyncio.timeout(SOON):
        if other is asks:
            result = await timed.start(graph, run_id="r").result()
            assert [wait.due_at for wait in result.waits] == [None, None]
            assert (await timed.info("r")).due_at is None
            clock.move(100)
            assert not await timed.store.due(clock.now())
            await timed.answer("r", "yes")
        else:
            with pytest.raises(RunFailed, match="reached its limit"):
                await timed.start(graph, run_id="r").result()
            assert clock.now() == began + 90
            kinds = [step.kind for step in await timed.history("r")]
            assert kinds.count("resumed") == 1
