"""Items of a map that wait: they give their slots up, take turns, and are bounded by `max_open`, over restarts too."""

import asyncio
from typing import Any

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry, Runner, ask
from graphengine.kernel.fake_clock import FakeClock
from tests.kit.runs import SOON, alone
from tests.kit.waiting import names


class State(BaseModel):
    numbers: list[int] = list(range(6))
    found: list[int] = []


def mapped(work: Any, **options: Any) -> Graph[State]:
    """Return a graph of one map."""
    return alone(State, work, "found", each={"n": "numbers"}, name="map", **options)


async def asks(n: int, ctx: Context) -> int:
    """Ask for a number."""
    return await ctx.ask(f"{n}?", int)


# -- what gives a slot up, and what keeps it


async def test_sleeping_items_hold_no_slot(timed: Runner, clock: FakeClock) -> None:
    """All items sleep at the same time, whatever the concurrency."""

    async def sleep(n: int, ctx: Context) -> int:
        await ctx.sleep(10)
        return n

    began = clock.now()
    result = await timed.start(mapped(sleep, concurrency=2)).result()
    assert (result.state.found, clock.now() - began) == (list(range(6)), 10)


async def test_every_question_of_a_map_is_open(runner: Runner) -> None:
    """As many as `max_open` allows: 1,000 if it says nothing."""
    result = await runner.start(mapped(asks), {"numbers": list(range(1_005))}, run_id="all").result()
    assert len(result.waits) == 1_000
    result = await runner.start(mapped(ask("{n}?", int), concurrency=1, max_open=3), run_id="three").result()
    assert names(result.waits) == ["work[0]", "work[1]", "work[2]"]


async def test_one_question_at_a_time(runner: Runner) -> None:
    """With max_open=1 the next item begins when the one before has ended."""
    graph = mapped(asks, max_open=1)
    result = await runner.start(graph, run_id="r").result()
    for number in range(6):
        assert names(result.waits) == [f"work[{number}]"]
        await runner.answer("r", number)
        result = await runner.resume("r", graph).result()
    assert result.state.found == list(range(6))


async def test_items_can_wait_for_messages_of_each_other(runner: Runner) -> None:
    """Item after item, with one slot: each tells the next that it is there, and waits for the one before."""

    class Inner(BaseModel):
        n: int = 0
        told: int = 0

    async def tells(n: int, ctx: Context) -> int:
        ctx.send(f"to {(n + 1) % 6}", n)
        return n

    async def listens(n: int, ctx: Context) -> int:
        return await ctx.receive(f"to {n}", int)

    inner = Graph("inner", Inner, result="told")
    inner.add_node("tells", tells, writes="n")
    inner.add_node("listens", listens, writes="told")
    inner.add_path(START, "tells", "listens", END)
    async with asyncio.timeout(SOON):
        result = await runner.start(mapped(inner, concurrency=1)).result()
    assert result.state.found == [5, 0, 1, 2, 3, 4]


async def test_a_pause_of_a_retry_keeps_its_slot(timed: Runner, clock: FakeClock) -> None:
    """While a service is down, no more items fail at it than run at a time."""
    began = clock.now()
    failed: list[int] = []

    async def work(n: int) -> int:
        if clock.now() < began + 10:
            failed.append(n)
            raise OSError("down")
        return n

    retry = Retry(attempts=2, initial_seconds=10, jitter=0, on=(OSError,))
    result = await timed.start(mapped(work, concurrency=2, retry=retry)).result()
    assert (sorted(failed), result.state.found) == ([0, 1], list(range(6)))


# -- random programs, over restarts
