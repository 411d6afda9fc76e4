"""Trees of child runs: how deep they may get, and how all of one is stopped, also while it grows."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

import pytest
from pydantic import BaseModel

from graphengine import ChildFailed, Context, Limits, Runner
from graphengine.runner import RunFailed
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import SOON, alone


class Level(BaseModel):
    """How deep a run is, how deep its tree gets, and how many runs each starts."""

    n: int = 0
    last: int = 0
    wide: int = 1


async def descend(ctx: Context, n: int, last: int, wide: int) -> int:
    """Start runs one level below and wait for them; ask in the last level."""
    if n == last:
        return int(await ctx.ask("go on?", bool))
    runs = [await ctx.start(deep, {"n": n + 1, "last": last, "wide": wide}) for _ in range(wide)]
    return sum([(await run.result()).state.n for run in runs])


deep = alone(Level, descend, "n", name="deep", node="descend")


async def statuses(runner: Runner) -> dict[str, int]:
    """Return how many runs have each status."""
    return Counter(each.status for each in await runner.store.runs(limit=100_000))


async def until(runner: Runner, holds: Callable[[dict[str, int]], bool]) -> None:
    """Return once it holds for the statuses of the runs, which other processes write too."""
    async with asyncio.timeout(SOON):
        while not holds(await statuses(runner)):  # noqa: ASYNC110 - other processes write it
            await asyncio.sleep(0.05)


async def settled(runner: Runner, **wanted: int) -> None:
    """Return once the runs have these statuses."""
    await until(runner, lambda found: found == wanted)


async def grown(runner: Runner, count: int) -> None:
    """Return once there are this many runs, and all wait."""
    await settled(runner, waiting=count)


async def test_a_long_chain_of_child_runs_is_stopped_and_resumed(runner: Runner) -> None:
    """A stop of the first reaches them all, and a resume of the first resumes them all: 500 in memory."""
    levels = 500 if isinstance(runner.store, InMemoryStore) else 60
    runner.start(deep, {"last": levels}, run_id="top", wait_out=False)
    await grown(runner, levels + 1)
    await runner.stop("top", "enough")
    assert await statuses(runner) == {"stopped": levels + 1}
    last = (await runner.store.runs(limit=1))[0]
    assert (last.depth, last.summary and last.summary.reason) == (levels, "stopped with run top")
    assert [(await runner.info(each)).stop_asked for each in ("top", last.id)] == ["stop", ""]
    runner.resume("top", deep, wait_out=False)
    await grown(runner, levels + 1)
    assert (await runner.info("top")).stop_asked == ""


async def test_many_children_of_one_run_are_stopped(runner: Runner) -> None:
    """A wide tree is stopped as a deep one is: 1,000 in memory."""
    count = 1000 if isinstance(runner.store, InMemoryStore) else 150

    async def many(ctx: Context) -> int:
        kids = [await ctx.start(deep, {"n": number, "last": number}) for number in range(count)]
        return (await kids[0].result()).state.n

    runner.start(alone(Level, many, "n", name="many"), run_id="top", wait_out=False)
    await grown(runner, count + 1)
    await runner.stop("top")
    assert await statuses(runner) == {"stopped": count + 1}


async def test_a_caller_that_resumes_a_run_of_a_stopped_tree_takes_the_stop_back(runner: Runner) -> None:
    """Also one of a run above: the run that is resumed can start others again, and workers continue it."""
    runner.start(deep, {"last": 2}, run_id="top", wait_out=False)
    await grown(runner, 3)
    await runner.stop("top")
    kid = next(each.id for each in await runner.store.runs() if each.depth == 1)
    runner.resume(kid, deep, wait_out=False)
    await settled(runner, stopped=1, waiting=2)
    assert await runner.store.stop_over(kid) is None


async def test_a_tree_gets_as_deep_as_its_first_run_allows(runner: Runner) -> None:
    """`ctx.start` refuses to pass the limit of any run above, by default 1,000; a resume can raise it."""
    run = runner.start(deep, {"last": 4}, run_id="top", limits=Limits(depth=3))
    with pytest.raises(RunFailed, match="too_deep"):
        await run.result()
    infos = await runner.store.runs()
    assert {each.depth for each in infos} == {0, 1, 2, 3}
    lowest = max(infos, key=lambda each: each.depth)
    with pytest.raises(RunFailed) as failed:
        await runner.get(lowest.id, deep).result()
    error = failed.value.result.error
    text = f"run {lowest.id} cannot start a run, which would have 4 runs above it; the limit is 3"
    assert error is not None
    assert (error.kind, error.message) == ("too_deep", text)
    assert Limits().depth == 1000


async def test_a_failed_child_is_a_loss_of_the_run_that_waits_for_it() -> None:
    """It counts in the result and the list, once; a child that was stopped with its parent does not."""

    async def fail(n: int) -> int:
        if n:
            raise ValueError(n)
        return 1

    broken = alone(Level, fail, "n", name="broken")

    async def bear(ctx: Context) -> int:
        kids = [await ctx.start(broken, {"n": n}) for n in (1, 0, 1)]
        found = 0
        for kid in kids:
            try:
                found += (await kid.result()).state.n
            except ChildFailed:
                continue
        return found

    async with Runner(InMemoryStore()) as runner:
        result = await runner.start(alone(Level, bear, "n", name="bears"), run_id="p").result()
        info = await runner.info("p")
    assert (result.state.n, result.losses) == (1, {"failed_children": 2})
    assert info.summary is not None
    assert info.summary.losses == {"failed_children": 2}


async def test_tenants_can_choose_the_same_ids_for_child_runs(runner: Runner) -> None:
    """A run id that a node chooses is one of its tenant: no tenant meets, or learns of, the run of another."""

    async def order(ctx: Context, n: int) -> int:
        await ctx.start(deep, {"n": n, "last": n}, run_id="order-7", topic="told")
        return n

    graph = alone(Level, order, "n", name="orders")
    for number, tenant in enumerate(("acme", "zeta/1")):
        result = await runner.start(graph, {"n": number}, run_id=f"p{number}", tenant=tenant).result()
        assert result.status == "finished"
    found = {each.id: each.tenant for each in await runner.store.runs(graph="deep")}
    assert found == {"acme/order-7": "acme", "zeta%2F1/order-7": "zeta/1"}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Log no errors of runs that are meant to fail."""
    caplog.set_level(logging.CRITICAL, "graphengine.runner")
