"""Final stops: a run that is cancelled has ended, and nothing continues it; branches of it can begin."""

import asyncio

import pytest

from graphengine import ChildFailed, Context, Runner
from graphengine.engine.claim import Stop
from graphengine.errors import RunCancelled
from graphengine.runner import RunFailed, opening
from graphengine.runner.runner import lives_of
from tests.kit.runs import SOON, alone
from tests.runner.test_final_stops import Order, asking, refused


async def test_children_are_cancelled_with_their_parent(runner: Runner) -> None:
    """A final stop reaches the whole tree, and no run of it is resumed by itself."""

    async def parent(ctx: Context) -> int:
        return (await (await ctx.start(asking, run_id="kid")).result()).state.n

    graph = alone(Order, parent, "n", name="parents")
    await runner.start(graph, run_id="p", wait_out=False).result()
    await runner.stop("p", final=True)
    assert [(await runner.info(each)).status for each in ("p", "kid")] == ["cancelled", "cancelled"]
    assert await refused(runner.resume("kid", asking).result()) == [RunCancelled.code]


async def test_a_cancelled_child_is_a_failure_that_no_retry_repairs(runner: Runner) -> None:
    """The parent gets `ChildFailed` at once, also when it is resumed."""

    async def parent(ctx: Context) -> int:
        return (await (await ctx.start(asking, run_id="kid")).result()).state.n

    graph = alone(Order, parent, "n", name="parents")
    await runner.start(graph, run_id="p", wait_out=False).result()
    await runner.stop("kid", "no", final=True)
    for _ in range(2):
        with pytest.raises(RunFailed, match="child run 'kid' was cancelled: no") as failed:
            await asyncio.wait_for(runner.resume("p", graph).result(), SOON)
        error = failed.value.result.error
        assert error is not None
        assert error.kind == ChildFailed.code
    assert (await runner.info("kid")).status == "cancelled"


async def test_a_resume_that_meets_a_final_stop_on_its_way_records_it(runner: Runner) -> None:
    """A run below one that was cancelled, by a process that died before it came to that run, cannot be continued."""

    async def parent(ctx: Context) -> int:
        return (await (await ctx.start(asking, run_id="kid")).result()).state.n

    await runner.start(alone(Order, parent, "n", name="parents"), run_id="p", wait_out=False).result()
    await runner.store.mark_stop("p", "cancel")
    await opening.stop(lives_of(runner).shared, "p", Stop(final=True))
    await runner.answer("kid", 1)
    assert (await runner.resume("kid", asking).result()).status == "cancelled"
