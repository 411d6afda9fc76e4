"""Agents in runs: equal calls, conversations under keys, and summaries; pages and sessions show the rest."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Retry, Runner, ScriptedModel, iterations
from graphengine.agents.window import Window
from graphengine.models import Message, Request
from graphengine.models.errors import RateLimited
from graphengine.models.scripted import calls
from graphengine.reducers import extend
from graphengine.testing import FakeClock
from tests.agents.run_kits import add
from tests.kit.facts import said
from tests.kit.runs import alone, repeated


class Work(BaseModel):
    """The state that agents read and write."""

    task: str = "rhyme"
    draft: str = ""
    other: str = ""
    messages: Annotated[list[Message], extend] = []
    memories: dict[str, list[Message]] = {}


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
        run = runner.start(alone(Work, write, "draft", retry=Retry(attempts=2)))
        result = await run.result()
    assert tries == 2
    assert sorted(result.state.draft.split()) == ["0", "1", "2"]


async def test_agents_remember_each_under_a_key() -> None:
    """Agents remember each conversation under its key in a dict."""
    graph = Graph("g", Work)
    graph.add_node("one", Agent("writer", prompt="{task}", messages="memories[writer]"), writes="draft")
    graph.add_node("two", Agent("critic", prompt="{task}", messages="memories[critic]"), writes="other")
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
    agent = Agent("writer", prompt="{task}", messages="messages", window=window)
    graph = repeated(Work, agent, "draft", iterations("write") >= 4, node="write")
    model = ScriptedModel([f"{number} {long}" for number in range(4)])
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph)
        result = await run.result()
        steps = await runner.history(run.id)
    assert len(result.state.messages) == 8 + len(cheap.requests)
    assert cheap.requests
    assert "they spoke of rhymes" in model.requests[-1].messages[0].text
    (first, *_) = [said(step)["value"] for step in steps if said(step).get("name") == "summary"]
    assert (first["estimated"], first["covers"]) == (True, 4)
