"""Agents in runs under difficult conditions: interrupted turns, races, limits, refusals, failing records.

Each test checks one of the guarantees: no record is lost, no work is repeated without need, usage is counted once, a
limit or a stop takes effect between two turns, nothing hangs. `test_in_threads.py` tests agents that are called in
threads.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import pytest

from graphengine import (
    Agent,
    Limits,
    Runner,
    ScriptedModel,
)
from graphengine.errors import LeaseLost, StoreError, StoreFull
from graphengine.models import Request, Response
from graphengine.stores.memory import InMemoryStore
from tests.agents.run_kits import ADD, AGAIN, Stuck, add, forked, one, paid, time_is_up, within
from tests.kit.runs import SOON, WEEK

# -- failures during a turn or a call


async def test_a_timeout_within_a_tool_keeps_the_record() -> None:
    """Finished calls of the turn are not repeated."""
    made: list[str] = []

    async def quick() -> str:
        """Be quick."""
        made.append("quick")
        return "q"

    async def slow() -> str:
        """Be slow the first time."""
        made.append("slow")
        if made.count("slow") == 1:
            time_is_up()
            await asyncio.Event().wait()
        return "s"

    model = ScriptedModel([paid("", ("quick", {}), ("slow", {})), paid("done")])
    async with Runner(models={"writer": model}) as runner:
        agent = Agent("writer", prompt="{task}", tools=[quick, slow])
        run = runner.start(one(agent, timeout_seconds=WEEK, retry=AGAIN))
        result = await within(run)
    assert sorted(made) == ["quick", "slow", "slow"]
    assert (result.state.draft, result.usage.cost_usd) == ("done", 2.0)


@pytest.mark.parametrize("turns", range(10))
async def test_a_timeout_between_two_turns_keeps_the_record(turns: int) -> None:
    """It may come before the calls of a turn have begun, or after they have ended, and drops nothing."""

    async def plus(first: int, second: int) -> int:
        """Add, and wait a turn of the event loop."""
        await asyncio.sleep(0)
        return first + second

    def late(left: int) -> None:
        """Let the time run out after so many turns of the event loop."""
        if left:
            asyncio.get_running_loop().call_soon(late, left - 1)
        else:
            time_is_up()

    def script(request: Request) -> Response:
        if len(request.messages) > 1:
            return paid("3")
        if len(model.requests) == 1:
            late(turns)
        return paid("", ("plus", {"first": 1, "second": 2}))

    model = ScriptedModel(script)
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(one(Agent("writer", prompt="{task}", tools=[plus]), timeout_seconds=WEEK, retry=AGAIN))
        result = await within(run)
    assert (result.state.draft, result.usage.cost_usd, len(model.requests)) == ("3", 2.0, 2)


@pytest.mark.parametrize("at", [1, 2])
async def test_a_timeout_while_a_record_is_written_keeps_it(at: int) -> None:
    """A store may take long to write a turn or a call; the next attempt continues after it."""
    written = 0

    class Slow(InMemoryStore):
        def append(self, batch: Any) -> Any:
            nonlocal written
            super().append(batch)
            if any(step.kind == "recorded" for step in batch.steps):
                written += 1
                if written == at:
                    time_is_up()
                    return asyncio.get_running_loop().create_future()
            return None

    model = ScriptedModel(lambda request: paid("", ADD) if len(request.messages) == 1 else paid("3"))
    async with Runner(Slow(), models={"writer": model}) as runner:
        run = runner.start(one(Agent("writer", prompt="{task}", tools=[add]), timeout_seconds=WEEK, retry=AGAIN))
        result = await within(run)
    assert (result.state.draft, result.usage.cost_usd, len(model.requests)) == ("3", 2.0, 2)


@pytest.mark.parametrize("turns", range(10))
async def test_an_agent_can_be_cancelled_at_any_moment(turns: int) -> None:
    """Nothing that it was about to do is left behind, as a coroutine that is never awaited would be."""
    model = ScriptedModel([paid("", ADD, ADD), paid("3")])
    agent = Agent("writer", prompt="{task}", tools=[add], model=model)
    task = asyncio.create_task(agent.run(task="rhyme"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        gc.collect()
    assert not caught, str(caught[0].message)


async def test_an_arm_that_is_called_off_has_its_turns_counted() -> None:
    """Its usage is part of the fork, the call in flight is cancelled, and the run continues."""
    model = Stuck([paid("", ADD)], at=2)
    ended: list[str] = []

    async def quick() -> str:
        await model.reached.wait()
        return "quick"

    async def watched(task: str) -> str:
        try:
            return await Agent("writer", prompt="{task}", tools=[add], model=model).run(task=task)
        finally:
            ended.append("slow")

    graph = forked(need=1, draft=watched, other=quick)
    async with Runner() as runner:
        result = await within(runner.start(graph))
    assert (result.state.other, result.state.draft, ended) == ("quick", "", ["slow"])
    assert (result.usage.calls, result.usage.cost_usd) == (1, 1.0)


async def test_a_model_that_swallows_its_cancellation_is_not_called_again() -> None:
    """Its late answer is recorded, and the run is released after it."""
    store = InMemoryStore()
    reached = asyncio.Event()
    asked = 0

    async def deaf(request: Request) -> Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            reached.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return paid("", ADD)
        return paid("3")

    graph = one(Agent("writer", prompt="{task}", tools=[add], model=ScriptedModel(deaf)))
    async with asyncio.timeout(SOON):
        async with Runner(store) as runner:
            run = runner.start(graph, run_id="r")
            await reached.wait()
        stopped = await run.result()
        assert (stopped.status, asked) == ("running", 1)
        async with Runner(store) as runner:
            done = await runner.resume("r", graph).result()
    assert (done.state.draft, asked, done.usage.cost_usd) == ("3", 2, 2.0)


@pytest.mark.parametrize("error", [StoreFull("the disk is full"), LeaseLost("taken", where="run r")])
@pytest.mark.parametrize("fails_at", [2, 3, 4])
async def test_a_failing_store_ends_the_conversation(error: StoreError, fails_at: int) -> None:
    """Nothing continues after a turn or a call that could not be recorded; only that one is repeated."""

    class Failing(InMemoryStore):
        count = 0

        def append(self, batch: Any) -> Any:
            if any(step.kind in ("recorded", "started") for step in batch.steps):
                Failing.count += 1
            if Failing.count == fails_at:
                Failing.count += 1
                raise error
            return super().append(batch)

    store = Failing()
    Failing.count = 1
    model = ScriptedModel(lambda request: paid("", ADD) if len(request.messages) < 4 else paid("done"))
    graph = one(Agent("writer", prompt="{task}", tools=[add], model=model))
    async with Runner(store) as runner:
        with pytest.raises(StoreError):
            await within(runner.start(graph, run_id="r"))
        before = len(model.requests)
        done = await within(runner.resume("r", graph))
    assert done.state.draft == "done"
    assert before <= 2
    assert len(model.requests) == 3 + (fails_at != 3)
    assert done.usage.cost_usd == 3.0


async def test_nothing_is_called_after_a_failure_to_record() -> None:
    """After a failure to record nothing is called, not even by a node that retries repeatedly."""

    class Failing(InMemoryStore):
        def append(self, batch: Any) -> Any:
            if any(step.kind == "recorded" for step in batch.steps):
                raise StoreFull("the disk is full")
            return super().append(batch)

    model = ScriptedModel(lambda request: paid("x"))
    agent = Agent("writer", prompt="{task}", model=model)
    codes: list[str] = []

    async def stubborn(task: str) -> str:
        for _ in range(5):
            try:
                return await agent.run(task=task)
            except StoreError as error:
                codes.append(error.code)
        return "gave up"

    async with Runner(Failing()) as runner:
        with pytest.raises(StoreError):
            await within(runner.start(one(stubborn)))
    assert (len(model.requests), codes) == (1, ["store_full"] * 5)


@pytest.mark.parametrize("how", ["limit", "close", "called off"])
async def test_a_node_that_does_not_let_its_end_through_asks_nothing_more(how: str) -> None:
    """If a limit is reached, the Runner closes or the fork ends the node early, it calls no model; nothing hangs."""
    model = Stuck([paid("", ADD)], at=2)
    agent = Agent("writer", prompt="{task}", tools=[add], model=model)

    async def stubborn(task: str) -> str:
        for _ in range(4):
            try:
                return await agent.run(task=task)
            except BaseException:  # noqa: BLE001, S110 - under test
                pass
        return "gave up"

    async def quick() -> str:
        await model.reached.wait()
        return "quick"

    graph = forked(need=1, draft=stubborn, other=quick) if how == "called off" else one(stubborn)
    async with asyncio.timeout(SOON):
        async with Runner() as runner:
            run = runner.start(graph, limits=Limits(cost_usd=1) if how == "limit" else None)
            if how == "close":
                await model.reached.wait()
            else:
                result = await run.result()
                assert result.status == ("stopped" if how == "limit" else "finished")
        usage = (await run.result()).usage
        assert (usage.cost_usd if usage.cost_usd is not None else usage.priced_usd) == 1.0
        assert usage.unknown_calls == (1 if how == "close" else 0)  # the turn that was cut off, and recorded
    assert model.calls == (1 if how == "limit" else 2)
