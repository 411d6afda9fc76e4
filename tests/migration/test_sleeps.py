"""A sleep that is open while the code of its node changes: it is continued only by a sleep for the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner
from graphengine.testing import FakeClock

Node = Callable[[Context], Awaitable[str]]
HOUR, MINUTE = 3600, 60
OVER: list[tuple[str, float]] = []
"""The sleeps that have ended, each with the time."""


class Night(BaseModel):
    got: str = ""


@pytest.fixture(autouse=True)
def awake() -> None:
    """Begin each test without a sleep."""
    OVER.clear()


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that only the test moves."""
    return FakeClock(start=1000.0, jumps=False)


def graph_of(node: Node) -> Graph[Night]:
    """Return the graph with this function as the code of its one node."""
    made = Graph("night", Night)
    made.add_node("rest", node, writes="got")
    made.add_path(START, "rest", END)
    return made


async def an_hour(ctx: Context) -> str:
    """Sleep for an hour."""
    await ctx.sleep(HOUR)
    OVER.append(("hour", ctx.now()))
    return "rested"


async def a_minute_first(ctx: Context) -> str:
    """Sleep for a minute before the hour."""
    await ctx.sleep(MINUTE)
    OVER.append(("minute", ctx.now()))
    return await an_hour(ctx)


async def a_minute_last(ctx: Context) -> str:
    """Sleep for a minute after the hour."""
    said = await an_hour(ctx)
    await ctx.sleep(MINUTE)
    OVER.append(("minute", ctx.now()))
    return said


async def two_hours(ctx: Context) -> str:
    """Sleep for an hour twice: only one of them is the hour that was open."""
    await an_hour(ctx)
    return await an_hour(ctx)


def nap_or_rest(*, naps: bool) -> Node:
    """Return one function for two deployments, which differ only by a value that the function names."""

    async def rest(ctx: Context) -> str:
        if naps:
            await ctx.sleep(MINUTE)
            OVER.append(("minute", ctx.now()))
        return await an_hour(ctx)

    return rest


async def until_it_ends(runner: Runner, clock: FakeClock, node: Node) -> Any:
    """Resume a run each half minute until it is over."""
    result = await runner.resume("x", graph_of(node), wait_out=False).result()
    while result.status == "waiting":
        clock.move(MINUTE / 2)
        result = await runner.resume("x", graph_of(node), wait_out=False).result()
    return result


def times() -> list[tuple[str, float]]:
    """Return when each sleep ended first, in seconds since the run began: a node that sleeps again repeats the rest."""
    return [*dict(reversed(OVER)).items()][::-1]


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        (an_hour, a_minute_first, [("minute", 90), ("hour", HOUR)]),
        (nap_or_rest(naps=False), nap_or_rest(naps=True), [("minute", 90), ("hour", HOUR)]),
        (an_hour, a_minute_last, [("hour", HOUR), ("minute", HOUR + MINUTE)]),
        (a_minute_first, an_hour, [("hour", HOUR + 30)]),
        (an_hour, an_hour, [("hour", HOUR)]),
    ],
)
async def test_an_open_sleep_is_continued_by_an_equal_one(
    timed: Runner, clock: FakeClock, before: Node, after: Node, ends: list[tuple[str, float]]
) -> None:
    """An inserted, moved or removed sleep lasts as long as its code says, and the open one ends when it would have."""
    began = clock.now()
    await timed.start(graph_of(before), run_id="x", wait_out=False).result()
    clock.move(30)
    result = await until_it_ends(timed, clock, after)
    assert result.status == "finished"
    assert [(said, at - began) for said, at in times()] == ends


async def test_an_hour_is_continued_once(timed: Runner, clock: FakeClock) -> None:
    """Code that sleeps for the same time twice continues the open sleep with the first, and begins the second anew."""
    began = clock.now()
    await timed.start(graph_of(an_hour), run_id="x", wait_out=False).result()
    clock.move(30)
    await until_it_ends(timed, clock, two_hours)
    assert {at - began for _, at in OVER} == {HOUR, 2 * HOUR}


async def test_a_second_deployment_keeps_the_first_sleep(timed: Runner, clock: FakeClock) -> None:
    """The hour is still known after a minute was inserted and taken out again."""
    began = clock.now()
    await timed.start(graph_of(an_hour), run_id="x", wait_out=False).result()
    clock.move(30)
    await timed.resume("x", graph_of(a_minute_first), wait_out=False).result()
    await until_it_ends(timed, clock, an_hour)
    assert [(said, at - began) for said, at in times()] == [("hour", HOUR)]


async def test_an_answer_reaches_a_question_beside_a_sleep(timed: Runner, clock: FakeClock) -> None:
    """A node that runs again because it slept takes the answer to the question that was open beside the sleep."""

    async def asks_beside(ctx: Context) -> str:
        said, _ = await asyncio.gather(ctx.ask("Name?"), ctx.sleep(HOUR))
        return str(said)

    async def asks_beside_a_minute(ctx: Context) -> str:
        said, _ = await asyncio.gather(ctx.ask("Name?"), ctx.sleep(MINUTE))
        return str(said)

    first = await timed.start(graph_of(asks_beside), run_id="x", wait_out=False).result()
    (question,) = [wait for wait in first.waits if wait.kind == "ask"]
    clock.move(30)
    await timed.answer("x", "Ada", wait=question.id)
    await timed.resume("x", graph_of(asks_beside_a_minute), wait_out=False).result()
    clock.move(MINUTE)
    result = await timed.resume("x", graph_of(asks_beside_a_minute), wait_out=False).result()
    assert (result.status, result.state.got) == ("finished", "Ada")


class Nights(BaseModel):
    rooms: list[int] = [1, 2, 3]
    done: list[str] = []


async def test_items_of_a_map_that_sleep_go_on_under_changed_code(timed: Runner, clock: FakeClock) -> None:
    """The items run again in their slots, and each open sleep ends when it would have."""

    def rooms(*, twice: bool) -> Graph[Nights]:
        async def rest(room: int, ctx: Context) -> str:
            await ctx.sleep(MINUTE)
            if twice:
                await ctx.sleep(MINUTE)
            return f"{room} at {ctx.now():.0f}"

        made = Graph("nights", Nights)
        made.add_node("rest", rest, each={"room": "rooms"}, concurrency=1, writes="done")
        made.add_path(START, "rest", END)
        return made

    began = clock.now()
    await timed.start(rooms(twice=False), run_id="x", wait_out=False).result()
    clock.move(30)
    result = await timed.resume("x", rooms(twice=True), wait_out=False).result()
    while result.status == "waiting":
        clock.move(30)
        result = await timed.resume("x", rooms(twice=True), wait_out=False).result()
    assert (result.status, result.state.done) == ("finished", [f"{room} at {began + 120:.0f}" for room in (1, 2, 3)])
