"""Failing tools: what the model gets, what is recorded and logged, and what fails the node instead."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from graphengine import Agent, Runner, ScriptedModel
from graphengine.models.errors import (
    ModelError,
)
from graphengine.models.scripted import calls
from tests.agents.run_kits import one, within
from tests.agents.tool_kits import called
from tests.kit.facts import said
from tests.kit.odd_errors import ERRORS, LONGEST_TEXT


async def test_a_model_error_that_is_about_the_question_goes_back_to_the_model() -> None:
    """The outer model can rephrase a question that a sub-agent refuses."""

    async def fail() -> None:
        raise ModelError("refused")

    assert (await called(fail)).is_error


def broken(word: str) -> str:
    """Look a word up."""
    table: dict[str, str] = {}
    return table[word]


async def broken_later(word: str) -> str:
    """Look a word up."""
    return broken(word)


@pytest.mark.parametrize("function", [broken, broken_later])
async def test_what_a_tool_raised_is_recorded_and_logged(function: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The traceback of a bug is in the call's record and in the log, once; the model gets only the short text."""
    model = ScriptedModel([calls((function.__name__, {"word": "tide"})), "done"])
    graph = one(Agent("writer", prompt="{task}", tools=[function]), retry=None)
    with caplog.at_level(logging.WARNING, "graphengine.agents"):
        async with Runner(models={"writer": model}) as runner:
            run = runner.start(graph)
            await within(run)
            steps = list(await runner.history(run.id))
    (record,) = [said(step)["value"] for step in steps if said(step).get("name") == f"tool {function.__name__}"]
    assert (record["text"], record["error"]) == ("KeyError: 'tide'", True)
    assert "return table[word]" in record["traceback"]
    (line,) = caplog.records
    assert f"tool {function.__name__} of agent writer raised KeyError" in line.getMessage()
    assert line.exc_info is not None
    assert isinstance(line.exc_info[1], KeyError)
    assert model.requests[1].messages[-1].text == "KeyError: 'tide'"


@pytest.mark.parametrize("name", [name for name, make in ERRORS.items() if isinstance(make(), Exception)])
async def test_every_exception_of_a_tool_goes_back_to_the_model(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it takes to describe it, the run goes on, and its record stays small."""
    caplog.set_level(logging.CRITICAL, "graphengine.agents")  # pytest's own handler cannot write every exception

    def fail() -> None:
        """Fail."""
        error = ERRORS[name]()
        raise error

    model = ScriptedModel([calls(("fail", {})), "done"])
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(one(Agent("writer", prompt="{task}", tools=[fail]), retry=None))
        await within(run)
        (record,) = [said(s)["value"] for s in await runner.history(run.id) if said(s).get("name") == "tool fail"]
    assert record["error"]
    assert record["traceback"]
    assert len(str(record)) < 2 * LONGEST_TEXT


async def test_arguments_that_do_not_fit_leave_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """They are the model's mistake, not the tool's."""
    model = ScriptedModel([calls(("broken", "{word")), "done"])
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(one(Agent("writer", prompt="{task}", tools=[broken])))
        await within(run)
        steps = list(await runner.history(run.id))
    (record,) = [said(step)["value"] for step in steps if said(step).get("name") == "tool broken"]
    assert record.keys() == {"text", "error"}
    assert caplog.records == []
