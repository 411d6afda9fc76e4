"""Which waits of an agent give up the slot of its item in a map, and which keep it."""

import asyncio
from typing import Any

import pytest

from graphengine import Agent, Runner, ScriptedModel, tool
from graphengine.budgets import Budget, Budgets
from graphengine.models import batches
from graphengine.models.scripted import calls
from graphengine.testing import FakeClock
from tests.agents.run_kits import one, paid, within
from tests.agents.test_batches import Provider
from tests.kit.runs import SOON


def mapped(agent: Agent[Any]) -> Any:
    """Return a graph that maps an agent over three items, one at a time."""
    return one(agent, "drafts", each={"item": "items"}, concurrency=1)


async def test_an_approval_gives_the_slot_up() -> None:
    """Every item asks whether its call may be made."""

    def pay(to: str) -> str:
        """Pay someone."""
        return f"paid {to}"

    model = ScriptedModel(lambda request: calls(("pay", {"to": request.prompt})))
    agent = Agent("payer", prompt="{item}", tools=[tool(pay, approve=True)])
    async with Runner(models={"payer": model}) as runner:
        result = await within(runner.start(mapped(agent)))
    assert [wait.kind for wait in result.waits] == ["ask", "ask", "ask"]


async def test_a_batch_gives_the_slot_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the provider has a batch, the next items fill others."""
    monkeypatch.setattr(batches, "MOST_REQUESTS", 1)
    provider = Provider()
    async with Runner(clock=FakeClock(jumps=False)) as runner, asyncio.timeout(SOON):
        runner.start(mapped(Agent("shout", model=provider, prompt="{item}", batch=True)))
        await provider.looked(3)
        while len(provider.submitted) < 3:
            await provider.looked(provider.looks + 1)


async def test_a_spent_budget_keeps_the_slot() -> None:
    """No more items meet it than run at a time, whether they wait for the next day or for a person."""
    for over in ("wait", "ask"):
        model = ScriptedModel(lambda _: paid("done"))
        spent = Budgets(Budget(name="day", cost_usd=0.5, over=over))
        clock = FakeClock(86_400.0 * 20_000, jumps=False)
        agent = Agent("writer", prompt="{item}")
        async with Runner(models={"writer": model}, clock=clock, extensions=[spent]) as runner, asyncio.timeout(SOON):
            runner.start(mapped(agent), run_id="r")
            while not any(info.status == "waiting" for info in await runner.runs()):
                clock.move(1)
                await asyncio.sleep(0)
            assert [wait.name for wait in await runner.waits("r")] == ["work[1]"]


async def test_a_message_to_an_agent_keeps_the_slot() -> None:
    """It is there already, so the agent goes on at once, and no other item begins."""

    async def first(request: object) -> object:
        await runner.send("r", "steer", "Be brief")
        return calls(("look", {}))

    def look() -> str:
        """Look something up."""
        return "facts"

    model = ScriptedModel([first, "a", "b", "c"])
    agent = Agent("writer", prompt="{item}", tools=[look])
    async with Runner(models={"writer": model}) as runner:
        result = await within(runner.start(mapped(agent), run_id="r"))
        steps = await runner.history("r")
    assert result.state.drafts == ["a", "b", "c"]
    frames = [step.frame for step in steps if step.frame]
    assert frames == sorted(frames)
