"""What patterns take and give is typed: mypy --strict and pyright's strict mode both read this file."""

from typing import assert_type

from pydantic import BaseModel

from graphengine import Agent, Graph, Node, Result, Retry, value
from graphengine.patterns import (
    Assignment,
    Attempts,
    Company,
    Critique,
    CrossReflection,
    Debate,
    FanOut,
    Job,
    Passage,
    Poll,
    Position,
    Route,
    SelfReflection,
    Step,
    Supervised,
    cross_reflection,
    debate,
    evaluator_optimizer,
    fan_out_fan_in,
    hierarchical,
    orchestrator_workers,
    pipeline,
    self_reflection,
    supervisor,
    voting,
)


class Article(BaseModel):
    task: str
    draft: str = ""
    score: int = 0


class Toned(Job):
    tone: str = "plain"


def length(draft: str) -> int:
    """A function that judges."""
    return len(draft)


def shout(task: str) -> str:
    """A rule."""
    return f"{task}!"


async def test_patterns_give_graphs_of_their_states_or_the_callers() -> None:
    """Agents, functions, graphs and nodes go in alike."""
    clerk = Agent("clerk", prompt="{task}", offline=shout)
    critic = Agent("critic", prompt="{draft}", output=Critique)
    assert_type(pipeline({"clerk": clerk, "again": Node(clerk, retry=Retry(attempts=2))}), Graph[Passage])
    assert_type(pipeline({"clerk": clerk}, state=Article, result="draft"), Graph[Article])
    assert_type(supervisor(Agent("boss", output=Route), {"a": clerk, "b": length}, clerk), Graph[Supervised])
    assert_type(fan_out_fan_in(clerk, clerk, split=Agent("split", output=list[str])), Graph[FanOut])
    assert_type(hierarchical(Agent("d", output=list[Assignment]), {"a": pipeline({"a": clerk})}, clerk), Graph[Company])
    planner = Agent("planner", output=list[Step])
    assert_type(orchestrator_workers(planner, {"a": clerk}, clerk), Graph[Job])
    assert_type(orchestrator_workers(planner, {"a": clerk}, clerk, state=Toned), Graph[Toned])
    assert_type(self_reflection(clerk, critic), Graph[SelfReflection])
    assert_type(cross_reflection(clerk, {"a": critic}), Graph[CrossReflection])
    assert_type(evaluator_optimizer(clerk, critic), Graph[Attempts])
    judge = Node(length, writes="score")
    attempts = evaluator_optimizer(clerk, judge, accept=value("score") > 3, state=Article)
    assert_type(attempts, Graph[Article])
    assert_type(debate({"a": Agent("a", output=Position), "b": clerk}, judge=clerk), Graph[Debate])
    assert_type(voting({"a": clerk}, ["yes", "no"], tie="open"), Graph[Poll])
    result = await attempts.run(Article(task="tides"))
    assert_type(result, Result[Article])
    assert result.state.draft == "tides!"
