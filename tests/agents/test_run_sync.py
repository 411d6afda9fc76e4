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


def test_all_misfitting_inputs_are_one_error_before_the_model_is_called() -> None:
    """A misspelt or missing input would leave a gap in a question that is paid for."""

    def check(answer: str, limit: int, least: int = 1) -> None:
        assert least <= limit, answer

    model = ScriptedModel(["yes"])
    agent = Agent(
        "writer", model=model, system="In {style.name}.", prompt="Ask: {question}", check=check, memory="before"
    )
    with pytest.raises(DefinitionError) as caught:
        agent.run_sync(qustion="x", stlye="y", before=[], wholly_other=1)
    text, repair = caught.value.message, caught.value.repair
    assert text == (
        "agent writer has no input 'qustion', no input 'stlye', no input 'wholly_other'; "
        "was not given 'limit', 'question', 'style'"
    )
    assert repair == "write question= for qustion=, style= for stlye=; it reads before, least, limit, question, style"
    assert agent.run_sync(question="x", style={"name": "prose"}, limit=3) == "yes"
    assert len(model.requests) == 1


def test_an_agent_without_a_prompt_takes_all_inputs() -> None:
    """They become labelled blocks; what its functions read must be among them."""
    model = ScriptedModel(["yes"])
    agent = Agent("writer", model=model, by_rules=lambda word: word)
    with pytest.raises(DefinitionError, match="was not given 'word'"):
        agent.run_sync(wrod="ho")
    assert agent.run_sync(word="ho", more="x") == "yes"


def test_instructions_and_prompt_may_be_async() -> None:
    """An async function of fields is awaited, as check= and by_rules= are."""

    async def look_up(topic: str) -> str:
        return f"About {topic}."

    async def both(topic: str) -> list[str]:
        return ["What is", topic]

    model = ScriptedModel(["an answer"])
    assert Agent("writer", model=model, system=look_up, prompt=both).run_sync(topic="tides") == "an answer"
    (request,) = model.requests
    assert request.system == "About tides."
    assert "tides" in request.prompt


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
