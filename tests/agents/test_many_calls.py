"""Many tool calls in one turn: a limited number at a time, each with its own idempotency key."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from graphengine import Agent, Context, RunFailed, Runner, ScriptedModel, tool
from graphengine.agents.conversation import CALLS_AT_ONCE
from graphengine.errors import EffectUnknown
from graphengine.models.scripted import calls
from tests.agents.run_kits import AGAIN, one, within

MANY = 20 * CALLS_AT_ONCE


def writer(*tools: object) -> Agent[str]:
    """Return an agent with these tools."""
    return Agent("writer", prompt="{task}", tools=tools)  # type: ignore[arg-type]


async def test_the_calls_of_a_turn_are_made_so_many_at_a_time() -> None:
    """Their results are in the order of the calls."""
    under_way = most = 0

    async def look(n: int) -> int:
        """Look at something."""
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001 * (n % 3))
        under_way -= 1
        return n

    model = ScriptedModel([calls(*(("look", {"n": n}) for n in range(MANY))), "done"])
    async with Runner(models={"writer": model}) as runner:
        await runner.start(one(writer(look))).result()
    assert most == CALLS_AT_ONCE
    assert [message.text for message in model.requests[1].messages[2:]] == [str(n) for n in range(MANY)]


async def test_a_call_that_ends_the_attempt_starts_no_more_calls() -> None:
    """An error that ends the run is raised once the calls in flight have ended."""
    begun: list[int] = []

    async def look(n: int) -> int:
        """Look at something."""
        begun.append(n)
        await asyncio.sleep(0)
        if n == 1:
            raise EffectUnknown("it is gone")
        return n

    model = ScriptedModel([calls(*(("look", {"n": n}) for n in range(MANY))), "done"])
    async with Runner(models={"writer": model}) as runner:
        with pytest.raises(RunFailed, match="it is gone"):
            await runner.start(one(writer(look))).result()
    assert len(begun) <= 2 * CALLS_AT_ONCE


async def test_each_call_of_a_tool_has_an_idempotency_key_of_its_own() -> None:
    """Equal calls have different keys, in one turn and in several; outside of tools the visit's key is unchanged."""
    keys: list[str] = []

    async def pay(amount: int, ctx: Context) -> str:
        """Pay."""
        keys.append(ctx.idempotency_key)
        return await ctx.call(lambda: ctx.idempotency_key.rpartition("/")[2], key="inside")

    async def write(ctx: Context, task: str) -> str:
        before = ctx.idempotency_key
        await agent.run(task=task)
        assert ctx.idempotency_key == before == f"{ctx.run_id}/work:1"
        return "done"

    agent = writer(pay)
    script = [calls(("pay", {"amount": 1}), ("pay", {"amount": 1}), ("pay", {"amount": 2})),
              calls(("pay", {"amount": 1})), "done"]  # fmt: skip
    model = ScriptedModel(script)
    async with Runner(models={"writer": model}) as runner:
        await within(runner.start(one(write), run_id="mine"))
    assert len(set(keys)) == 4
    assert all(key.startswith("mine/work:1/pay:") for key in keys)
    results = [message.text for message in model.requests[2].messages if message.role == "tool"]
    assert results == [key.rpartition("/")[2] for key in keys]


async def test_a_call_that_is_made_again_has_its_key_again(tmp_path: Path) -> None:
    """A repeated call has the same key in another process, and after a failed attempt."""
    keys: list[str] = []
    reached = asyncio.Event()

    async def pay(amount: int, ctx: Context) -> str:
        """Pay."""
        keys.append(ctx.idempotency_key)
        reached.set()
        if len(keys) == 1:
            await asyncio.Event().wait()
        return "paid"

    async def write(ctx: Context, task: str) -> str:
        await agent.run(task=task)
        if len(keys) == 2:
            raise ValueError
        return "done"

    agent = writer(pay)
    graph = one(write, retry=replace(AGAIN, afresh=True))
    wanted = calls(("pay", {"amount": 1}))
    async with Runner(tmp_path / "runs.db", models={"writer": ScriptedModel([wanted])}) as runner:
        run = runner.start(graph)
        await reached.wait()
    async with Runner(tmp_path / "runs.db", models={"writer": ScriptedModel(["hm", wanted, "done"])}) as runner:
        await within(runner.resume(run.id, graph))
    assert len(keys) == 3
    assert len(set(keys)) == 1


@pytest.mark.parametrize("effect", [None, "read"])
@pytest.mark.parametrize("more", [{}, {"idempotency_key": "k"}])
async def test_a_key_that_the_model_gives_makes_no_call_without_approval(
    effect: Literal["read"] | None, more: dict[str, str]
) -> None:
    """Without an effect the model gives it: a call that lacks it is not made, another one is approved first."""
    paid: list[tuple[int, str]] = []

    def pay(amount: int, idempotency_key: str) -> str:
        """Pay."""
        paid.append((amount, idempotency_key))
        return "paid"

    agent = writer(tool(pay, approve=True, effect=effect))
    model = ScriptedModel([calls(("pay", {"amount": 1, **more})), "done"])
    async with Runner(models={"writer": model}) as runner:
        graph = one(agent)
        run = await runner.start(graph, run_id="r").result()
        assert (run.status, paid) == ("waiting" if more else "finished", [])
        if more:
            await runner.answer("r", value=True)
            await runner.resume("r", graph).result()
            assert paid == [(1, "k")]
