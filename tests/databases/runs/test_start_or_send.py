"""`start_or_send` and `drive`: runs that any process starts, continues and follows."""

from pathlib import Path

from graphengine import Context, Runner
from tests.runner.gates import Gate, one


async def test_start_or_send_continues_a_run_that_another_process_leaves(database: Path | str) -> None:
    """The message was not received there; a Runner that closes while it follows the run has the state so far."""
    gate = Gate()

    async def hear(n: int, ctx: Context) -> int:
        gate.entered.set()
        await gate.leave.wait()
        return n + await ctx.receive("said", int)

    graph = one("listens", hear)
    async with Runner(database) as other:
        async with Runner(database) as runner:
            runner.start(graph, run_id="r")
            await gate.entered.wait()
            async with Runner(database) as third:
                left = await third.start_or_send(graph, "r", "said", 0, idempotency_key="1")
                await left.begun()
            assert (await left.result()).status == "running"
            theirs = await other.start_or_send(graph, "r", "said", 7, idempotency_key="1")
            await theirs.begun()
        gate.leave.set()
        assert (await theirs.result()).state.n == 0
