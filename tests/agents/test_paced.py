"""Agents of runs wait for models: waits are not recorded; stops, releases, timeouts and resumes work meanwhile."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from graphengine import Agent, Context, Runner, ScriptedModel
from graphengine.agents import runtime
from graphengine.models import RateLimiter, Response
from graphengine.models.anthropic import AnthropicModel
from graphengine.models.errors import ModelTransient, ModelUnreachable, RateLimited
from graphengine.models.limiter import PlainWaits
from graphengine.stores.memory import InMemoryStore
from graphengine.testing import FakeClock
from tests.agents.run_kits import failing, names, one, paid, within
from tests.conformance.model_scenes import Fails, Received, Says, Scene
from tests.kit.runs import SOON
from tests.models.edge_server import EdgeServer

NO_ROOM = RateLimited("slow down", retry_after_seconds=90)


def closed(*answers: object, patience_seconds: float = 300.0) -> ScriptedModel:
    """Return a model that refuses its first call for 90 s."""
    model = ScriptedModel([NO_ROOM, *answers])
    model.limiter = RateLimiter(patience_seconds=patience_seconds)  # type: ignore[attr-defined]
    return model


async def refused(model: ScriptedModel) -> None:
    """Wait until the model has refused its first call."""
    async with asyncio.timeout(SOON):
        while not model.requests:  # noqa: ASYNC110 - a scripted model has no event
            await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_wait_for_a_model_is_not_recorded() -> None:
    """Only the answer is recorded, not the wait; the call has one attempt, and the run's time includes the wait."""
    clock, model = FakeClock(1000.0), closed(paid("fine"))
    async with Runner(models={"writer": model}, clock=clock) as runner:
        run = runner.start(one(Agent("writer", prompt="{task}")))
        result = await within(run)
        recorded = await names(runner, run.id)
    assert (result.state.draft, result.usage.calls, recorded) == ("fine", 1, ["started", "turn", "node"])
    assert clock.now() == 1090.0


@pytest.fixture
def edge() -> EdgeServer:
    """Return a server of its own, whose limiter no other test uses."""
    return EdgeServer()


async def test_a_map_against_a_server_that_limits_calls_finishes_without_failures(edge: EdgeServer) -> None:
    """The server's refusals over HTTP, with Anthropic's SDK, slow all items down; none fails."""
    numbers = count()

    def limited(_: Received) -> Scene:
        """Answer five calls, refuse three, and so on, however fast they come."""
        if next(numbers) % 8 >= 5:
            return Fails("rate_limit", retry_after_seconds=0.1, in_milliseconds=True)
        return Says("ok")

    edge.start()
    try:
        edge.answer(limited)
        model = AnthropicModel("claude-haiku-4-5", api_key="sk-1", base_url=edge.url)
        graph = one(Agent("writer", prompt="{item}"), "drafts", each={"item": "items"}, concurrency=20)
        async with Runner(models={"writer": model}) as runner:
            run = runner.start(graph, {"items": [str(number) for number in range(20)]})
            async with asyncio.timeout(60):  # the SDK may have to be loaded
                result = await run.result()
            recorded = await names(runner, run.id)
    finally:
        edge.stop()
    assert result.state.drafts == ["ok"] * 20
    assert "attempt" not in recorded
    assert len(edge.calls) == 20 + 3 * 3


async def test_a_stop_during_a_wait_ends_the_run_at_once() -> None:
    """Nothing is counted for the call that was not made; a resume makes it."""
    clock, model = FakeClock(1000.0, jumps=False), closed(paid("fine"))
    graph = one(Agent("writer", prompt="{task}"))
    async with Runner(models={"writer": model}, clock=clock) as runner:
        run = runner.start(graph)
        await refused(model)
        await runner.stop(run.id)
        stopped = await within(run)
        assert (stopped.status, stopped.usage.calls) == ("stopped", 0)
        resumed = runner.resume(run.id, graph)
        await asyncio.sleep(0)
        clock.move(90)
        done = await within(resumed)
    assert (done.state.draft, done.usage.calls, len(model.requests)) == ("fine", 1, 2)


async def test_a_runner_that_closes_during_a_wait_releases_the_run() -> None:
    """If a Runner closes during a wait, another one continues the run."""
    clock, model, store = FakeClock(1000.0, jumps=False), closed(paid("fine")), InMemoryStore()
    graph = one(Agent("writer", prompt="{task}"))
    async with asyncio.timeout(SOON), Runner(store, models={"writer": model}, clock=clock) as runner:
        run = runner.start(graph)
        await refused(model)
    clock.move(90)
    async with Runner(store, models={"writer": model}, clock=clock) as runner:
        done = await within(runner.resume(run.id, graph))
    assert (done.state.draft, done.usage.calls, done.usage.unknown_calls) == ("fine", 1, 0)


async def test_a_timeout_of_the_node_ends_a_wait() -> None:
    """The call was not made, so its cost is known."""
    clock, model = FakeClock(1000.0, jumps=False), closed()
    async with Runner(models={"writer": model}, clock=clock) as runner:
        run = runner.start(one(Agent("writer", prompt="{task}"), timeout_seconds=0.05, fallback="late"))
        result = await within(run)
    assert (result.state.draft, result.usage.calls, result.usage.unknown_calls) == ("late", 0, 0)


async def test_a_recorded_call_does_not_wait() -> None:
    """A node that runs again gets its recorded turns although the limiter is closed."""
    clock = FakeClock(1000.0, jumps=False)
    model = ScriptedModel([paid("fine"), NO_ROOM])
    model.limiter = RateLimiter()  # type: ignore[attr-defined]
    agent = Agent("writer", prompt="{task}", model=model)

    async def work(task: str, ctx: Context) -> str:
        draft = await agent.run(task=task)
        return draft + await ctx.ask("And?")

    graph = one(work)
    async with Runner(clock=clock) as runner:
        run = runner.start(graph)
        await within(run)
        other = runner.start(one(agent))
        await refused(model)
        while len(model.requests) < 2:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        await runner.answer(run.id, "!")
        done = await within(runner.resume(run.id, graph))
        assert done.state.draft == "fine!"
        await runner.stop(other.id)
        await within(other)
    assert len(model.requests) == 2


async def test_a_model_that_has_no_room_for_too_long_fails_the_node_once() -> None:
    """The limiter has waited; the node's own retry does not repeat that."""
    clock, model = FakeClock(1000.0), closed(patience_seconds=60)
    graph = one(Agent("writer", prompt="{task}"))
    async with Runner(models={"writer": model}, clock=clock) as runner:
        failed = await failing(runner.start(graph))
    assert failed.error is not None
    assert failed.error.kind == "model_busy"
    assert "slow down" in failed.error.message
    assert (len(model.requests), clock.now()) == (1, 1000.0)


async def test_agents_and_runs_share_a_lane() -> None:
    """The refusal of one holds back all that use the model, in any Runner."""
    clock, model = FakeClock(1000.0), closed(lambda request: paid(request.agent), paid("two"))
    model = ScriptedModel([NO_ROOM, paid("one"), paid("two")])
    graphs = [one(Agent(name, prompt="{task}", model=model)) for name in ("one", "two")]
    async with Runner(clock=clock) as first, Runner(clock=clock) as second:
        runs = first.start(graphs[0]), second.start(graphs[1])
        results = [await within(run) for run in runs]
    assert sorted(result.state.draft for result in results) == ["one", "two"]
    assert clock.now() >= 1090.0
    assert len(model.requests) == 3


@pytest.fixture
def time_alone(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Let agents that run alone use a clock whose time passes without waiting."""
    clock = FakeClock(1000.0)
    monkeypatch.setattr(runtime, "PLAIN_WAITS", PlainWaits(clock))
    return clock


async def test_an_agent_alone_calls_again_as_in_a_run(time_alone: FakeClock) -> None:
    """An agent alone calls again after refusals, and four times after transient failures, ever later."""
    failures = [
        NO_ROOM,
        ModelTransient("one"),
        ModelUnreachable("two"),
        ModelTransient("three", retry_after_seconds=60),
    ]
    model = ScriptedModel([*failures, Response("fine")])
    assert await Agent("writer", prompt="{task}", model=model).run(task="rhyme") == "fine"
    assert 90 + 1 + 2 + 60 <= time_alone.now() - 1000.0 <= 90 + 1 + 2 + 60 + 2
    model = ScriptedModel([ModelTransient("no")] * 4)
    with pytest.raises(ModelTransient, match="no"):
        await Agent("writer", prompt="{task}", model=model).run(task="rhyme")
    assert len(model.requests) == 4
