"""Agents as nodes, and in blocking functions that call them with `asyncio.run`: no waiting thread can be ended.

The calls are made in the run's event loop. They end with their attempt, so that no thread waits forever when a limit is
reached, a person is asked, the node times out or is cancelled, or the Runner closes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from graphengine import Agent, Limits, Runner, ScriptedModel, tool
from graphengine.models import Request, Response
from graphengine.stores.memory import InMemoryStore
from tests.agents.run_kits import ADD, AGAIN, Stuck, Work, add, forked, names, one, paid, within
from tests.kit.runs import SOON, WEEK


def blocking(agent: Agent[str]) -> Any:
    """A sync node that calls an agent."""

    def work(task: str) -> str:
        return asyncio.run(agent.run(task=task))

    return work


def directly(agent: Agent[str]) -> Any:
    """An agent as a node."""
    return agent


either_way = pytest.mark.parametrize("node_of", [directly, blocking])


def script(request: Request) -> Response:
    """Return two turns with a call, then an answer."""
    return paid("", ADD) if len(request.messages) < 5 else paid("done")


@either_way
async def test_a_limit_holds_between_two_turns(node_of: Any) -> None:
    """The attempt ends, also that of a thread; with a higher limit the conversation continues after its last turn."""
    model = ScriptedModel(script)
    graph = one(node_of(Agent("writer", prompt="{task}", tools=[add])))
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph, limits=Limits(cost_usd=1))
        stopped = await within(run)
        assert (stopped.status, len(model.requests)) == ("stopped", 1)
        assert stopped.ending is not None
        assert "cost_usd 1.0 >= 1" in stopped.ending.why
        done = await within(runner.resume(run.id, graph, limits=Limits(cost_usd=9)))
    assert (done.state.draft, done.usage.cost_usd, len(model.requests)) == ("done", 3.0, 3)


async def test_a_person_can_be_asked_for_approval() -> None:
    """No thread is occupied while the run waits."""
    sent: list[str] = []

    def send(text: str) -> str:
        """Send."""
        sent.append(text)
        return "sent"

    model = ScriptedModel([paid("", ("send", {"text": "a"}), ADD), paid("done")])
    graph = one(blocking(Agent("writer", prompt="{task}", tools=[tool(send, approve=True), add])))
    async with Runner(models={"writer": model}, threads=1) as runner:
        run = runner.start(graph)
        assert (await within(run)).status == "waiting"
        await runner.answer(run.id, value=True)
        done = await within(runner.resume(run.id, graph))
    assert (done.state.draft, sent, done.usage.cost_usd) == ("done", ["a"], 2.0)


@either_way
async def test_a_stop_takes_effect_between_two_turns(node_of: Any) -> None:
    """The call in flight is recorded."""
    asked = threading.Event()

    async def heard(request: Request) -> Response:
        if not asked.is_set():
            asked.set()
            stopping.append(asyncio.ensure_future(runner.stop("r")))
            await asyncio.sleep(0)
        return script(request)

    stopping: list[asyncio.Future[None]] = []
    graph = one(node_of(Agent("writer", prompt="{task}", tools=[add])))
    async with Runner(models={"writer": ScriptedModel(heard)}) as runner:
        stopped = await within(runner.start(graph, run_id="r"))
        await stopping[0]
        assert (stopped.status, stopped.usage.cost_usd) == ("stopped", 1.0)
        assert (await within(runner.resume("r", graph))).usage.cost_usd == 3.0


@either_way
@pytest.mark.parametrize("at", [1, 2])
async def test_a_runner_that_closes_cancels_the_call(node_of: Any, at: int) -> None:
    """It does not wait for a model that never answers; the run is released, with all recorded turns."""
    store = InMemoryStore()
    model = Stuck([paid("", ADD), paid("3")], at=at)
    graph = one(node_of(Agent("writer", prompt="{task}", tools=[add], model=model)))
    async with asyncio.timeout(SOON):
        async with Runner(store) as runner:
            run = runner.start(graph, run_id="r")
            await model.reached.wait()
        released = await run.result()
        assert (released.status, released.usage.cost_usd) == ("running", at - 1.0)
        async with Runner(store) as runner:
            done = await runner.resume("r", graph).result()
    assert (done.state.draft, done.usage.cost_usd, model.calls) == ("3", 2.0, 3)


@either_way
async def test_a_timeout_within_a_turn_keeps_the_record(node_of: Any) -> None:
    """The call is cancelled at an unknown cost, and the next attempt continues after the last turn."""
    model = Stuck([paid("", ADD), paid("3")], at=2, is_late=True)
    node = node_of(Agent("writer", prompt="{task}", tools=[add], model=model))
    async with Runner() as runner:
        run = runner.start(one(node, timeout_seconds=WEEK, retry=AGAIN))
        result = await within(run)
        recorded = await names(runner, run.id)
    assert [name for name in recorded if name != "attempt"] == ["started", "turn", "tool add", "turn", "node"]
    usage = result.usage
    assert (result.state.draft, usage.priced_usd, usage.calls, usage.unknown_calls) == ("3", 2.0, 3, 1)
    assert usage.cost_usd is None


async def test_a_thread_that_is_called_off_asks_nothing_more() -> None:
    """A cancelled thread asks nothing more, even if it ignores its cancellation."""
    model = Stuck([], at=1)
    agent = Agent("writer", prompt="{task}", model=model)
    tries: list[str] = []

    def stubborn(task: str) -> str:
        for _ in range(3):
            try:
                return asyncio.run(agent.run(task=task))
            except BaseException as error:  # noqa: BLE001 - under test
                tries.append(type(error).__name__)
        return "gave up"

    async def quick() -> str:
        await model.reached.wait()
        return "quick"

    graph = forked(need=1, draft=stubborn, other=quick)
    async with Runner() as runner:
        result = await within(runner.start(graph))
    assert (result.state.other, model.calls, tries) == ("quick", 1, ["CancelledError"] * 3)


async def test_a_thread_that_the_node_started_is_released_too() -> None:
    """A thread unknown to the run, as of asyncio.to_thread, does not wait forever at a limit."""
    model = ScriptedModel(script)
    agent = Agent("writer", prompt="{task}", tools=[add])
    ended = threading.Event()

    def inside(task: str) -> str:
        try:
            return asyncio.run(agent.run(task=task))
        finally:
            ended.set()

    async def work(task: str) -> str:
        return await asyncio.to_thread(inside, task)

    async with Runner(models={"writer": model}) as runner:
        stopped = await within(runner.start(one(work), limits=Limits(cost_usd=1)))
        assert stopped.status == "stopped"
        assert await asyncio.to_thread(ended.wait, SOON)


async def test_tools_that_ask_agents_with_tools_find_a_thread_however_many_there_are() -> None:
    """Blocking functions that wait for each other do not exhaust the threads."""

    def deeper(depth: int) -> str:
        """Ask an agent one deeper."""
        return asyncio.run(agents[depth].run(depth=depth))

    agents: Mapping[int, Agent[str]] = {
        depth: Agent(f"agent {depth}", prompt="{depth}", tools=[deeper, add]) for depth in range(4)
    }

    def answers(request: Request) -> Response:
        depth = int(request.messages[0].text)
        if len(request.messages) > 1:
            return paid("done")
        return paid("", ("deeper", {"depth": depth - 1})) if depth else paid("", ADD)

    async def work(item: str) -> str:
        return await agents[3].run(depth=3)

    graph = one(work, "drafts", each={"item": "items"}, concurrency=12)
    model = ScriptedModel(answers)
    async with Runner(models={f"agent {depth}": model for depth in range(4)}, threads=2) as runner:
        result = await within(runner.start(graph, Work(items=[str(number) for number in range(12)])))
    assert result.state.drafts == ["done"] * 12
    assert result.usage.calls == 12 * 8


async def test_a_tool_that_timed_out_asks_nothing_more() -> None:
    """Its thread cannot be ended, but the agent in it can; a stop does not wait for that agent either."""
    inner = Stuck([], at=1)
    helper = Agent("helper", prompt="{text}", model=inner)
    ended = threading.Event()

    def consult(text: str) -> str:
        """Ask a colleague."""
        try:
            return asyncio.run(helper.run(text=text))
        finally:
            ended.set()

    model = ScriptedModel([paid("", ("consult", {"text": "?"}), cost_usd=0), paid("", ADD), paid("alone")])
    agent = Agent("writer", prompt="{task}", tools=[tool(consult, timeout_seconds=0.1), add])
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(one(agent), limits=Limits(cost_usd=1))
        assert (await within(run)).status == "stopped"
        assert await asyncio.to_thread(ended.wait, SOON)
        more = Limits(cost_usd=9, unknown_cost=True)  # of the call that was cut
        assert (await within(runner.resume(run.id, one(agent), limits=more))).state.draft == "alone"


async def test_many_tools_of_one_turn_share_threads() -> None:
    """An agent in a thread has a few threads for its tools, not one for each call."""
    seen: set[int] = set()
    most = 0

    def note(number: int) -> int:
        """Note."""
        nonlocal most
        seen.add(threading.get_ident())
        most = max(most, threading.active_count())
        return number

    before = threading.active_count()
    model = ScriptedModel([paid("", *(("note", {"number": number}) for number in range(500))), paid("done")])
    async with Runner(models={"writer": model}) as runner:
        result = await within(runner.start(one(blocking(Agent("writer", prompt="{task}", tools=[note])))))
    assert result.state.draft == "done"
    assert most - before < 50


async def test_a_run_that_a_tool_begins_does_not_depend_on_the_thread() -> None:
    """It continues after the thread that started it has ended."""
    over = asyncio.Event()
    begun: list[Any] = []

    async def later(request: Request) -> Response:
        if request.agent == "other" and len(request.messages) == 1:
            await over.wait()
        return script(request)

    async def begin() -> str:
        """Begin another run."""
        begun.append(runner.start(one(Agent("other", prompt="{task}", tools=[add], model=other_model))))
        return "begun"

    model, other_model = ScriptedModel([paid("", ("begin", {}), ADD), paid("done")]), ScriptedModel(later)
    async with Runner() as runner:
        result = await within(
            runner.start(one(blocking(Agent("writer", prompt="{task}", tools=[begin, add], model=model))))
        )
        over.set()
        other = await within(begun[0])
    assert (result.state.draft, other.state.draft, other.usage.calls) == ("done", "done", 3)
    assert not any(message.is_error for message in other_model.requests[-1].messages)
