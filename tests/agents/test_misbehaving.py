"""Models and nodes that misbehave: equal ids of calls, lone surrogates, and calls that are left behind.

In each case the node ends with a clear error, records are kept, usage is counted, and the run can be resumed.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_json

from graphengine import END, START, Agent, Context, Graph, Limits, Retry, Runner, ScriptedModel, tool
from graphengine.models import Request, Response, ToolCall
from graphengine.models.errors import ModelTransient
from graphengine.stores.memory import InMemoryStore
from tests.agents.run_kits import ADD, Work, add, names, one, paid, within
from tests.kit.facts import said
from tests.kit.runs import SOON

HALF = "half \ud83d"


class Says:
    """A model that returns any given value, unvalidated."""

    name = "says"

    def __init__(self, *given: Any) -> None:
        self.given = list(given)
        self.requests: list[Request] = []

    async def answer(self, request: Request) -> Response:
        """Return the next value."""
        self.requests.append(request)
        return self.given.pop(0)  # type: ignore[no-any-return]


async def test_calls_get_unique_ids_if_the_model_gives_none() -> None:
    """Ids that are empty or repeated, in one turn or over turns; each result names its call."""
    twice = (ToolCall(id="", name="add", arguments='{"first": 1, "second": 1}'),
             ToolCall(id="", name="add", arguments='{"first": 1, "second": 2}'),
             ToolCall(id="c", name="add", arguments='{"first": 1, "second": 3}'),
             ToolCall(id="c", name="add", arguments='{"first": 1, "second": 4}'))  # fmt: skip
    model = Says(replace(paid(), calls=twice), replace(paid(), calls=twice), paid("done"))
    async with Runner() as runner:
        await within(runner.start(one(Agent("writer", prompt="{task}", tools=[add], model=model))))
    messages = model.requests[2].messages
    called = [call.id for message in messages for call in message.calls]
    assert len(set(called)) == 8
    assert all(called)
    assert [message.call_id for message in messages if message.role == "tool"] == called


async def test_lone_surrogates_break_nothing(tmp_path: Path) -> None:
    """Lone surrogates break no instructions, prompts, answers, calls, results, errors or native forms."""

    def shout(text: str) -> str:
        """Shout."""
        return text.upper() + HALF

    def fail(text: str) -> str:
        """Fail."""
        raise ValueError(text + HALF)

    def prompt(task: str) -> str:
        return task + HALF

    def check(draft: str) -> None:
        if "!" not in draft:
            raise ValueError(HALF)

    wanted = tuple(
        ToolCall(id=f"{name}{HALF}", name=name, arguments='{"text": "\ud83d\\ud83d"}')
        for name in ("shout", "fail", HALF)
    )
    native: Any = {HALF: [HALF, 1, {"x": (HALF, None)}]}
    first = replace(paid(HALF), calls=wanted, why=HALF, model=HALF, native=native)
    model = Says(first, paid(HALF), paid(f"{HALF}!"))
    agent = Agent(
        "writer", system=HALF, prompt=prompt, tools=[shout, fail], check=check, messages="messages", model=model
    )
    async with Runner(tmp_path / "runs.db") as runner:
        run = runner.start(one(agent.but(model=model)))
        result = await within(run)
        for step in await runner.history(run.id):
            to_json([said(step), step.update])
    assert result.state.draft == "half \ufffd!"
    assert len(model.requests) == 3
    for request in model.requests:
        to_json([request.system, [message.model_dump() for message in request.messages]])


async def test_concurrent_agents_that_fail_leave_nothing_in_flight() -> None:
    """The first failure of several calls ends the others; records are kept, so each turn is paid once."""
    reached = asyncio.Event()
    ended: list[str] = []
    failed = False

    async def script(request: Request) -> Response:
        nonlocal failed
        if len(request.messages) == 1:
            return paid("", ADD)
        if request.agent == "quick" and not failed:
            failed = True
            await reached.wait()
            raise ModelTransient("later")
        if request.agent == "slow" and not reached.is_set():
            reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("slow")
        return paid(request.agent)

    quick, slow = (Agent(name, prompt="{task}", tools=[add]) for name in ("quick", "slow"))

    async def work(task: str) -> str:
        answers = await asyncio.gather(quick.run(task=task), slow.run(task=task))
        return " ".join(answers)

    model = ScriptedModel(script)
    async with Runner(models={"quick": model, "slow": model}) as runner:
        run = runner.start(one(work, retry=Retry(attempts=2, initial_seconds=0)))
        result = await within(run)
        recorded = await names(runner, run.id)
    assert ended == ["slow"]
    assert (result.state.draft, result.usage.cost_usd) == ("quick slow", 4.0)
    assert recorded.count("turn") == 4
    assert recorded.count("tool add") == 2


async def test_an_unawaited_agent_is_cancelled_with_its_node() -> None:
    """The step of the node reports it; no further call is made."""
    reached, ended = asyncio.Event(), asyncio.Event()

    async def script(request: Request) -> Response:
        reached.set()
        try:
            return await asyncio.Event().wait()  # type: ignore[return-value]
        finally:
            ended.set()

    agent = Agent("writer", prompt="{task}", model=ScriptedModel(script))
    left: list[asyncio.Task[str]] = []

    async def work(task: str) -> str:
        left.append(asyncio.create_task(agent.run(task=task)))
        await reached.wait()
        return "done"

    async with Runner() as runner:
        run = runner.start(one(work))
        result = await within(run)
        (step,) = [step for step in await runner.history(run.id) if step.kind == "node"]
    assert (result.state.draft, ended.is_set(), said(step)["unawaited"]) == ("done", True, ["turn"])
    await asyncio.gather(*left, return_exceptions=True)
    assert left[0].cancelled()


@pytest.mark.parametrize("limits", [None, Limits(cost_usd=1)])
async def test_an_agent_that_is_called_after_its_node_has_ended_fails(limits: Limits | None) -> None:
    """No call is made, nothing hangs, and the running node is not affected."""
    ended = asyncio.Event()
    model = ScriptedModel([paid("x"), paid("y")])
    agent = Agent("writer", prompt="{task}", model=model)
    late: list[asyncio.Task[str]] = []

    async def work(ctx: Context, task: str) -> str:
        async def ask_late() -> str:
            await ended.wait()
            return await agent.run(task=task)

        late.append(asyncio.create_task(ask_late()))
        return await agent.run(task=task)

    async def begin_only(task: str) -> str:
        async def ask_late() -> str:
            await ended.wait()
            return await agent.run(task=task)

        late.append(asyncio.create_task(ask_late()))
        return "begun"

    for node in (work, begin_only):
        async with Runner() as runner:
            result = await within(runner.start(one(node), limits=limits))
            assert result.status == "finished"
            before = len(model.requests)
            ended.set()
            async with asyncio.timeout(SOON):
                (error,) = await asyncio.gather(*late, return_exceptions=True)
            assert "had ended" in str(error)
            assert len(model.requests) == before
        late.clear()
        ended.clear()


async def test_an_agent_that_asks_for_approval_after_its_node_has_ended_ends_no_other_node() -> None:
    """A request for approval after its node has ended ends no other running node."""
    agent = Agent("writer", prompt="{task}", tools=[tool(add, approve=True)], model=ScriptedModel([paid("", ADD)] * 2))
    ended = asyncio.Event()
    late: list[asyncio.Task[str]] = []

    async def begin(task: str) -> str:
        async def ask_late() -> str:
            await ended.wait()
            return await agent.run(task=task)

        late.append(asyncio.create_task(ask_late()))
        return "begun"

    async def after() -> str:
        ended.set()
        await asyncio.wait(late)
        return "after"

    graph = Graph("g", Work)
    graph.add_node("begin", begin, writes="draft")
    graph.add_node("after", after, writes="other")
    graph.add_path(START, "begin", "after", END)
    async with Runner(InMemoryStore()) as runner:
        result = await within(runner.start(graph))
    assert (result.status, result.state.other) == ("finished", "after")
    (error,) = await asyncio.gather(*late, return_exceptions=True)
    assert "had ended" in str(error)
