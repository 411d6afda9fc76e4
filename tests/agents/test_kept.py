"""Records of agents' conversations: with branches, changed graphs, refusals, exports, replays, forks, secrets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import (
    END,
    START,
    Agent,
    Context,
    Graph,
    Limits,
    Retry,
    RunFailed,
    Runner,
    ScriptedModel,
    Window,
    tool,
)
from graphengine.agents.tools import Tool, ToolsUnavailable
from graphengine.engine.step_json import encode_step
from graphengine.errors import InputError
from graphengine.models import Request, Response
from graphengine.models.errors import ModelTransient
from graphengine.models.scripted import calls
from graphengine.records.export import export_run, import_run
from graphengine.records.replay.replay import replay
from graphengine.stores.memory import MemoryStore
from tests.agents.run_kits import ADD, Work, add, failing, forked, names, one, paid, within
from tests.kit.facts import said
from tests.kit.runs import alone

KEY = "0-0123456789-abcdefghijklmnopqrstuvwxyz"


def script(request: Request) -> Response:
    """Return a turn with a call, then an answer."""
    return paid("", ADD) if request.messages[-1].role == "user" else paid("done")


# -- branches, changes, exports


async def test_a_changed_prompt_starts_anew_and_the_old_turns_are_listed() -> None:
    """The step of the node lists the unused records; all usage stays counted."""
    model = ScriptedModel([paid("", ADD), ModelTransient("later"), paid("", ADD), paid("3")])
    before, after = (Agent("writer", prompt=prompt, tools=[add], model=model) for prompt in ("{task}", "Write. {task}"))
    never = Retry(attempts=1)
    async with Runner() as runner:
        await failing(runner.start(one(before, retry=never), run_id="r"))
        done = await within(runner.resume("r", one(after, retry=never)))
        (step,) = [step for step in await runner.history("r") if step.kind == "node"]
    assert (done.state.draft, done.usage.cost_usd, len(model.requests)) == ("3", 3.0, 4)
    assert [re.sub(r"\|\w{18}\|", "|…|", key) for key in said(step)["unused"]] == [
        "agent writer|…|1/turn|1|1",
        "agent writer|…|1/tool add|1.0|1",
    ]


async def test_a_run_continues_with_another_model_after_the_first_ones_turns() -> None:
    """Records are independent of the provider."""
    store = MemoryStore()
    graph = one(Agent("writer", prompt="{task}", tools=[add]), retry=Retry(attempts=1))
    async with Runner(store, models={"writer": ScriptedModel([paid("", ADD), ModelTransient("later")])}) as runner:
        await failing(runner.start(graph, run_id="r"))
    other = ScriptedModel([paid("three")])
    async with Runner(store, models={"writer": other}) as runner:
        done = await within(runner.resume("r", graph))
    assert (done.state.draft, [message.role for message in other.requests[0].messages]) == (
        "three",
        ["user", "assistant", "tool"],
    )


async def test_turns_are_exported_imported_and_replayed() -> None:
    """A copy of the run has the same history and decisions, and can be resumed from its middle."""
    model = ScriptedModel(script)
    graph = one(Agent("writer", prompt="{task}", tools=[add], model=model, memory="messages"))
    async with Runner() as runner:
        result = await within(runner.start(graph, run_id="r"))
        exported = await export_run(runner.store, "r")
    found = replay(graph, exported)
    assert found.same, str(found)
    async with Runner() as other:
        await import_run(other.store, exported)
        again = await within(other.resume("r", graph))
        assert (again.state, again.usage) == (result.state, result.usage)
        child = await within(other.branch("r", graph, 2))
    assert (child.state.draft, child.usage.cost_usd, child.inherited.cost_usd) == ("done", 2.0, 1.0)


async def test_approvals_and_messages_of_tools_are_replayed() -> None:
    """Approvals and messages of tools are replayed also if a function without a context calls the agent."""

    def tell(text: str, ctx: Context) -> str:
        """Tell a colleague."""
        ctx.send("news", text)
        return "told"

    agent = Agent("writer", prompt="{task}", tools=[tool(tell, approve=True)])

    async def work(task: str) -> str:
        return await agent.run(task=task)

    for node in (agent, work):
        graph = one(node)
        model = ScriptedModel([paid("", ("tell", {"text": "x"})), paid("done")])
        async with Runner(models={"writer": model}) as runner:
            run = runner.start(graph)
            assert (await within(run)).status == "waiting"
            await runner.answer(run.id, value=True)
            assert (await within(runner.resume(run.id, graph))).state.draft == "done"
            exported = await export_run(runner.store, run.id)
        found = replay(graph, exported)
        assert found.same, str(found)


async def test_failed_and_called_off_agents_are_replayed() -> None:
    """Attempts that kept records, cancelled arms and approvals are replayed."""
    tries = 0
    hangs = asyncio.Event()

    async def answers(request: Request) -> Response:
        nonlocal tries
        if request.agent == "slow":
            if request.messages[-1].role == "user":
                return paid("", ADD)
            hangs.set()
            await asyncio.Event().wait()
        tries += 1
        if tries == 2:
            raise ModelTransient("slow down")
        await hangs.wait()
        return script(request)

    model = ScriptedModel(answers)
    slow, quick = (Agent(name, prompt="{task}", tools=[add], model=model) for name in ("slow", "quick"))
    graph = forked(1, {"retry": Retry(attempts=2, initial_seconds=0)}, draft=slow, other=quick)
    async with Runner() as runner:
        result = await within(runner.start(graph, run_id="r"))
        found = replay(graph, await export_run(runner.store, "r"))
    assert (result.state.other, result.usage.cost_usd) == ("done", 3.0)
    assert found.same, str(found)


@pytest.mark.parametrize("whose", ["tool", "step", "nested"])
async def test_what_a_recorded_call_sent_is_delivered_once(whose: str) -> None:
    """What a recorded call sent is delivered by whichever attempt uses the record, though the call is not repeated."""
    model = ScriptedModel(
        lambda request: paid("", ("tell", {"text": "x"})) if len(request.messages) == 1 else paid("done")
    )
    made = tries = 0

    async def tell(text: str, ctx: Context) -> str:
        """Tell a colleague."""
        nonlocal made
        made += 1
        ctx.send("news", text)
        ctx.emit({"told": text}, record=True)
        return "told"

    inner = Agent("writer", prompt="{task}", tools=[tell], model=model)

    async def work(ctx: Context, task: str) -> str:
        nonlocal tries
        tries += 1
        if whose == "step":
            await ctx.call(tell, "x", ctx, key="tell")
        elif whose == "nested":
            await ctx.call(inner.run, task=task)
        else:
            await inner.run(task=task)
        await ctx.call(fail, key="fail")
        return "done"

    async def fail() -> None:
        if tries == 1:
            raise ModelTransient("slow down")

    async def hear(ctx: Context) -> str:
        return await ctx.receive("news", str)

    graph = Graph("g", Work)
    graph.add_node("work", work, writes="draft", retry=Retry(attempts=2, initial_seconds=0))
    graph.add_node("hear", hear, writes="other")
    graph.add_path(START, "work", "hear", END)
    async with Runner() as runner:
        run = runner.start(graph)
        result = await within(run)
        (step,) = [step for step in await runner.history(run.id) if step.kind == "node" and step.node == "work"]
        found = replay(graph, await export_run(runner.store, run.id))
    assert (made, tries, result.state.other) == (1, 2, "x")
    assert (said(step)["sent"], said(step)["emitted"]) == ([["news", "x"]], [{"told": "x"}])
    assert found.same, str(found)


# -- errors around the calls keep what was recorded


async def test_a_price_that_is_not_known_loses_nothing() -> None:
    """A run that continues with such a model under a limit fails, and then continues after its last turn."""

    class Unpriced(ScriptedModel):
        async def knows_price(self) -> bool:
            return False

    store = MemoryStore()
    graph = one(Agent("writer", prompt="{task}", tools=[add]))
    async with Runner(store, models={"writer": ScriptedModel(script)}) as runner:
        await within(runner.start(graph, run_id="r", limits=Limits(cost_usd=1)))
    model = Unpriced(script)
    async with Runner(store, models={"writer": model}) as runner:
        with pytest.raises(RunFailed, match="price_unknown"):
            await within(runner.resume("r", graph, limits=Limits(cost_usd=9)))
        done = await within(runner.resume("r", graph, limits=Limits(cost_usd=9, unknown_cost=True)))
    assert (done.state.draft, len(model.requests), done.usage.calls) == ("done", 1, 2)


async def test_a_window_that_is_put_on_later_shifts_no_turns() -> None:
    """The recorded answers keep their places; the summary is one more call."""
    turn = replace(paid("word " * 400, ADD), input_tokens=900)
    model = ScriptedModel([turn, turn, turn, ModelTransient("no"), paid("done")])
    cheap = ScriptedModel(lambda request: paid("in short"))
    agent = Agent("writer", prompt="{task}", tools=[add], model=model)
    never = Retry(attempts=1)
    async with Runner() as runner:
        await failing(runner.start(one(agent, retry=never), run_id="r"))
        windowed = agent.but(window=Window(600, keep=2, model=cheap))
        done = await within(runner.resume("r", one(windowed, retry=never)))
        recorded = await names(runner, "r")
        (step,) = [step for step in await runner.history("r") if step.kind == "node"]
    assert (done.state.draft, recorded.count("turn"), recorded.count("tool add")) == ("done", 4, 3)
    assert recorded.count("summary") == len(cheap.requests) > 0
    assert "unused" not in said(step)


class Source:
    """A source of tools that is unavailable at first, or slow to open."""

    def __init__(self, name: str, fails_at: int = 0) -> None:
        self.name = name
        self.fails_at = fails_at
        self.asked = 0
        self.opened = 0
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def open(self) -> Sequence[Tool]:
        """Open it."""
        await self.is_open.wait()
        self.asked += 1
        if self.asked == self.fails_at:
            raise ToolsUnavailable(f"{self.name} is not there")
        self.opened += 1
        return [Tool(add)]

    async def close(self) -> None:
        """Close it."""
        self.opened -= 1


async def test_tools_that_cannot_be_had_lose_nothing() -> None:
    """A server that does not start on a resume fails the node; the records are used once it does."""
    store = MemoryStore()
    model = ScriptedModel(script)
    source = Source("server", fails_at=2)
    graph = one(Agent("writer", prompt="{task}", tools=[source], model=model))
    async with Runner(store) as runner:
        await within(runner.start(graph, run_id="r", limits=Limits(cost_usd=1)))
    async with Runner(store) as runner:
        with pytest.raises(RunFailed, match="tools_unavailable"):
            await within(runner.resume("r", graph, limits=Limits(cost_usd=9)))
        done = await within(runner.resume("r", graph))
    assert (done.state.draft, len(model.requests), done.usage.cost_usd) == ("done", 2, 2.0)


async def test_a_source_of_tools_is_opened_once_for_all_runs_and_keeps_no_other_waiting() -> None:
    """One that is slow to open delays only the agents that need it."""
    slow, quick = Source("slow"), Source("quick")
    slow.is_open.clear()
    model = ScriptedModel(script)
    graphs = [one(Agent("writer", prompt="{task}", tools=[source], model=model)) for source in (slow, quick)]
    async with Runner() as runner:
        held = [runner.start(graphs[0]) for _ in range(3)]
        for _ in range(3):
            assert (await within(runner.start(graphs[1]))).state.draft == "done"
        slow.is_open.set()
        assert [(await within(run)).state.draft for run in held] == ["done"] * 3
        assert (slow.opened, quick.opened) == (1, 1)
    assert (slow.opened, quick.opened) == (0, 0)


async def test_models_are_given_for_agents_wherever_they_are_held() -> None:
    """Models are given for agents held by tools, resources' factories, another agent's check, and summaries."""
    inner, judge, kept = (Agent(name, prompt="{task}") for name in ("inner", "judge", "kept"))

    async def consult(task: str) -> str:
        """Ask a colleague."""
        return await inner.run(task=task)

    async def check(draft: str, task: str) -> None:
        await judge.run(task=task)

    def factory() -> object:
        return kept

    window = Window(100_000, model="anthropic:claude-haiku-4-5")
    agent = Agent("writer", prompt="{task}", tools=[consult], check=check, window=window)
    graph = alone(Work, agent, "draft", resources={"helper": factory})
    script = ScriptedModel({"writer": [calls(("consult", {"task": "?"})), "x"], "inner": ["y"], "judge": ["z"]})
    models: dict[str, Any] = dict.fromkeys(("writer", "inner", "judge", "kept", "writer summary"), script)
    with script:
        async with Runner(models=models) as runner:
            assert (await within(runner.start(graph))).state.draft == "x"
    async with Runner(models={"innner": script}) as runner:
        with pytest.raises(InputError, match=r"unknown agent 'innner'[\s\S]*inner"):
            runner.start(graph)


# -- secrets


class Secretive(BaseModel):
    """A state with a secret."""

    token: SecretStr = SecretStr("sesame-open-up")
    task: str = "rhyme"
    draft: str = ""


async def test_a_tool_that_gives_a_secret_away_fails_the_node_and_loses_nothing() -> None:
    """Neither the log nor a model gets its plain text; usage is counted, records are kept."""
    pytest.importorskip("cryptography")
    model = ScriptedModel([paid("", ADD), paid("", ("peek", {})), paid("done")])
    secret = True

    def peek() -> str:
        """Look."""
        return "it is sesame-open-up" if secret else "nothing"

    def echo() -> Graph[Secretive]:
        graph = Graph("g", Secretive, secret_key=KEY)
        graph.add_node("work", Agent("writer", prompt="{task}", tools=[add, peek], model=model), writes="draft")
        graph.add_path(START, "work", END)
        return graph

    async with Runner() as runner:
        run = runner.start(echo())
        failed = await failing(run)
        assert failed.error is not None
        assert (failed.error.kind, failed.usage.cost_usd) == ("not_recordable", 2.0)
        secret = False
        done = await within(runner.resume(run.id, echo()))
        log = b"".join(encode_step(step) for step in await runner.history(run.id))
    assert b"sesame" not in log
    assert (done.state.draft, done.usage.cost_usd, len(model.requests)) == ("done", 3.0, 3)


async def test_a_model_that_gives_a_secret_away_is_counted() -> None:
    """The answer is not recorded, but its cost is counted."""
    pytest.importorskip("cryptography")
    graph = Graph("g", Secretive, secret_key=KEY)
    model = ScriptedModel([paid("sesame-open-up")])
    graph.add_node("work", Agent("writer", prompt="{task}", model=model), writes="draft")
    graph.add_path(START, "work", END)
    async with Runner() as runner:
        run = runner.start(graph)
        failed = await failing(run)
        log = b"".join(encode_step(step) for step in await runner.history(run.id))
    assert failed.usage.cost_usd == 1.0
    assert b"sesame" not in log


# -- many, and long


async def test_a_conversation_of_two_hundred_turns_writes_each_message_once(tmp_path: Path) -> None:
    """The log grows with new messages, not with the whole history."""
    size: dict[int, int] = {}
    for turns in (100, 200):
        model = ScriptedModel(
            lambda request, turns=turns: paid("x" * 500, ADD) if len(request.messages) < 2 * turns else paid("done")
        )
        agent = Agent("writer", prompt="{task}", tools=[add], model=model, turns=300, memory="messages")
        database = tmp_path / f"{turns}.db"
        async with Runner(database) as runner:
            run = runner.start(one(agent))
            assert (await run.result()).state.draft == "done"
            size[turns] = sum(len(encode_step(step)) for step in await runner.history(run.id))
    assert size[200] < 2.2 * size[100]
