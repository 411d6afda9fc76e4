"""The key of an idempotent tool is recorded before its call begins, so that a deployment does not change it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import create_model

from graphengine import END, START, Agent, Context, Graph, Runner, ScriptedModel, tool
from graphengine.models import calls

PAY_TWICE = (("pay", {"amount": 5}), ("pay", {"amount": 5}))


class Bank:
    """Keeps the key of each payment; as long as it holds, none of them returns."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.begun = asyncio.Event()
        self.holds = True

    async def pay(self, key: str) -> str:
        """Pay."""
        self.asked.append(key)
        self.begun.set()
        if self.holds:
            await asyncio.Event().wait()
        return "paid"


def by_key(bank: Bank) -> Any:
    """Return a tool that takes the key as a parameter."""

    @tool(effect="idempotent")
    async def pay(amount: int, idempotency_key: str) -> str:
        """Pay."""
        return await bank.pay(idempotency_key)

    return pay


def by_context(bank: Bank) -> Any:
    """Return a tool that reads the key from its context."""

    @tool(effect="idempotent")
    async def pay(amount: int, ctx: Context) -> str:
        """Pay."""
        return await bank.pay(ctx.idempotency_key)

    return pay


def without(bank: Bank) -> Any:
    """Return a tool that takes no key."""

    @tool(effect="idempotent")
    async def pay(amount: int) -> str:
        """Pay."""
        return await bank.pay("none")

    return pay


def within(bank: Bank) -> Any:
    """Return a tool that makes an idempotent call."""

    async def send(amount: int, idempotency_key: str) -> str:
        return await bank.pay(idempotency_key)

    @tool
    async def pay(amount: int, ctx: Context) -> str:
        """Pay."""
        return await ctx.call(send, amount, effect="idempotent")

    return pay


def desk(made: Any, *, new: bool = False, script: Any = (("pay", {"amount": 5}),)) -> Graph[Any]:
    """Return a graph whose agent reads an order, of which the model has one field more in the new version."""
    gained: Any = {"note": (str, "")} if new else {}
    order: Any = create_model("Order", id=(int, 7), **gained)
    state: Any = create_model("State", order=(order, order()), said=(str, ""))

    def answer(request: Any) -> Any:
        return "It is paid." if any(message.role == "tool" for message in request.messages) else calls(*script)

    graph: Graph[Any] = Graph("desk", state, result="said")
    clerk = Agent("clerk", model=ScriptedModel(answer), prompt="{order}", tools=[made])
    graph.add_node("serve", clerk, writes="said")
    graph.add_path(START, "serve", END)
    return graph


async def cut_off(runner: Runner, bank: Bank, payments: int = 1) -> None:
    """End the attempt of the run while it makes payments."""
    while len(bank.asked) < payments:
        await bank.begun.wait()
        bank.begun.clear()
    await runner.release("r", now=True)


@pytest.mark.parametrize("way", [by_key, by_context, within])
@pytest.mark.parametrize("new", [True, False], ids=["changed", "unchanged"])
async def test_a_tool_keeps_its_key_over_a_deployment(runner: Runner, way: Callable[[Bank], Any], *, new: bool) -> None:
    """A field that the agent's input gains begins another conversation: its call has the key of the one before."""
    bank = Bank()
    runner.start(desk(way(bank)), run_id="r")
    await cut_off(runner, bank)
    runner.resume("r", desk(way(bank), new=new))
    await cut_off(runner, bank, 2)
    bank.holds = False
    result = await runner.resume("r", desk(way(bank), new=new)).result()
    assert (result.output, len(bank.asked), len({*bank.asked})) == ("It is paid.", 3, 1)


async def test_two_equal_calls_of_a_tool_keep_two_keys(runner: Runner) -> None:
    """Each of the two keys is used again by one call of the conversation that begins under the new version."""
    bank = Bank()
    runner.start(desk(by_key(bank), script=PAY_TWICE), run_id="r")
    await cut_off(runner, bank, 2)
    bank.holds = False
    await runner.resume("r", desk(by_key(bank), new=True, script=PAY_TWICE)).result()
    assert (len({*bank.asked[:2]}), {*bank.asked[:2]}) == (2, {*bank.asked[2:]})


async def test_a_conversation_goes_on_with_the_payment_that_it_began(runner: Runner) -> None:
    """The recorded turn is read, so the model is not asked again, and what it would pay now does not count."""
    bank = Bank()
    runner.start(desk(by_key(bank)), run_id="r")
    await cut_off(runner, bank)
    bank.holds = False
    await runner.resume("r", desk(by_key(bank), new=True, script=[("pay", {"amount": 6})])).result()
    assert len({*bank.asked}) == 1


async def test_no_beginning_is_recorded_of_a_tool_that_may_be_repeated(runner: Runner) -> None:
    """The key of a tool is that of the recorded turn which calls it, so a tool costs no commit more."""
    bank = Bank()
    bank.holds = False
    await runner.start(desk(by_key(bank)), run_id="r").result()
    assert not [step for step in await runner.history("r") if step.kind == "begun"]


async def test_nobody_is_asked_of_a_tool_that_is_gone(runner: Runner) -> None:
    """Only an effect that must not be repeated is unknown; the model is told that there is no such tool."""
    bank = Bank()
    runner.start(desk(by_key(bank)), run_id="r")
    await cut_off(runner, bank)

    @tool
    def other() -> str:
        """Do something else."""
        return ""

    result = await runner.resume("r", desk(other)).result()
    assert (result.status, len(result.waits), len(bank.asked)) == ("finished", 0, 1)
