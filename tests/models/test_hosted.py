"""Tools that the provider runs: what is sent and read, what they cost, who has them, and the citations of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel

from graphengine import (
    Agent,
    Cited,
    RunFailed,
    Runner,
    ScriptedModel,
    web_search,
)
from graphengine.models import (
    Citation,
    RecordedModel,
    Response,
    cited,
)
from graphengine.models.errors import ModelError
from tests.agents.run_kits import Work, one, within
from tests.kit.runs import alone

URL: Final = "https://tides.example/a"


class Plain:
    """A model without hosted tools."""

    name = "plain"

    async def answer(self, request: Any) -> Response:
        """Return an answer."""
        raise NotImplementedError


async def test_a_replaced_model_is_checked_at_the_call() -> None:
    """A replaced model, also a Runner's, is checked at the call; an offline agent answers by rules."""
    agent = Agent("writer", prompt="{task}", tools=[web_search()], by_rules=lambda task: task)
    async with Runner() as runner:
        assert (await within(runner.start(one(agent), Work()))).state.draft == "rhyme"
    async with Runner(models={"*": Plain()}) as runner:
        run = runner.start(one(agent), Work())
        with pytest.raises(RunFailed, match=r"the model 'plain' does not have the tool web_search\(\)"):
            await within(run)


class Brief(BaseModel):
    """A state with an answer and its sources."""

    task: str = "tides"
    found: Cited | None = None


async def test_citations_in_a_run(tmp_path: Path) -> None:
    """A scripted answer with sources, recorded once and replayed: in the state, the result and the log."""
    script = ScriptedModel([cited("Tides ", ("rise.", {"url": URL, "quote": "They rise."}), searches=["tides"])])
    agent = Agent("a", prompt="{task}", tools=[web_search()], output=Cited)
    graph = alone(Brief, agent, "found", name="brief", node="find", result="found")
    file = tmp_path / "answers.json"
    for model in (RecordedModel(file, model=script), RecordedModel(file)):
        async with Runner(models={"a": model}) as runner:
            found = (await runner.start(graph).result()).output
        assert isinstance(found, Cited)
        assert str(found) == "Tides rise."
        assert found.citations == (Citation(text="They rise.", url=URL, start=6, end=11),)
    assert '"name": "web_search"' in file.read_text()
    with pytest.raises(ModelError, match="no unused answer"):
        await agent.but(tools=[], model=RecordedModel(file)).run(task="tides")
