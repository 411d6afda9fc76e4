"""What a model was asked is read from the run: the same messages as its requests had, for every way to ask."""

import datetime
import enum
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from graphengine import END, START, Agent, Graph, Runner, choose
from graphengine.agents.asked import Asked, turn_of
from graphengine.engine.steps import Recorded
from graphengine.history.load import graph_spec_of, load_snapshot
from graphengine.models import Message, Request, Response, ToolCall
from graphengine.stores.base import Store
from graphengine.stores.memory import MemoryStore
from tests.kit.runs import alone

KEY = "0123456789abcdefghijklmnopqrstuvwxyz"


class Colour(enum.Enum):
    """A choice."""

    RED = "red"


class Desk(BaseModel):
    """A state."""

    text: str = "the moon"
    due: datetime.date = datetime.date(2026, 11, 23)
    colour: Colour = Colour.RED
    parts: list[str] = ["a", "b"]
    notes: list[str] = Field(default=[])
    score: int = 0
    kind: str = "bad"
    answer: str = ""
    answers: list[str] = []
    password: SecretStr = SecretStr("open sesame")


class Watched:
    """A model that keeps its requests, and answers in turn."""

    name = "acme:large"

    def __init__(self, answers: Sequence[Response | str]) -> None:
        self.requests: list[Request] = []
        self.answers = [each if isinstance(each, Response) else Response(each) for each in answers]

    async def answer(self, request: Request) -> Response:
        """Return the next answer."""
        self.requests.append(request)
        return self.answers[len(self.requests) - 1]


def find(word: str) -> str:
    """Find a word."""
    if word == "none":
        raise LookupError(word)
    return f"{word} is found"


CALLS = Response("", (ToolCall(id="c1", name="find", arguments='{"word": "moon"}'),))
FAILS = Response("Let me see.", (ToolCall(id="c2", name="find", arguments='{"word": "none"}'),))


def of_agent(agent: Agent[Any], writes: str = "answer", **options: Any) -> Graph[Desk]:
    """Return a graph with one agent."""
    return alone(Desk, agent, writes, node="ask", secret_key=KEY, **options)


def as_template(model: Watched) -> Graph[Desk]:
    """Return a graph with an agent whose prompt is a template."""
    return of_agent(Agent("writer", model=model, system="Be brief on {text}.", prompt="On {text}, {notes}: {score}"))


def as_typed(model: Watched) -> Graph[Desk]:
    """Return one whose prompt shows values that records have in another form."""
    return of_agent(Agent("writer", model=model, prompt="By {due}, in {colour}, {{never}}."))


def as_function(model: Watched) -> Graph[Desk]:
    """Return one whose texts are made by functions."""
    return of_agent(Agent("writer", model=model, system=lambda text: f"On {text}.", prompt=lambda score: f"{score}?"))


def as_inputs(model: Watched) -> Graph[Desk]:
    """Return one without a prompt."""
    return of_agent(Agent("writer", model=model, system="Be brief."), inputs={"topic": "text", "last": "parts[-1]"})


def as_renamed(model: Watched) -> Graph[Desk]:
    """Return one whose prompt names inputs of its node."""
    agent = Agent("writer", model=model, prompt="On {topic}: {last}")
    return of_agent(agent, inputs={"topic": "text", "last": "parts[-1]"})


def by_code(model: Watched) -> Graph[Desk]:
    """Return one whose node calls an agent."""
    writer = Agent("writer", model=model, system="Be brief.", prompt="On {topic}", tools=[find])

    async def ask(text: str) -> None:
        await writer.run(topic=text)

    return alone(Desk, ask, None, node="ask", secret_key=KEY)


def of_items(model: Watched) -> Graph[Desk]:
    """Return one that asks about each item of a list, one after the other."""
    return of_agent(
        Agent("writer", model=model, prompt="On {part} of {text}"), "answers", each={"part": "parts"}, concurrency=1
    )


def inside(model: Watched) -> Graph[Desk]:
    """Return one whose agent is in a graph inside of it."""
    graph = Graph("outer", Desk, secret_key=KEY)
    graph.add_node("inner", as_template(model), inputs={"text": "parts[0]"}, writes={"answer": "answer"})
    graph.add_path(START, "inner", END)
    return graph


def as_choice(model: Watched) -> Graph[Desk]:
    """Return one that chooses between agents."""
    agents = {name: Agent(name, model=model, prompt=f"{name}: {{text}}") for name in ("good", "bad")}
    return alone(Desk, choose("kind", agents), "answer", node="ask", secret_key=KEY)


def as_fallback(model: Watched) -> Graph[Desk]:
    """Return one whose agent stands in for a node that fails."""

    def fails(text: str) -> str:
        raise ValueError(text)

    graph = Graph("one", Desk, secret_key=KEY)
    graph.add_node("ask", fails, writes="answer", fallback=Agent("writer", model=model, prompt="Instead: {text}"))
    graph.add_path(START, "ask", END)
    return graph


def sent_back(model: Watched) -> Graph[Desk]:
    """Return one whose first answer is sent back."""

    def check(answer: str) -> None:
        if "tides" not in answer:
            raise ValueError("no tides")

    return of_agent(Agent("writer", model=model, prompt="On {text}", check=check, tools=[find]))


CASES: dict[Callable[[Watched], Graph[Desk]], Sequence[Response | str]] = {
    as_template: ["one"],
    as_typed: ["one"],
    as_function: ["one"],
    as_inputs: ["one"],
    as_renamed: ["one"],
    by_code: [CALLS, "one"],
    of_items: ["one", "two"],
    inside: ["one"],
    as_choice: ["one"],
    as_fallback: ["one"],
    sent_back: [CALLS, "no", FAILS, "about tides"],
}


async def turns(store: Store, run_id: str) -> list[Asked]:
    """Return what models were asked in a run, read from its store alone."""
    found = []
    for step in await store.steps(run_id):
        if isinstance(step.data, Recorded) and step.data.by is not None:
            snapshot = await load_snapshot(store, run_id, step.seq)
            turn = turn_of(step, snapshot, await graph_spec_of(store, snapshot.fingerprint))
            assert turn is not None
            found.append(turn)
    return found


def plain(messages: Sequence[Message]) -> list[tuple[object, ...]]:
    """Return what of messages the models get."""
    return [(each.role, each.text, each.calls, each.call_id, each.is_error) for each in messages]


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
async def test_the_run_has_what_each_request_had(make: Callable[[Watched], Graph[Desk]]) -> None:
    """Instructions, question, answers, results of tools, and why an answer was sent back."""
    model = Watched(CASES[make])
    async with Runner(MemoryStore()) as runner:
        await runner.start(make(model), run_id="r").result()
        found = await turns(runner.store, "r")
    assert [turn.system for turn in found] == [request.system for request in model.requests]
    assert [plain(turn.messages) for turn in found] == [plain(request.messages) for request in model.requests]
    assert [turn.answer.text for turn in found] == [str(each.content) for each in model.answers]
    if make is sent_back:
        assert [[message.role for message in turn.messages[turn.new :]] for turn in found] == [
            ["user"],
            ["tool"],
            ["user"],
            ["tool"],
        ]


async def test_what_the_state_gives_again_is_not_recorded_twice() -> None:
    """The record of a turn has no copy of a draft that the state has."""
    model = Watched(["one"])
    async with Runner(MemoryStore()) as runner:
        await runner.start(as_template(model), {"text": "long " * 1000}, run_id="r").result()
        steps = await runner.store.steps("r")
    assert [step.data.value for step in steps if isinstance(step.data, Recorded)] == [{"text": "one", "stop": "end"}]


async def test_secrets_are_struck() -> None:
    """A question with a secret field of the state is not in the run; a key that looks like one is hidden."""
    key = "sk-abcdefghijklmnop"
    model = Watched(["one", "two"])
    writer = Agent("writer", model=model, prompt="{topic}")

    async def ask(password: SecretStr) -> None:
        await writer.run(topic=password.get_secret_value())

    graph = alone(Desk, ask, None, name="secret", node="ask", secret_key=KEY)
    async with Runner(MemoryStore()) as runner:
        await runner.start(graph, run_id="r").result()
        await runner.start(of_agent(Agent("x", model=model, prompt="On {text}")), {"text": key}, run_id="s").result()
        found = [*await turns(runner.store, "r"), *await turns(runner.store, "s")]
    assert "open sesame" in model.requests[0].messages[0].text
    assert [message.text for turn in found for message in turn.messages] == ["[secret]", "On <text>[secret]</text>"]
