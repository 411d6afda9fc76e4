"""One agent without a graph of one's own: recorded by a Runner, streamed, resumed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from graphengine import Agent, Graph, Message, RunFailed, Runner, ScriptedModel, SyncRunner, tool
from graphengine.agents import TextDelta, ToolCalled, ToolReturned
from graphengine.errors import DefinitionError, InputError
from graphengine.models import calls
from graphengine.runner import run_events

if TYPE_CHECKING:
    from collections.abc import AsyncIterable
    from pathlib import Path


class Forecast(BaseModel):
    """A typed answer."""

    city: str
    rain: bool


def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"Rain in {city}."


ASSISTANT = Agent("assistant", tools=[weather])
FORECASTER = Agent("forecaster", prompt="Will it rain in {city}? {style}", output=Forecast)
FORECAST = Forecast(city="Bern", rain=True)


def scripted() -> ScriptedModel:
    """Return a model that calls the tool, and answers."""
    return ScriptedModel([calls(("weather", {"city": "Bern"})), "It rains."])


async def listed(shown: AsyncIterable[Any]) -> tuple[list[type], str, Any]:
    """Return the types of the events, the text that was streamed, and the answer."""
    *events, answer = [each async for each in shown]
    text = "".join(each.text for each in events if isinstance(each, TextDelta))
    return list(dict.fromkeys(map(type, events))), text, answer


async def test_an_agent_is_run_and_recorded(tmp_path: Path) -> None:
    """The answer has its type, and the run is found under the agent's name."""
    async with Runner(tmp_path / "runs.db", models=ScriptedModel([FORECAST])) as runner:
        assert await runner.run(FORECASTER, city="Bern", style="Briefly.") == FORECAST
        (info,) = await runner.runs()
        assert (info.graph, info.status) == ("forecaster", "finished")


async def test_it_shows_what_it_does_and_then_its_answer() -> None:
    """Recorded, and alone, where nothing is."""
    wanted = ([ToolCalled, ToolReturned, TextDelta], "It rains.", "It rains.")
    async with Runner(models=scripted()) as runner:
        assert await listed(runner.stream(ASSISTANT, question="Rain?")) == wanted
    assert await listed(ASSISTANT.but(model=scripted()).stream(question="Rain?")) == wanted


async def test_it_is_resumed_by_another_runner(tmp_path: Path) -> None:
    """Its graph is the same in every process; the recorded turn is not asked for again."""
    twin = Agent("assistant", tools=[tool(weather)])
    async with Runner(tmp_path / "runs.db", models=ScriptedModel([calls(("weather", {"city": "Bern"}))])) as runner:
        with pytest.raises(RunFailed):
            await runner.start(Graph.of(ASSISTANT), {"question": "Rain?"}, run_id="r").result()
    async with Runner(tmp_path / "runs.db", models=ScriptedModel(["It rains."])) as runner:
        result = await runner.resume("r", Graph.of(twin)).result()
    assert (result.status, result.output) == ("finished", "It rains.")


async def test_an_agent_with_a_memory_keeps_its_conversation() -> None:
    """Earlier messages can be given."""
    chat = Agent("chat bot", prompt="{question}", memory="messages", by_rules=lambda question: question.upper())
    before = [Message(role="user", text="hi"), Message(role="assistant", text="ho")]
    async with Runner() as runner:
        result = await runner.start(Graph.of(chat), {"question": "why", "messages": before}).result()
    assert [message.text for message in result.state.messages][::3] == ["hi", "WHY"]


def test_a_parameter_with_a_default_is_no_required_input() -> None:
    """So it is in a graph."""
    loud = Agent("loud", prompt="Say {word}.", by_rules=lambda word, mark="!": word.upper() + mark)
    with SyncRunner() as runner:
        assert runner.run(loud, word="ho") == "HO!"
        assert runner.run(loud, word="ho", mark="?") == "HO?"
        *_, said = runner.stream(loud, word="ho")
    assert said == "HO!"


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"qestion": "x"}, "unknown field 'qestion': did you mean 'question'"),
        ({}, "question: Field required"),
        ({"question": "x", "more": 1}, "unknown field 'more'"),
    ],
)
async def test_a_wrong_input_is_refused(inputs: Any, problem: str) -> None:
    """Before anything is recorded."""
    async with Runner(models=scripted()) as runner:
        with pytest.raises(InputError, match=problem):
            await runner.run(ASSISTANT, **inputs)
        assert not await runner.runs()


def test_a_wrong_input_of_a_stream_is_refused_at_the_call() -> None:
    """With the inputs that it has."""
    with pytest.raises(DefinitionError, match=r"(?s)no input 'cty'.*write city= for cty=; it reads city, style"):
        FORECASTER.stream(cty="Bern", style="")


async def test_a_question_to_a_person_is_answered_in_its_run() -> None:
    """`run` says which run waits, and how to continue it."""
    careful = Agent("careful", tools=[tool(weather, approve=True)])
    async with Runner(models=scripted()) as runner:
        with pytest.raises(DefinitionError, match="is waiting: it asks") as caught:
            await runner.run(careful, question="Rain?")
        (info,) = await runner.runs()
        assert info.id in str(caught.value)


async def test_a_run_that_was_stopped_has_no_answer() -> None:
    """The error names the run, and no question."""
    begun = asyncio.Event()

    async def never(word: str) -> str:
        begun.set()
        await asyncio.Event().wait()
        return word

    async with Runner() as runner:
        answer = asyncio.create_task(runner.run(Agent("slow", prompt="{word}", by_rules=never), word="ho"))
        await begun.wait()
        (info,) = await runner.runs()
        await runner.stop(info.id, now=True)
        with pytest.raises(DefinitionError, match=f"run {info.id} is stopped") as caught:
            await answer
    assert caught.value.repair == "resume it with the graph Graph.of(slow)"


async def test_a_stream_that_is_not_read_has_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it shows is left out when too much waits, while the call still works."""
    monkeypatch.setattr(run_events, "MOST_WAITING", 2)
    model = ScriptedModel([calls(*(("weather", {"city": str(number)}) for number in range(4))), "It rains."])
    shown = [each async for each in ASSISTANT.but(model=model).stream(question="Rain?")]
    assert shown == ["It rains."]


async def test_a_stream_that_is_left_ends_the_call() -> None:
    """What it opened is closed."""
    shown = ASSISTANT.but(model=scripted()).stream(question="Rain?")
    assert isinstance(await anext(shown), ToolCalled)
    await shown.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(shown)


async def test_an_agent_that_reads_answer_has_no_graph() -> None:
    """The field is that of its own answer."""
    with pytest.raises(DefinitionError, match="careful reads answer"):
        Graph.of(Agent("careful", prompt="{answer}"))
