"""A stop while calls wait for a budget; `sessions/spent.txt` shows which calls limits let begin."""

from __future__ import annotations

import asyncio

from graphengine import Agent, Limits, Runner, ScriptedModel
from graphengine.models import Request, Response
from tests.agents.run_kits import one, paid, within

MANY = [str(number) for number in range(50)]


async def test_a_stop_ends_calls_that_wait_for_a_budget() -> None:
    """They begin when the run is resumed."""
    graph = one(Agent("writer", prompt="{item}"), "drafts", each={"item": "items"}, concurrency=50)
    begun, gate = asyncio.Event(), asyncio.Event()

    async def held(_: Request) -> Response:
        begun.set()
        await gate.wait()
        return paid("ok", cost_usd=0.01)

    async with Runner(models={"writer": ScriptedModel(held)}) as runner:
        run = runner.start(graph, {"items": MANY}, limits=Limits(cost_usd=10))
        await begun.wait()
        stopping = asyncio.create_task(runner.stop(run.id))
        for _ in range(10):
            await asyncio.sleep(0)
        gate.set()
        await stopping
        stopped = await within(run)
        assert (stopped.status, stopped.usage.calls) == ("stopped", 1)
        done = await within(runner.resume(run.id, graph))
    assert (len(done.state.drafts), done.usage.calls) == (50, 50)
