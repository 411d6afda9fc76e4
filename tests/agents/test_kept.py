"""Records of agents' conversations with windows, sources, models and secrets; `sessions/kept.txt` shows most others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import (
    END,
    START,
    Agent,
    Graph,
    Retry,
    RunFailed,
    Runner,
    ScriptedModel,
    Settings,
    Window,
)
from graphengine.agents.tools import Tool
from graphengine.engine.step_json import encode_step
from graphengine.errors import InputError
from graphengine.media import Media
from graphengine.models import Request, Response
from graphengine.models.errors import BadRequest, ModelTransient
from graphengine.models.scripted import calls
from tests.agents.run_kits import ADD, Work, add, failing, names, one, paid, within
from tests.kit.facts import said
from tests.kit.runs import alone

KEY = "0-0123456789-abcdefghijklmnopqrstuvwxyz"


def script(request: Request) -> Response:
    """Return a turn with a call, then an answer."""
    return paid("", ADD) if request.messages[-1].role == "user" else paid("done")


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
    """A source of tools that may be slow to open."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.opened = 0
        self.is_open = asyncio.Event()

    async def open(self) -> Sequence[Tool]:
        """Open it."""
        await self.is_open.wait()
        self.opened += 1
        return [Tool(add)]

    async def close(self) -> None:
        """Close it."""
        self.opened -= 1


async def test_a_source_of_tools_is_opened_once_for_all_runs_and_keeps_no_other_waiting() -> None:
    """One that is slow to open delays only the agents that need it."""
    slow, quick = Source("slow"), Source("quick")
    quick.is_open.set()
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
        with pytest.raises(InputError, match=r"no agent and no node called 'innner'[\s\S]*inner"):
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


class Refuses(ScriptedModel):
    """A model that refuses every request, under a name that a caller chose."""

    async def answer(self, request: Request) -> Response:
        """Refuse."""
        raise BadRequest("no", where=self.name, repair="none")


@pytest.mark.parametrize(
    "given",
    [
        {"settings": Settings(extra={"user": "sesame-open-up"})},
        {"settings": Settings(extra={"sesame-open-up": "user"})},
        {"settings": Settings(stop=["sesame-open-up"])},
        {"prompt": lambda: ["look", Media(url="https://example.org/a.png?key=sesame-open-up", type="image/png")]},
        {"name": "for sesame-open-up"},
        {"model": "sesame-open-up"},
    ],
    ids=["extra", "key", "stop", "media", "agent", "model"],
)
@pytest.mark.parametrize("kind", [Refuses, ScriptedModel])
async def test_what_a_call_was_asked_is_recorded_without_secrets(
    given: dict[str, Any], kind: type[ScriptedModel]
) -> None:
    """Neither the record of a call that failed nor that of an answer has one, in its texts, keys and names."""
    pytest.importorskip("cryptography")
    model = kind(["done"])
    model.name = given.get("model", "scripted")

    async def work(token: SecretStr) -> str:
        assert token.get_secret_value() == "sesame-open-up"
        return str(await Agent("writer", prompt="rhyme").but(**{**given, "model": model}).run())

    graph = alone(Secretive, work, "draft", name="g", secret_key=KEY)
    async with Runner() as runner:
        run = runner.start(graph)
        with suppress(RunFailed):
            await run.result()
        steps = await runner.history(run.id)
    assert b"sesame" not in b"".join(encode_step(step) for step in steps)
    assert kind is ScriptedModel or any(getattr(step.data, "lost", None) for step in steps)


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
        agent = Agent("writer", prompt="{task}", tools=[add], model=model, turns=300, messages="messages")
        database = tmp_path / f"{turns}.db"
        async with Runner(database) as runner:
            run = runner.start(one(agent))
            assert (await run.result()).state.draft == "done"
            size[turns] = sum(len(encode_step(step)) for step in await runner.history(run.id))
    assert size[200] < 2.2 * size[100]
