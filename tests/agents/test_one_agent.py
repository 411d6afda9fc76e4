"""One agent without a graph of one's own; `sessions/alone.txt` and `sessions/chats.txt` show what it answers."""

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
    Media,
    RunFailed,
    Runner,
    ScriptedModel,
    SyncRunner,
)
from graphengine.compile import compiler, graph_spec
from graphengine.errors import DefinitionError
from graphengine.media import TextFile
from graphengine.models import calls
from graphengine.runner import run_events
from tests.agents.run_kits import one, within

if TYPE_CHECKING:
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
        with pytest.raises(DefinitionError, match="has no answer, because the run is stopped") as caught:
            await answer
    assert caught.value.repair == f"runner.run(agent, run_id={info.id!r}) continues the run"


async def test_a_stream_that_is_not_read_has_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it shows is left out when too much waits, while the call still works."""
    monkeypatch.setattr(run_events, "MOST_WAITING", 2)
    model = ScriptedModel([calls(*(("weather", {"city": str(number)}) for number in range(4))), "It rains."])
    shown = [each async for each in ASSISTANT.but(model=model).stream(question="Rain?")]
    assert shown == ["It rains."]


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


def test_an_agent_answers_without_an_event_loop() -> None:
    """An agent answers in a script, repeatedly, and so does a conversation."""
    agent = ASSISTANT.but(model=ScriptedModel(["one", "two", "three", "four"]))
    assert [agent.run_sync(question="1"), agent.run_sync(question="2")] == ["one", "two"]
    with SyncRunner() as runner:
        assert runner.run(agent, chat="a", question="1") == "three"
        *_, found = runner.stream(agent, chat="a", question="2")
        assert found == "four"


async def test_a_sync_node_has_no_event_loop() -> None:
    """An agent that is called there is a part of the run."""
    agent = Agent("planner", prompt="{task}", model=ScriptedModel(["Why?"]))
    async with Runner() as runner:
        result = await within(runner.start(one(lambda task: agent.run_sync(task=task))))
    assert (result.state.draft, result.usage.calls) == ("Why?", 1)
