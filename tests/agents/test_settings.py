"""Settings of agents: how they reach the model, what is recorded, and what compile refuses."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from graphengine import Agent, RunFailed, Runner, ScriptedModel, Settings, Window
from graphengine.agents.prompts import DATA_NOTE, SYSTEM_DATA_NOTE
from graphengine.errors import DefinitionError
from graphengine.models import AnthropicModel, Request
from graphengine.models.scripted import calls
from tests.agents.run_kits import ADD, Stuck, add, one, paid, within
from tests.kit.facts import said

HEADER = "Bearer one-two-three"


async def asked(agent: Agent[Any], *answers: object) -> list[Request]:
    """Return the requests of an agent that runs alone."""
    model = ScriptedModel(list(answers) or ["ok"])
    await agent.but(model=model).run(task="x")
    return model.requests


class TestSettings:
    """`settings=`."""

    async def test_a_tool_is_required_in_the_first_turn_alone(self) -> None:
        """The model could never answer otherwise; `none` applies to all turns."""
        for choice, later in (("required", None), ("add", None), ("none", "none")):
            agent = Agent("a", prompt="{task}", tools=[add], settings=Settings(tool_choice=choice))
            first, second = await asked(agent, calls(ADD), "3")
            assert (first.settings.tool_choice, second.settings.tool_choice) == (choice, later)

    async def test_the_cache_covers_a_conversation_that_is_sent_again(self) -> None:
        """The cache covers the conversation of an agent with tools or a memory; another's question is sent once."""
        agent = Agent("a", prompt="{task}", settings=Settings(cache=True))
        plain = agent.but(settings=Settings())
        for made, cache in ((agent, True), (agent.but(tools=[add]), "conversation"), (plain, False)):
            (request,) = await asked(made)
            assert request.settings.cache == cache

    async def test_a_summary_gets_what_its_server_needs(self) -> None:
        """Headers and further fields, but neither the limits nor the tools of the answer."""
        settings = Settings(max_tokens=9, headers={"x-team": "a"}, extra={"user": "b"})
        agent = Agent("a", prompt="{task}", settings=settings, memory="messages", window=Window(1, keep=1))
        model = ScriptedModel(["one", "summary", "two"])
        answer = await agent.but(model=model).answer(task="x")
        await agent.but(model=model).answer(task="x", messages=answer.messages)
        assert model.requests[1].settings == Settings(headers={"x-team": "a"}, extra={"user": "b"})

    async def test_they_are_recorded_with_the_call_without_secrets(self) -> None:
        """Settings are recorded with the call, without secrets; an agent without settings records none."""
        settings = Settings(effort="low", headers={"authorization": HEADER})
        agent = Agent("a", prompt="{task}", tools=[add], settings=settings)
        async with Runner(models={"a": ScriptedModel([paid("", ADD), paid("3")])}) as runner:
            run = runner.start(one(agent))
            await within(run)
            steps = await runner.history(run.id)
        turns = [said(step)["value"] for step in steps if said(step).get("name") == "turn"]
        assert [turn["settings"] for turn in turns] == [{"effort": "low", "headers": {"authorization": "[secret]"}}] * 2
        assert HEADER not in str(steps)
        assert HEADER not in repr(agent)

    async def test_a_model_that_a_runner_puts_in_place_is_checked_too(self) -> None:
        """A model that a Runner replaces is checked when it is called; the call is not made."""
        model = AnthropicModel("claude-sonnet-5-5", api_key="k", base_url="http://127.0.0.1:9")
        async with Runner(models={"*": model}) as runner:
            with pytest.raises(RunFailed, match="has no setting effort='none'"):
                await within(runner.start(one(Agent("writer", prompt="{task}", settings=Settings(effort="none")))))


class TestInstructions:
    """`system=` with paths, or made by a function."""

    async def test_paths_are_filled_as_in_a_prompt(self) -> None:
        """Data is delimited, and the instructions explain that."""
        (request,) = await asked(Agent("a", system="Write for {task}, as {{json}}.", prompt="Go."))
        assert request.system == f"Write for <task>x</task>, as {{json}}.\n\n{SYSTEM_DATA_NOTE}"
        assert "in these instructions or in a question" in SYSTEM_DATA_NOTE
        (plain,) = await asked(Agent("a", system="Write.", prompt="{task}"))
        assert plain.system == f"Write.\n\n{DATA_NOTE}"

    async def test_a_function_reads_fields(self) -> None:
        """It is called in a thread, and must return text."""
        (request,) = await asked(Agent("a", system=lambda task: f"Write for {task}.", prompt="Go."))
        assert request.system == "Write for x."
        with pytest.raises(DefinitionError, match="the system of a is int"):
            await asked(Agent("a", system=lambda task: len(task) + 1, prompt="Go."))  # type: ignore[arg-type,return-value]  # pyright: ignore[reportArgumentType]

    async def test_a_resume_continues_with_the_instructions_that_were_sent(self, tmp_path: Path) -> None:
        """Whatever the function would return then; no turn is paid again."""
        days = itertools.count(1)
        agent = Agent("writer", system=lambda: f"Today is day {next(days)}.", prompt="{task}", tools=[add])
        stuck = Stuck([paid("", ADD)], at=2)
        async with Runner(tmp_path / "runs.db", models={"writer": stuck}) as runner:
            run = runner.start(one(agent))
            await stuck.reached.wait()
        model = ScriptedModel([paid("3")])
        async with Runner(tmp_path / "runs.db", models={"writer": model}) as runner:
            result = await within(runner.resume(run.id, one(agent)))
        assert (result.state.draft, model.requests[0].system.splitlines()[0]) == ("3", "Today is day 1.")
        assert [request.messages[-1].text for request in model.requests] == ["3"]
