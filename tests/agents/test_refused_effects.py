"""What acts outside the run does not act in evaluations and tests, unless that is asked for."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Agent, Context, Graph, RunFailed, Runner, ScriptedModel, tool
from graphengine.graph.effect import Effect
from graphengine.models import calls
from graphengine.testing import run_node
from graphengine.testing.evaluation import Case, evaluate
from graphengine.testing.open_runner import OpenRunner
from tests.kit.runs import alone

PAID: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_paid() -> None:
    PAID.clear()


class Desk(BaseModel):
    """A desk, and what it said."""

    order: str = "A7"
    said: str = ""


def pay(order: str) -> str:
    """Pay an order."""
    PAID.append(order)
    return f"paid {order}"


def as_node(effect: Effect) -> Graph[Desk]:
    """Return a graph whose node pays."""
    return alone(Desk, pay, "said", name="desk", node="serve", result="said", effect=effect)


def as_call(effect: Effect) -> Graph[Desk]:
    """Return a graph whose node pays in a recorded call."""

    async def serve(order: str, ctx: Context) -> Any:
        return await ctx.call(pay, order, effect=effect)

    return alone(Desk, serve, "said", name="desk", node="serve", result="said")


def as_tool(effect: Effect) -> Graph[Desk]:
    """Return a graph whose agent pays."""
    model = ScriptedModel([calls(("pay", {"order": "A7"})), "Done."])
    agent = Agent("clerk", model=model, prompt="{order}", tools=[tool(pay, effect=effect)])
    return alone(Desk, agent, "said", name="desk", node="serve", result="said")


MADE = pytest.mark.parametrize("made", [as_node, as_call, as_tool])
KINDS = pytest.mark.parametrize("effect", ["once", "idempotent"])


@MADE
@KINDS
async def test_effects_are_refused_in_an_evaluation(made: Any, effect: Effect) -> None:
    """The case fails and says what to do; with `effects="act"` they happen."""

    def done(output: str) -> bool:
        return output.startswith(("paid", "Done"))

    cases = [Case(name="one", input={"order": "A7"})]
    report = await evaluate(made(effect), cases, [done])
    assert (PAID, report.subject.means["done"]) == ([], 0.0)
    assert "pay was not called" in str(report)
    report = await evaluate(made(effect), cases, [done], effects="act")
    assert (PAID, report.subject.means["done"]) == (["A7"], 1.0)


@MADE
@KINDS
async def test_something_else_can_stand_in(made: Any, effect: Effect) -> None:
    """It is called as the function would be, and its result is recorded in place of that."""
    seen: list[str] = []

    def pretend(order: str) -> str:
        seen.append(order)
        return "pretended"

    async with Runner(effects={"pay": pretend}) as runner:
        result = await runner.start(made(effect)).result()
        kinds = [step.kind for step in await runner.history(result.run_id)]
    assert (PAID, seen, result.output) == ([], ["A7"], "Done." if made is as_tool else "pretended")
    assert "begun" not in kinds


@MADE
async def test_what_only_reads_is_called(made: Any) -> None:
    """And what says nothing of itself, as before."""
    async with Runner(effects={}) as runner:
        await runner.start(made("read")).result()
    assert PAID == ["A7"]


@MADE
async def test_a_refused_effect_does_not_begin(made: Any) -> None:
    """The run fails with a code of its own, nothing is unknown, and a Runner that acts resumes it."""
    graph = made("once")
    async with Runner(effects={}) as runner:
        with pytest.raises(RunFailed, match="pay was not called") as failed:
            await runner.start(graph, run_id="r").result()
    assert failed.value.result.error is not None
    assert failed.value.result.error.kind == "effect_refused"
    assert 'effects={"pay": function}' in str(failed.value)


async def test_one_node_alone_does_not_act() -> None:
    """Unless it is asked to, or something stands in."""
    with pytest.raises(Exception, match="pay was not called"):
        await run_node(as_node("once"), "serve", {})
    assert (await run_node(as_node("once"), "serve", {}, effects={"pay": lambda order: f"no {order}"})).update == {
        "said": "no A7"
    }
    assert PAID == []
    assert (await run_node(as_node("once"), "serve", {}, effects="act")).update == {"said": "paid A7"}


async def test_the_runner_of_a_test_does_not_act(runner: OpenRunner) -> None:
    """As for its models, `use` says otherwise."""
    runner.use(effects={"pay": lambda order: "pretended"})
    assert (await runner.start(as_node("once")).result()).output == "pretended"
    assert PAID == []


def test_a_stand_in_can_be_async_and_in_place_of_a_function_that_blocks() -> None:
    """What it is called on follows from itself."""

    async def pretend(order: str) -> str:
        await asyncio.sleep(0)
        return f"async {order}"

    async def main() -> str:
        async with Runner(effects={"pay": pretend}) as runner:
            return str((await runner.start(as_node("once")).result()).output)

    assert asyncio.run(main()) == "async A7"
