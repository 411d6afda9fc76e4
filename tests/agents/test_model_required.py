"""An agent needs a model, of its own or of the Runner, or rules; a run without one is refused at its start."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel
from graphengine.errors import CompileError, DefinitionError
from graphengine.models.errors import ModelUnavailable
from graphengine.testing import run_node
from tests.kit.runs import alone

if TYPE_CHECKING:
    from pathlib import Path

BARE = Agent("writer", prompt="Write on {task}.")


class Article(BaseModel):
    """What is written."""

    task: str = "tides"
    draft: str = ""


def upper(task: str) -> str:
    """Answer by rules."""
    return task.upper()


def graph_of(agent: Agent[Any], name: str = "article") -> Graph[Article]:
    """Return a graph whose only node is an agent."""
    return alone(Article, agent, "draft", name=name, node="write", result="draft")


async def test_a_run_without_a_model_is_refused_before_anything_is_recorded() -> None:
    """The graph alone is valid, because a Runner may give the model."""
    graph = graph_of(BARE)
    assert not graph.check()
    async with Runner() as runner:
        with pytest.raises(CompileError) as caught:
            runner.start(graph, run_id="r")
        assert not await runner.runs()
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("no_model", "node write")
    assert problem.message == "agent writer has no model"
    assert "model='anthropic:MODEL' or by_rules=function" in problem.repair
    assert "Runner(models='anthropic:MODEL')" in problem.repair


def test_every_agent_without_a_model_is_listed() -> None:
    """Those of inner graphs have their paths, and fallbacks are agents too."""
    outer = Graph("outer", Article)
    outer.add_node("plan", BARE.but(name="planner", by_rules=upper), writes="draft", fallback=BARE)
    outer.add_node("inner", graph_of(BARE), writes="draft")
    outer.add_path(START, "plan", "inner", END)
    with pytest.raises(CompileError) as caught:
        outer.run_sync()
    assert [problem.where for problem in caught.value.problems] == ["node plan", "node inner/write"]
    models = {"inner/write": "placeholder", "plan": "rules", "writer": "placeholder"}
    assert outer.run_sync(models=models).status == "finished"


@pytest.mark.parametrize("models", [{"writer": "placeholder"}, {"write": "placeholder"}, "placeholder"])
def test_a_model_of_the_runner_is_enough(models: Any) -> None:
    """It is given to the agent by name, to its node by path, or to all agents."""
    assert graph_of(BARE).run_sync(models=models).output == "[placeholder: writer, call 1]"


def test_rules_answer_without_a_model() -> None:
    """An agent with rules needs no model, and one model for all agents replaces its rules."""
    graph = graph_of(BARE.but(by_rules=upper))
    assert graph.run_sync().output == "TIDES"
    assert graph.run_sync(models=ScriptedModel(["said"])).output == "said"


async def test_an_agent_alone_needs_a_model_too() -> None:
    """So does one that a function calls, which no check can see."""
    with pytest.raises(ModelUnavailable, match="agent writer has no model"):
        await BARE.run(task="x")


async def test_one_node_alone_needs_only_its_own_models() -> None:
    """The agents of other nodes may lack one."""
    graph = Graph("two", Article)
    graph.add_node("shout", upper, writes="draft")
    graph.add_node("write", BARE, writes="draft")
    graph.add_path(START, "shout", "write", END)
    assert (await run_node(graph, "shout", {"task": "x"})).update == {"draft": "X"}
    assert (await run_node(graph, "write", {"task": "x"}, models=ScriptedModel(["said"]))).update == {"draft": "said"}


@pytest.mark.parametrize("models", [5, ScriptedModel, {"writer": 5}])
def test_what_is_no_model_is_refused(models: Any) -> None:
    """The message names the argument."""
    with pytest.raises(DefinitionError, match="is not a model") as caught:
        Runner(models=models)
    assert caught.value.where.startswith("Runner(models=")


async def test_recover_refuses_it_before_it_drives_another_run(tmp_path: Path) -> None:
    """The runs of the other graphs are left as they were, for the next attempt."""
    begun = asyncio.Event()

    async def never(task: str) -> str:
        begun.set()
        await asyncio.Event().wait()
        return task

    graphs = [graph_of(BARE.but(by_rules=never), "rules"), graph_of(BARE)]
    async with Runner(tmp_path / "runs.db", models="placeholder") as runner:
        for graph in graphs:
            await runner.release((run := runner.start(graph)).id)
            assert (await run.result()).status == "running"
    async with Runner(tmp_path / "runs.db") as runner:
        with pytest.raises(CompileError, match="agent writer has no model"):
            await runner.recover(*graphs)
        assert {info.status for info in await runner.runs()} == {"interrupted"}
    assert not begun.is_set()
