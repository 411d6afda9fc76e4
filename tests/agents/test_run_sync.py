"""An agent that is called without an event loop, and answers whose type is a union."""

from typing import Literal

import pytest
from pydantic import BaseModel

from graphengine import Agent, Runner, ScriptedModel
from graphengine.errors import DefinitionError
from tests.agents.run_kits import one, within


class Plan(BaseModel):
    kind: Literal["plan"] = "plan"
    steps: list[str]


class Question(BaseModel):
    kind: Literal["question"] = "question"
    text: str


def planner(*answers: object) -> Agent[Plan | Question]:
    """Return an agent that answers with a plan or a question."""
    return Agent("planner", prompt="{task}", output=Plan | Question, model=ScriptedModel(answers))


def test_an_agent_answers_without_an_event_loop() -> None:
    """An agent answers in a script without an event loop, repeatedly."""
    agent = planner(Plan(steps=["a"]), Question(text="Why?"), '{"answer": {"kind": "question", "text": "When?"}}')
    first = agent.run_sync(task="plan it")
    assert isinstance(first, Plan)
    assert first.steps == ["a"]
    assert agent.run_sync(task="plan it") == Question(text="Why?")
    assert agent.run_sync(task="plan it") == Question(text="When?")


async def test_in_an_event_loop_the_error_names_the_repair() -> None:
    """A sync node has none: the call there is a part of the run."""
    agent = planner(Question(text="Why?"))
    with pytest.raises(DefinitionError, match="which it would block") as caught:
        agent.run_sync(task="t")
    assert caught.value.repair == "await planner.run(…)"

    def node(task: str) -> str:
        answer = agent.run_sync(task=task)
        return answer.text if isinstance(answer, Question) else ""

    async with Runner() as runner:
        result = await within(runner.start(one(node)))
    assert (result.state.draft, result.usage.calls) == ("Why?", 1)
