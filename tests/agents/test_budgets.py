"""Limits on costs and tokens hold for calls in parallel: each reserves an estimate before it begins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from graphengine import END, START, Agent, Graph, Limits, Runner, ScriptedModel, tool
from graphengine.models import Request, Response, Router
from graphengine.models.base import EstimatesCosts
from graphengine.models.errors import ModelUnreachable
from graphengine.models.scripted import calls
from tests.agents.run_kits import Work, forked, one, paid, within

MANY = [str(number) for number in range(50)]


class Server:
    """A model that takes some turns of the event loop, and counts its calls in flight.

    Args:
        cost_usd: What a call costs, by its number from 1.
        estimate: Its estimate of what a call costs; None if it has none.
    """

    name = "server"

    def __init__(self, cost_usd: Callable[[int], float] = lambda _: 0.04, estimate: float | None = None) -> None:
        self.cost_usd = cost_usd
        self.estimate = estimate
        self.calls = self.inside = self.most = 0

    async def answer(self, request: Request) -> Response:
        self.calls += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        cost_usd = self.cost_usd(self.calls)
        for _ in range(200):
            await asyncio.sleep(0)
        self.inside -= 1
        return Response("ok", input_tokens=8, output_tokens=2, cost_usd=cost_usd)

    async def price_of(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return the estimate."""
        return self.estimate


def mapped(concurrency: int = 50) -> Graph[Work]:
    """Return a graph that calls an agent for each item."""
    return one(Agent("writer", prompt="{item}"), "drafts", each={"item": "items"}, concurrency=concurrency)


@pytest.mark.parametrize("concurrency", [1, 16, 50])
async def test_a_limit_on_costs_holds_whatever_the_concurrency(concurrency: int) -> None:
    """The run stops at its limit, and continues with a higher one without repeating a call."""
    server = Server()
    async with Runner(models={"writer": server}) as runner:
        run = runner.start(mapped(concurrency), {"items": MANY}, limits=Limits(cost_usd=0.08))
        stopped = await within(run)
        assert (stopped.status, stopped.usage.cost_usd, server.calls) == ("stopped", 0.08, 2)
        done = await within(runner.resume(run.id, mapped(concurrency), limits=Limits(cost_usd=99)))
    assert (len(done.state.drafts), server.calls) == (50, 50)
    assert done.usage.cost_usd == pytest.approx(2.0)


async def test_calls_that_fit_go_together() -> None:
    """After the first call, whose cost is unknown, as many calls go together as fit into the rest."""
    server = Server()
    async with Runner(models={"writer": server}) as runner:
        result = await within(runner.start(mapped(), {"items": MANY}, limits=Limits(cost_usd=10)))
    assert (result.status, server.most) == ("finished", 49)
    server = Server()
    async with Runner(models={"writer": server}) as runner:
        result = await within(runner.start(mapped(), {"items": MANY}, limits=Limits(cost_usd=0.5)))
    assert (result.status, server.most) == ("stopped", 11)
    assert result.usage.cost_usd == pytest.approx(0.52)


async def test_a_model_that_knows_its_price_needs_no_first_call_alone() -> None:
    """Router and recordings pass the price on."""
    server = Server(estimate=0.1)
    assert isinstance(server, EstimatesCosts)
    async with Runner(models={"writer": Router([server])}) as runner:
        result = await within(runner.start(mapped(), {"items": MANY}, limits=Limits(cost_usd=1)))
    assert server.most >= 10
    assert result.usage.cost_usd is not None
    assert result.usage.cost_usd <= 1.04


async def test_a_limit_on_tokens_holds_too() -> None:
    """A limit on tokens covers those of questions and answers."""
    server = Server()
    async with Runner(models={"writer": server}) as runner:
        result = await within(runner.start(mapped(), {"items": MANY}, limits=Limits(tokens=100)))
    assert (result.status, result.usage.input_tokens + result.usage.output_tokens) == ("stopped", 100)


async def test_a_dear_call_exceeds_a_limit_by_itself_alone() -> None:
    """Its surprise is the only one: no call begins that does not fit next to it."""
    server = Server(cost_usd=lambda number: 0.5 if number == 5 else 0.01)
    async with Runner(models={"writer": server}) as runner:
        result = await within(runner.start(mapped(4), {"items": MANY}, limits=Limits(cost_usd=0.1)))
    assert result.status == "stopped"
    assert result.usage.cost_usd is not None
    assert result.usage.cost_usd <= 0.1 + 0.5


async def test_a_longer_question_reserves_more() -> None:
    """A longer question reserves more, in proportion, so that long ones do not all begin in the rest of a limit."""
    server = Server(cost_usd=lambda number: 0.01 if number == 1 else 0.1)
    items = ["x", *("x" * 1000 for _ in range(20))]
    async with Runner(models={"writer": server}) as runner:
        result = await within(runner.start(mapped(21), {"items": items}, limits=Limits(cost_usd=0.3)))
    assert result.usage.cost_usd is not None
    assert result.usage.cost_usd <= 0.4


async def test_arms_of_different_agents_share_a_limit() -> None:
    """What is known of a model by one agent is an estimate for the others."""
    server = Server()
    one_, two, three = (Agent(name, prompt="{items}") for name in ("one", "two", "three"))
    graph = forked(draft=one_, other=two, task=three)
    async with Runner(models={"*": server}) as runner:
        result = await within(runner.start(graph, limits=Limits(cost_usd=0.08)))
    assert (result.status, result.usage.cost_usd, server.most) == ("stopped", 0.08, 1)


async def test_the_limit_of_a_subgraph_holds_for_its_calls() -> None:
    """Calls outside it do not count."""
    server, free = Server(), Server(lambda _: 0.0)
    inner = mapped().but(name="inner", result="drafts", limits=Limits(cost_usd=0.08))
    graph = Graph("g", Work)
    graph.add_node("inner", inner, writes="drafts", fallback=[])
    graph.add_node("other", Agent("other", prompt="{task}"), writes="other")
    graph.add_edge("inner", END)
    graph.add_edge("other", END)
    graph.add_fork(START, ["inner", "other"], join=END)
    async with Runner(models={"writer": server, "other": free}) as runner:
        result = await within(runner.start(graph, {"items": MANY}))
    assert (result.status, result.usage.cost_usd, server.calls, free.calls) == ("finished", 0.08, 2, 1)


async def test_agents_inside_agents_do_not_wait_for_each_other() -> None:
    """An agent called inside a tool or a model does not wait for the call around it."""
    inner = Agent("inner", prompt="{text}", model=ScriptedModel([paid("yes")]))

    async def consult(text: str) -> str:
        """Ask a colleague."""
        return await inner.run(text=text)

    class Asks:
        """A model that asks another agent."""

        name = "asks"

        async def answer(self, request: Request) -> Response:
            answer = await inner.but(model=ScriptedModel([paid("no")])).run(text=request.prompt)
            return Response(answer, cost_usd=0.0)

    outer = Agent("outer", prompt="{task}", tools=[tool(consult)])
    script = ScriptedModel([calls(("consult", {"text": "?"})), paid("so")])
    async with Runner(models={"outer": script}) as runner:
        result = await within(runner.start(one(outer), limits=Limits(cost_usd=50)))
        assert result.state.draft == "so"
    async with Runner(models={"writer": Asks()}) as runner:
        result = await within(runner.start(one(Agent("writer", prompt="{task}")), limits=Limits(cost_usd=50)))
        assert result.state.draft == "no"


async def test_a_stop_ends_calls_that_wait_for_a_budget() -> None:
    """They begin when the run is resumed."""
    begun, gate = asyncio.Event(), asyncio.Event()

    async def held(_: Request) -> Response:
        begun.set()
        await gate.wait()
        return paid("ok", cost_usd=0.01)

    async with Runner(models={"writer": ScriptedModel(held)}) as runner:
        run = runner.start(mapped(), {"items": MANY}, limits=Limits(cost_usd=10))
        await begun.wait()
        stopping = asyncio.create_task(runner.stop(run.id))
        for _ in range(10):
            await asyncio.sleep(0)
        gate.set()
        await stopping
        stopped = await within(run)
        assert (stopped.status, stopped.usage.calls) == ("stopped", 1)
        done = await within(runner.resume(run.id, mapped()))
    assert (len(done.state.drafts), done.usage.calls) == (50, 50)


async def test_what_failed_calls_used_counts_before_their_attempt_ends() -> None:
    """A router's first model is paid for although the second answered."""

    def torn(_: Request) -> Exception:
        error = ModelUnreachable("the connection broke")
        error.usage = {"calls": 1, "input_tokens": 1, "output_tokens": 0, "cost_usd": 0.05}
        return error

    router = Router([ScriptedModel(torn), Server()])
    async with Runner(models={"writer": router}) as runner:
        result = await within(runner.start(mapped(), {"items": MANY}, limits=Limits(cost_usd=0.3)))
    assert result.status == "stopped"
    assert result.usage.cost_usd is not None
    assert result.usage.cost_usd <= 0.3 + 2 * 0.09
