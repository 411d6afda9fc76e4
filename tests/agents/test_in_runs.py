"""Agents in runs: every turn and tool call is recorded once, counted, limited, stopped and resumed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Retry, Runner, ScriptedModel, iterations
from graphengine.agents.window import Window
from graphengine.engine.steps import Step
from graphengine.errors import InputError
from graphengine.models import Message, Request, Response
from graphengine.models.errors import RateLimited
from graphengine.models.scripted import calls
from graphengine.reducers import append, extend
from graphengine.testing import FakeClock
from tests.agents.run_kits import add
from tests.kit.facts import said


class Work(BaseModel):
    """The state that agents read and write."""

    task: str = "rhyme"
    draft: str = ""
    other: str = ""
    count: int = 0
    messages: Annotated[list[Message], extend] = []
    memories: dict[str, list[Message]] = {}
    single: Annotated[list[Message], append] = []


def answer(text: str, cost_usd: float | None = 0.25, tokens: int = 10) -> Response:
    """Return an answer that costs something."""
    return Response(text, input_tokens=tokens, output_tokens=tokens, cost_usd=cost_usd, model="acme:big")


def graph_of(agent: Any, **options: Any) -> Graph[Work]:
    """Return a graph of one node."""
    graph = Graph("g", Work, resources={"ledger": list})
    graph.add_node("write", agent, **{"writes": "draft", **options})
    graph.add_path(START, "write", END)
    return graph


async def steps_of(runner: Runner, run_id: str) -> list[Step]:
    """Return the steps of the log."""
    return list(await runner.history(run_id))


# -- turns are recorded work


# -- tools


async def test_tools_get_resources_and_the_context_by_name() -> None:
    """They are not in the schema for the model."""

    def enter(item: str, ledger: list[str], ctx: Context) -> str:
        """Enter an item."""
        ledger.append(item)
        return f"{ctx.path}: {len(ledger)}"

    model = ScriptedModel([calls(("enter", {"item": "pen"})), "done"])
    async with Runner(models={"writer": model}) as runner:
        await runner.start(graph_of(Agent("writer", prompt="{task}", tools=[enter]))).result()
    assert model.requests[0].tools[0].schema["required"] == ["item"]
    assert model.requests[1].messages[-1].text == "write: 1"


# -- limits and stops


# -- choosing the model


class Sub(BaseModel):
    """The state of an inner graph."""

    task: str = ""
    draft: str = ""


@pytest.mark.parametrize(
    ("models", "who"),
    [
        ({"*": "all"}, ["all", "all", "all"]),
        ({"*": "all", "writer": "name"}, ["name", "all", "name"]),
        ({"writer": "name", "article/writer": "below", "critic": "name"}, ["name", "name", "below"]),
        ({"*": "all", "article/writer": "below", "article/write": "path"}, ["all", "all", "path"]),
        ({"*": "all", "other:writer": "elsewhere", "g:writer": "here"}, ["here", "all", "here"]),
    ],
)
async def test_the_most_specific_name_decides_which_model_answers(models: Mapping[str, str], who: list[str]) -> None:
    """An agent at a path, below a path, anywhere, in one graph; or all agents."""
    inner = Graph("inner", Sub)
    inner.add_node("write", Agent("writer", prompt="{task}"), writes="draft")
    inner.add_path(START, "write", END)
    graph = Graph("g", Work)
    graph.add_node("first", Agent("writer", prompt="{task}"), writes="draft")
    graph.add_node("judge", Agent("critic", prompt="{task}"), writes="other")
    graph.add_node("article", inner, inputs={"task": "task"}, writes={"task": "draft"})
    graph.add_path(START, "first", "judge", "article", END)
    scripted = {name: ScriptedModel(lambda request, text=text: text) for name, text in models.items()}
    async with Runner(models=scripted) as runner:
        state = (await runner.start(graph).result()).state
    assert [state.draft, state.other, state.task] == who


async def test_a_name_that_nothing_has_is_refused() -> None:
    """An unknown agent's name is refused at once, with the known names; agents that a function calls are known."""
    helper = Agent("helper", prompt="{task}")

    async def write(task: str) -> str:
        return await helper.run(task=task)

    async with Runner(models={"helpr": ScriptedModel(["x"])}) as runner:
        with pytest.raises(InputError, match=r"unknown agent 'helpr'(.|\n)*helper"):
            runner.start(graph_of(write))
    async with Runner(models={"helper": ScriptedModel(["x"])}) as runner:
        assert (await runner.start(graph_of(write)).result()).state.draft == "x"


async def test_equal_concurrent_calls_stay_separate() -> None:
    """Each of two equal calls has its own turns, so that a second attempt finds those of each."""
    helper = Agent("helper", prompt="{task}", tools=[add])
    turns = iter(range(100))
    tries = 0

    def script(request: Request) -> object:
        return calls(("add", {"first": next(turns), "second": 0})) if len(request.messages) == 1 else "ok"

    async def write(task: str) -> str:
        nonlocal tries
        tries += 1
        answers = await asyncio.gather(*(helper.answer(task=task) for _ in range(3)))
        if tries == 1:
            raise RateLimited("again")
        return " ".join(each.messages[2].text for each in answers)

    model = ScriptedModel(script)
    async with Runner(models={"helper": model}, clock=FakeClock(start=0.0)) as runner:
        run = runner.start(graph_of(write, retry=Retry(attempts=2)))
        result = await run.result()
    assert tries == 2
    assert sorted(result.state.draft.split()) == ["0", "1", "2"]


# -- memory and streaming


async def test_agents_remember_each_under_a_key() -> None:
    """Agents remember each conversation under its key in a dict."""
    graph = Graph("g", Work)
    graph.add_node("one", Agent("writer", prompt="{task}", memory="memories[writer]"), writes="draft")
    graph.add_node("two", Agent("critic", prompt="{task}", memory="memories[critic]"), writes="other")
    graph.add_path(START, "one", "two")
    graph.add_edge("two", END, when=iterations("two") >= 2)
    graph.add_edge("two", "one")
    model = ScriptedModel({"writer": ["a", "c"], "critic": ["b", "d"]})
    async with Runner(models={"*": model}) as runner:
        result = await runner.start(graph).result()
    texts = {name: [m.text for m in kept if m.role == "assistant"] for name, kept in result.state.memories.items()}
    assert texts == {"writer": ["a", "c"], "critic": ["b", "d"]}


async def test_a_summary_replaces_the_older_part_of_a_memory() -> None:
    """It is made by a separate model, recorded and reused; the messages that it replaces stay in the state."""
    cheap = ScriptedModel(lambda request: "they spoke of rhymes")
    long = "word " * 400
    window = Window(600, keep=2, model=cheap)
    graph = Graph("g", Work)
    graph.add_node("write", Agent("writer", prompt="{task}", memory="messages", window=window), writes="draft")
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=iterations("write") >= 4)
    graph.add_edge("write", "write")
    model = ScriptedModel([f"{number} {long}" for number in range(4)])
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph)
        result = await run.result()
        steps = await steps_of(runner, run.id)
    assert len(result.state.messages) == 8 + len(cheap.requests)
    assert cheap.requests
    assert "they spoke of rhymes" in model.requests[-1].messages[0].text
    (first, *_) = [said(step)["value"] for step in steps if said(step).get("name") == "summary"]
    assert (first["estimated"], first["covers"]) == (True, 3)


class Connected(ScriptedModel):
    """A model with a connection."""

    closed = 0

    async def close(self) -> None:
        """Close it."""
        self.closed += 1


async def test_the_last_runner_that_used_a_model_closes_it() -> None:
    """A Runner that is closed earlier does not, while another one uses it."""
    model = Connected(lambda request: "x")
    graph = graph_of(Agent("writer", prompt="{task}", model=model))
    async with Runner() as first:
        await first.start(graph).result()
        async with Runner() as second:
            await second.start(graph).result()
        assert model.closed == 0
    assert model.closed == 1
