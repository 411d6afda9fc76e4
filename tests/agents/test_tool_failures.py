"""Failing tools: what the model gets, what is recorded and logged, and what fails the node instead."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from graphengine import Agent, Runner, ScriptedModel, tool
from graphengine.models.errors import (
    ModelError,
    ModelNotReady,
    ModelTransient,
    NotAuthenticated,
    PriceUnknown,
    QuotaExceeded,
)
from graphengine.models.scripted import calls
from graphengine.testing import FakeClock
from tests.agents.run_kits import failing, names, one, within
from tests.agents.tool_kits import called
from tests.kit.facts import said


def consulting(inner: Agent[str], *, wrapped: bool = False) -> Agent[str]:
    """Return an agent with another one as a tool."""

    async def consult(text: str) -> str:
        """Ask a colleague."""
        try:
            return await inner.run(text=text)
        except ModelError as error:
            raise ExceptionGroup("colleagues", [error]) if wrapped else error from None

    return Agent("outer", prompt="{task}", tools=[consult])


@pytest.mark.parametrize("wrapped", [False, True])
async def test_what_passes_at_a_sub_agents_model_is_tried_again(*, wrapped: bool) -> None:
    """A failure of an agent that is a tool is retried as any other, and the outer model does not see it."""
    script = {
        "outer": [calls(("consult", {"text": "?"})), "so"],
        "inner": [ModelTransient("later", retry_after_seconds=7), "yes"],
    }
    model = ScriptedModel(script)
    async with Runner(models={"*": model}, clock=FakeClock()) as runner:
        run = runner.start(one(consulting(Agent("inner", prompt="{text}"), wrapped=wrapped)))
        result = await within(run)
        recorded = await names(runner, run.id)
    assert result.state.draft == "so"
    assert recorded.count("attempt") == 1
    assert [message.text for message in model.requests[-1].messages if message.role == "tool"] == ["yes"]
    assert len(model.requests) == 4  # the outer agent's first turn is not repeated


@pytest.mark.parametrize("error", [NotAuthenticated("no key"), QuotaExceeded("no money"), PriceUnknown("no price")])
async def test_a_sub_agents_model_that_is_not_ready_fails_the_node(error: ModelNotReady) -> None:
    """A run whose tools' model has no key does not finish: it fails, and a resume continues it."""
    model = ScriptedModel({"outer": [calls(("consult", {"text": "?"})), "so"], "inner": [error, "yes"]})
    graph = one(consulting(Agent("inner", prompt="{text}")))
    async with Runner(models={"*": model}) as runner:
        run = runner.start(graph)
        failed = await failing(run)
        assert failed.error is not None
        assert failed.error.kind == error.code
        result = await within(runner.resume(run.id, graph))
    assert result.state.draft == "so"


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


@pytest.mark.parametrize("arguments", ["{text:", '{"text": "half of i', {"txet": "hi"}])
async def test_no_approval_is_requested_for_arguments_that_do_not_fit(arguments: Any) -> None:
    """The call goes back to the model; a person is asked about the next one, which fits."""
    sent: list[str] = []

    def send(text: str) -> str:
        """Send a text."""
        sent.append(text)
        return "sent"

    model = ScriptedModel([calls(("send", arguments)), calls(("send", {"text": "hi"})), "done"])
    graph = one(Agent("writer", prompt="{task}", tools=[tool(send, approve=True)]))
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph)
        (wait,) = (await within(run)).waits
        answer: object = True
        assert wait.question == 'May writer call send({"text": "hi"})?'
        assert model.requests[1].messages[-1].is_error
        await runner.answer(run.id, answer)
        result = await within(runner.resume(run.id, graph))
    assert (result.state.draft, sent) == ("done", ["hi"])
