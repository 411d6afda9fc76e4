import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Context, RunFailed, Runner
from graphengine.runner.threads import TimeLimit, queued
from tests.kit.runs import SOON, alone, pass_time

LIMIT = 3600.0  # seconds that a call can take


class State(BaseModel):
    items: list[int] = []
    done: list[int] = []
    n: int = 0


def work(item: int = 1) -> int:
    """Return at once."""
    return item


async def exceed_limit() -> None:
    """Let more time pass than a call can take."""
    pass_time(2 * LIMIT)
    for _ in range(2):  # turns of the event loop, in which limits that are over cancel their calls
        await asyncio.sleep(0)


async def wait_for_calls(pool: ThreadPoolExecutor, count: int) -> None:
    """Return when so many calls wait for a thread."""
    while pool._work_queue.qsize() < count:  # noqa: ASYNC110, SLF001 - no event reports it
        await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def one_thread(calls: int) -> AsyncIterator[Runner]:
    """Yield a Runner whose only thread is busy for longer than the limit, while so many calls wait for it."""
    loop, taken, over = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def take() -> int:
        loop.call_soon_threadsafe(taken.set)
        over.wait(SOON)
        return 1

    async def give_back() -> None:
        pool: Any = runner._shared.threads  # noqa: SLF001 - of its nodes
        await wait_for_calls(pool._pool, calls)  # noqa: SLF001
        await exceed_limit()
        over.set()
        await taking.result()

    async with Runner(threads=1) as runner:
        taking = runner.start(alone(State, take, "n"))
        await taken.wait()
        giving = asyncio.create_task(give_back())
        yield runner
        await giving


async def test_items_that_wait_for_a_thread_use_up_no_time() -> None:
    """Each item has its whole time from when its function is called, however long the queue before it."""
    graph = alone(State, work, "done", each={"item": "items"}, concurrency=100, timeout_seconds=LIMIT, name="many")
    items = list(range(100))

    async with one_thread(100) as runner:
        result = await runner.start(graph, {"items": items}).result()

    assert (result.status, result.state.done) == ("finished", items)


async def test_recorded_calls_that_wait_for_a_thread_use_up_no_time_of_their_node() -> None:
    """A node's time does not count while a function passed to `ctx.call` waits for a thread."""

    async def many(ctx: Context) -> int:
        return sum(await asyncio.gather(*(ctx.call(work, item) for item in range(5))))

    async with one_thread(5) as runner:
        result = await runner.start(alone(State, many, "n", timeout_seconds=LIMIT)).result()

    assert (result.status, result.state.n) == ("finished", 10)


async def test_a_function_in_a_thread_is_limited() -> None:
    """The limit counts from the call on: a function that takes longer fails its node."""
    loop, begun, over = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def slow() -> int:
        loop.call_soon_threadsafe(begun.set)
        over.wait(SOON)
        return 1

    async def give_up() -> None:
        await begun.wait()
        await exceed_limit()
        over.set()

    async with Runner(threads=1) as runner:
        ending = asyncio.create_task(give_up())
        with pytest.raises(RunFailed, match="ran longer than"):
            await runner.start(alone(State, slow, "n", timeout_seconds=LIMIT)).result()
        await ending


async def test_cancelling_a_queued_call_restarts_the_time_of_its_node() -> None:
    """The loser of a race never gets its thread, and does not suspend the limit any longer."""
    limit = TimeLimit(0.01)

    async def race() -> None:
        async with limit:
            with queued(work):
                pass
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(race(), SOON)
    assert limit.expired()


async def test_limits_around_a_limit_are_suspended_with_it() -> None:
    """A wait inside suspends all of them; a limit that is over is left alone."""
    async with TimeLimit(LIMIT) as outer, TimeLimit(LIMIT) as inner:
        with queued(work) as wanted:
            await exceed_limit()
            assert await asyncio.to_thread(wanted) == 1
    outer.stand_still()
    outer.count_again()
    assert not inner.expired()
    assert not outer.expired()
