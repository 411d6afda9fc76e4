"""One agent without a graph of one's own: recorded by a Runner, streamed, resumed."""

from __future__ import annotations

import asyncio
import datetime
import enum
import inspect
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from graphengine import (
    Agent,
    Graph,
    Limits,
    Media,
    Message,
    RunFailed,
    Runner,
    RunWaits,
    ScriptedModel,
    SyncRunner,
    tool,
)
from graphengine.agents import TextDelta, ToolCalled, ToolReturned
from graphengine.compile import compiler, graph_spec
from graphengine.errors import DefinitionError, InputError
from graphengine.media import TextFile
from graphengine.models import calls
from graphengine.runner import run_events

if TYPE_CHECKING:
    from collections.abc import AsyncIterable
    from pathlib import Path

    from graphengine.graph.definition import GraphDefinition


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


async def test_a_question_to_a_person_is_answered_in_its_run(tmp_path: Path) -> None:
    """`run` says which run waits for what; once it is answered, the same call continues it, in another process too."""
    careful = Agent("careful", tools=[tool(weather, approve=True)])
    model = scripted()
    async with Runner(tmp_path / "runs.db", models=model) as runner:
        with pytest.raises(RunWaits, match="is waiting: it asks") as caught:
            await runner.run(careful, question="Rain?", run_id="r")
        assert (caught.value.run_id, len(caught.value.waits)) == ("r", 1)
        with pytest.raises(RunWaits):
            await runner.run(careful, run_id="r")
    async with Runner(tmp_path / "runs.db", models=model) as runner:
        await runner.answer("r", True)  # noqa: FBT003 - the answer
        assert await runner.run(careful, run_id="r") == "It rains."
        assert await runner.run(careful, run_id="r") == "It rains."
    assert len(model.requests) == 2


async def test_a_run_that_was_stopped_has_no_answer() -> None:
    """The error names the run, and how to continue it."""
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
    assert caught.value.repair == f"runner.run(slow, run_id={info.id!r}) continues it"


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


class Color(enum.Enum):
    """A member's value is the program's text, so a prompt inserts it without tags."""

    RED = "red"
    TWO = 2


@dataclass
class Place:
    """A structure."""

    name: str
    since: datetime.date


DAY = datetime.date(2026, 11, 23)
SHOWN = {
    "date": DAY,
    "datetime": datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC),
    "time": datetime.time(12, 30),
    "timedelta": datetime.timedelta(hours=1.5),
    "decimal": Decimal("1.50"),
    "uuid": UUID(int=7),
    "enum": Color.RED,
    "enum of a number": Color.TWO,
    "nan": float("nan"),
    "model": Forecast(city="Bern", rain=True),
    "dataclass": Place("Bern", DAY),
    "list": [Place("Bern", DAY), None, 1],
    "tuple": (1, 2.5),
    "set": {"b", "a"},
    "dict": {"when": DAY, 2: Decimal(3)},
    "file": TextFile(path="a.md", text="# A"),
    "files": [TextFile(path="a.md", text="# A")],
    "media": Media(data=b"%PDF-1", name="a.pdf"),
    "media in a dict": {"shown": [Media(data=b"%PDF-1")]},
    "text like a date": "2026-11-23",
}


@pytest.mark.parametrize("value", SHOWN.values(), ids=SHOWN)
async def test_a_recorded_run_takes_what_the_agent_takes(value: object, tmp_path: Path) -> None:
    """The model is asked the same with and without a Runner, and again by the run that another process resumes."""
    agent = Agent("reader", prompt="Read {x}.")
    model = ScriptedModel(["ok", "ok"])
    assert await agent.but(model=model).run(x=value) == "ok"
    async with Runner(tmp_path / "runs.db", models=ScriptedModel([])) as runner:
        with pytest.raises(RunFailed):
            await runner.run(agent, x=value, run_id="r")
    async with Runner(tmp_path / "runs.db", models=model) as runner:
        assert await runner.run(agent, run_id="r") == "ok"
    assert model.requests[0].messages == model.requests[1].messages


async def test_a_function_of_the_agent_gets_scalars_of_their_own_class() -> None:
    """Also where no annotation says which."""
    agent = Agent("reader", by_rules=lambda x: type(x).__name__, prompt="{x}")
    kinds = ("date", "datetime", "time", "timedelta", "decimal", "uuid", "media")
    async with Runner() as runner:
        found = [await runner.run(agent, x=SHOWN[kind]) for kind in kinds]
    assert found == ["date", "datetime", "time", "timedelta", "Decimal", "UUID", "Media"]


async def test_the_resources_of_the_runner_are_the_agents() -> None:
    """Its tools and functions take them by name; models and lists of runs do not see them."""

    def price(db: dict[str, int], item: str) -> int:
        """Return the price of an item."""
        return db[item]

    model = ScriptedModel([calls(("price", {"item": "pump"})), "It costs 100."])
    shop = Agent("shop", tools=[price], check=lambda answer, db: str(db["pump"]) in answer or 1 / 0)
    async with Runner(models=model, resources={"db": {"pump": 100}, "unused": 1}) as runner:
        assert await runner.run(shop, question="How much is a pump?") == "It costs 100."
    assert model.requests[0].tools[0].schema["required"] == ["item"]


async def test_options_of_a_run_are_those_of_its_graph(tmp_path: Path) -> None:
    """Limits, tags, an id, and an earlier run whose conversation goes on."""
    chat = Agent("chat", prompt="{question}", memory="messages", model=ScriptedModel(["1", "2"]))
    async with Runner(tmp_path / "runs.db") as runner:
        assert await runner.run(chat, question="a", run_id="first", tags=["x"]) == "1"
        assert await runner.run(chat, question="b", after="first", run_id="second") == "2"
        info = await runner.info("first")
        again = await runner.resume("second", Graph.of(chat)).result()
        with pytest.raises(DefinitionError, match="is stopped"):
            await runner.run(chat, question="c", limits=Limits(visits=0))
    assert info.tags == ("x",)
    assert [message.text for message in again.state.messages] == [
        f"<question>{q}</question>" if q in "ab" else q for q in "a1b2"
    ]


async def test_an_input_with_the_name_of_an_option_is_given_in_a_mapping() -> None:
    """By name it would be the option, so that is refused."""
    labeller = Agent("labeller", prompt="Sort {tags}.", by_rules=lambda tags: tags[-1])
    async with Runner() as runner:
        with pytest.raises(DefinitionError, match="an option of the run too") as caught:
            await runner.run(labeller, tags=["b", "a"])
        assert "{'tags': …}" in caught.value.repair
        assert await runner.run(labeller, {"tags": ["b", "a"]}, tags=["x"]) == "a"


async def test_the_graph_of_an_agent_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each call."""
    made: list[str] = []
    compiled = graph_spec.graph_spec_of

    def counted(graph: GraphDefinition[Any], nodes: Any) -> Any:
        made.append(graph.name)
        return compiled(graph, nodes)

    monkeypatch.setattr(compiler, "graph_spec_of", counted)
    echo = Agent("echo", prompt="{x}", by_rules=lambda x: x)
    async with Runner() as runner:
        assert [await runner.run(echo, x=each) for each in "abc"] == ["a", "b", "c"]
    assert made == ["echo"]


def test_only_documented_names_are_public() -> None:
    """What an editor offers is what the documentation explains."""
    shown = {name for name in dir(Agent) if not name.startswith("_")}
    assert shown == {*inspect.signature(Agent).parameters, "answer", "but", "run", "run_sync", "stream"}
