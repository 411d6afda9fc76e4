"""Agents whose inputs have a type: a TypedDict, a dataclass or a pydantic model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pytest
from pydantic import BaseModel, field_validator, model_validator

from graphengine import Agent, CompileError, Graph, Message, RunFailed, Runner, ScriptedModel
from graphengine.errors import DefinitionError, InputError
from tests.kit.runs import alone


class Keyed(TypedDict):
    """Keys."""

    city: str
    style: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Frozen:
    """A dataclass."""

    city: str
    style: str = "Briefly."


class Model(BaseModel):
    """A model with validators of its own."""

    city: str
    style: str = "Briefly."

    @field_validator("city")
    @classmethod
    def _stripped(cls, city: str) -> str:
        return city.strip()

    @model_validator(mode="after")
    def _plain(self) -> Model:
        if self.city == self.style:
            raise ValueError("the city is no style")
        return self


KINDS: list[Any] = [Keyed, Frozen, Model]


def forecaster(kind: Any, *answers: str, **more: Any) -> Agent[str, Any]:
    """Return an agent that reads this type."""
    return Agent("forecaster", inputs=kind, prompt="Rain in {city}? {style}", model=ScriptedModel([*answers]), **more)


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_given_them_wherever_it_runs(kind: Any) -> None:
    """Alone, by a Runner, in the graph of its own, and in a conversation; as a mapping too."""
    agent = forecaster(kind, *["Yes."] * 6)
    given = kind(city="Bern", style="Now.")
    assert await agent.run(given) == await agent.run({"city": "Bern", "style": "Now."}) == "Yes."
    async with Runner() as runner:
        assert await runner.run(agent, given) == "Yes."
        result = await runner.start(Graph.of(agent), given).result()
        assert await runner.run(agent, given, chat="ada") == await runner.run(agent, given, chat="ada") == "Yes."
    assert result.output == "Yes."
    assert result.state == {"city": "Bern", "style": "Now.", "answer": "Yes."} or isinstance(result.state, kind)
    assert all("Bern" in request.messages[-1].text for request in agent.model.requests)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"cty": "Bern"}, "unknown field 'cty': did you mean 'city'"),
        ({"city": 5}, "city: Input should be a valid string"),
        ({}, "city: Field required"),
        (5, "forecaster is given a value of type int"),
        (Message(role="user", text="x"), "forecaster is given a value of type Message"),
        (Message, "forecaster is given the class Message"),
    ],
)
async def test_what_is_of_another_type_is_refused(kind: Any, given: Any, problem: str) -> None:
    """The same alone and by a Runner, which records nothing."""
    agent = forecaster(kind)
    async with Runner() as runner:
        for call in (agent.run, agent.answer, lambda given: runner.run(agent, given)):
            with pytest.raises(InputError, match=problem):
                await call(given)
        assert not await runner.runs()
    with pytest.raises(InputError, match=problem):
        agent.stream(given)


async def test_the_validators_of_a_model_hold() -> None:
    """Those of its fields, and those of the whole, in a run too."""
    agent = forecaster(Model, "Yes.")
    async with Runner() as runner:
        for call in (agent.run, lambda given: runner.run(agent, given)):
            with pytest.raises(InputError, match="the city is no style"):
                await call({"city": "x", "style": "x"})
        result = await runner.start(Graph.of(agent), {"city": " Bern "}).result()
    assert result.state.city == "Bern"


async def test_a_field_of_another_type_is_a_problem_of_the_graph() -> None:
    """As for a function whose parameter is annotated."""

    class State(BaseModel):
        city: int = 3
        style: str = ""
        said: str = ""

    graph = alone(State, forecaster(Keyed), "said", name="graph", node="ask", result="said")
    with pytest.raises(CompileError, match="city"):
        graph.compile()


async def test_an_agent_without_a_prompt_shows_all_of_them() -> None:
    """As labelled blocks; with a memory of its own."""
    agent = Agent("agent", inputs=Frozen, memory="messages", model=ScriptedModel(["Yes."] * 2))
    assert await agent.run(Frozen("Bern")) == "Yes."
    async with Runner() as runner:
        result = await runner.start(Graph.of(agent), Frozen("Bern")).result()
    alone, run = (request.messages[-1].text for request in agent.model.requests)  # type: ignore[union-attr]
    assert alone == run
    assert "Bern" in run
    assert [message.role for message in result.state.messages] == ["user", "assistant"]  # type: ignore[attr-defined]


async def test_inputs_that_are_all_defaults_are_a_turn_of_a_conversation() -> None:
    """They are given, though none differs."""

    @dataclass
    class Tide:
        place: str = "Brest"

    agent = Agent("tides", inputs=Tide, prompt="Tides in {place}?", model=ScriptedModel(["High."]))
    async with Runner() as runner:
        assert await runner.run(agent, Tide(), chat="ada") == "High."


async def test_a_run_is_resumed_by_another_process(tmp_path: Any) -> None:
    """Its graph is the same there."""
    async with Runner(tmp_path / "runs.db", models=ScriptedModel([])) as runner:
        with pytest.raises(RunFailed):
            await runner.run(forecaster(Frozen), Frozen("Bern"), run_id="r")
    async with Runner(tmp_path / "runs.db") as runner:
        assert await runner.run(forecaster(Frozen, "Yes."), run_id="r") == "Yes."


async def test_what_only_tools_take_is_given_by_name() -> None:
    """Beside the inputs, and only what something takes."""
    taken: list[object] = []

    def look(db: str) -> str:
        taken.append(db)
        return "rain"

    from graphengine.models import calls  # noqa: PLC0415 - near its use

    agent = Agent("agent", inputs=Keyed, prompt="{city}", tools=[look], model=ScriptedModel([calls(("look", {})), "y"]))
    assert await agent.run(Keyed(city="Bern"), db="the db") == "y"
    assert taken == ["the db"]
    with pytest.raises(DefinitionError, match="no input 'dbb'"):
        await agent.run(Keyed(city="Bern"), dbb="the db")
