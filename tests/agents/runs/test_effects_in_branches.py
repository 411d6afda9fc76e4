"""A branch of a run whose effect had begun finds out how it ended; what it begins itself has a key of its own."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, NotDone, Once, Runner, ScriptedModel, tool
from graphengine.models import calls


class Order(BaseModel):
    """A state."""

    amount: int = 5
    paid: str = ""


class Bank:
    """A bank that does not refuse a key that it has had; the process ends in each payment of the first two."""

    def __init__(self) -> None:
        self.payments: dict[str, int] = {}
        self.asked: list[str] = []
        self.begun = asyncio.Event()
        self.loses = True

    async def pay(self, amount: int, idempotency_key: str) -> str:
        """Pay, and be cut off; the first request is lost on its way."""
        if not self.loses:
            assert idempotency_key not in self.payments
            self.payments[idempotency_key] = amount
        self.begun.set()
        await asyncio.Event().wait()
        return "never"

    async def found(self, idempotency_key: str) -> str:
        """Return what became of a payment."""
        self.asked.append(idempotency_key)
        if idempotency_key in self.payments:
            return f"paid {self.payments[idempotency_key]}"
        raise NotDone("no such payment")


def by_call(bank: Bank) -> Graph[Order]:
    """Pay in a recorded call."""

    async def work(ctx: Context, amount: int) -> str:
        return await ctx.call(bank.pay, amount, effect=Once(reconcile=bank.found))

    return one(work)


def by_node(bank: Bank) -> Graph[Order]:
    """Pay in a node."""

    async def work(ctx: Context, amount: int) -> str:
        return await bank.pay(amount, ctx.idempotency_key)

    return one(work, effect=Once(reconcile=bank.found))


def by_tool(bank: Bank) -> Graph[Order]:
    """Pay in a tool."""

    @tool(effect=Once(reconcile=bank.found))
    async def pay(amount: int, idempotency_key: str) -> str:
        """Pay."""
        return await bank.pay(amount, idempotency_key)

    def answer(request: Any) -> Any:
        results = [message.text for message in request.messages if message.role == "tool"]
        return results[-1] if results else calls(("pay", {"amount": 5}))

    return one(Agent("clerk", model=ScriptedModel(answer), prompt="Pay.", tools=[pay]))


def one(work: Any, **options: Any) -> Graph[Order]:
    """Return a graph of one node."""
    graph = Graph("orders", Order)
    graph.add_node("work", work, writes="paid", **options)
    graph.add_path(START, "work", END)
    return graph


WAYS = pytest.mark.parametrize("way", [by_call, by_node, by_tool])


async def cut_off(runner: Runner, bank: Bank, run_id: str) -> None:
    """End the run's attempt while it pays."""
    await bank.begun.wait()
    await runner.release(run_id, now=True)
    bank.begun.clear()


@WAYS
async def test_what_had_begun_is_found_out_and_what_a_branch_begins_has_its_own_key(
    way: Callable[[Bank], Graph[Order]], tmp_path: Path
) -> None:
    """1. The run is cut off. 2. So is a branch, which had to begin again. 3. It is resumed: it pays once."""
    bank = Bank()
    graph = way(bank)
    async with Runner(tmp_path / "runs.db") as runner:
        runner.start(graph, Order(), run_id="r")
        await cut_off(runner, bank, "r")
        bank.loses = False
        runner.branch("r", graph, (await runner.store.info("r")).seq, run_id="b")
        await cut_off(runner, bank, "b")
        result = await runner.resume("b", graph).result()
    assert result.state.paid == "paid 5"
    asked_first, asked_then = bank.asked
    assert (asked_first[:2], asked_then[:2], [*bank.payments]) == ("r/", "b/", [asked_then])


@WAYS
async def test_what_had_ended_outside_is_not_done_in_a_branch(
    way: Callable[[Bank], Graph[Order]], tmp_path: Path
) -> None:
    """It is found under the key of the run that began it."""
    bank = Bank()
    bank.loses = False
    graph = way(bank)
    async with Runner(tmp_path / "runs.db") as runner:
        runner.start(graph, Order(), run_id="r")
        await cut_off(runner, bank, "r")
        result = await runner.branch("r", graph, (await runner.store.info("r")).seq, run_id="b").result()
    assert (result.state.paid, [*bank.payments]) == ("paid 5", bank.asked)


@pytest.mark.parametrize("way", [by_call, by_node])
async def test_a_branch_with_other_arguments_begins_an_effect_of_its_own(
    way: Callable[[Bank], Graph[Order]], tmp_path: Path
) -> None:
    """What the run paid says nothing of them."""
    bank = Bank()
    bank.loses = False
    graph = way(bank)
    async with Runner(tmp_path / "runs.db") as runner:
        runner.start(graph, Order(), run_id="r")
        await cut_off(runner, bank, "r")
        seq = (await runner.store.info("r")).seq
        runner.branch("r", graph, seq, update={"amount": 50}, run_id="b")
        await cut_off(runner, bank, "b")
        result = await runner.resume("b", graph).result()
    assert (result.state.paid, [*bank.payments.values()]) == ("paid 50", [5, 50])


async def test_a_key_that_ends_like_another_is_another(tmp_path: Path) -> None:
    """A call's own key may contain what looks like a place."""
    done, begun = [], asyncio.Event()

    async def put(path: str) -> str:
        done.append(path)
        begun.set()
        if path == "first":
            await asyncio.Event().wait()
        return path

    async def work(ctx: Context) -> str:
        once = Once(reconcile=lambda: "found")
        first = asyncio.create_task(ctx.call(put, "first", key="backup/work:1/put|A", effect=once))
        await begun.wait()
        second = await ctx.call(put, "second", key="A", effect=once)
        first.cancel()
        return second

    async with Runner(tmp_path / "runs.db") as runner:
        result = await runner.start(one(work), Order()).result()
    assert (result.state.paid, done) == ("second", ["first", "second"])
