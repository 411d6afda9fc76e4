"""Items of a map that wait: they give their slots up, take turns, and are bounded by `max_open`, over restarts too."""

import asyncio

from graphengine import Context, Graph, Runner, ask
from tests.kit.runs import alone
from tests.runner.waits.test_in_maps import State, mapped


async def test_each_answer_counts_while_their_item_has_no_slot(runner: Runner) -> None:
    """An item asks two things at once; both answers come while a child run keeps the only slot, and both are taken."""
    child = alone(State, ask("How many?", int), {"found": lambda result: [result]}, name="child")

    async def work(n: int, ctx: Context) -> int:
        if n:
            run = await ctx.start(child, run_id="child")
            return (await run.result()).state.found[0]
        return sum(await asyncio.gather(ctx.ask("a?", int), ctx.ask("b?", int)))

    graph = mapped(work, concurrency=1)
    await runner.start(graph, {"numbers": [0, 1]}, run_id="r").result()
    await runner.answer("r", 1, wait="work[0]")
    await runner.answer("r", 2, wait="work[0]#2")
    await runner.resume("r", graph).result()
    await runner.answer("child", 5)
    await runner.resume("child", child).result()
    assert (await runner.resume("r", graph).result()).state.found == [3, 5]


async def test_a_child_that_no_queue_holds_keeps_the_slot_of_its_item(runner: Runner) -> None:
    """A map over children is bounded by its concurrency; children in a queue are bounded by it, and all are started."""
    child = alone(State, ask("How many?", int), {"found": lambda result: [result]}, name="child")

    def graph(queue: str | None) -> Graph[State]:
        async def starts(n: int, ctx: Context) -> int:
            run = await ctx.start(child, {"numbers": [n]}, run_id=f"{queue}-{n}", queue=queue)
            return (await run.result()).state.found[0]

        return mapped(starts, concurrency=2)

    for queue, started in ((None, 2), ("jobs", 6)):
        await runner.start(graph(queue), run_id=f"parent-{queue}").result()
        assert len(await runner.runs(graph="child")) == started + (2 if queue else 0)
