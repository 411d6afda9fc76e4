"""The arguments and results of patterns are typed: mypy --strict and pyright's strict mode both read this file."""

from typing import assert_type

from pydantic import BaseModel

from graphengine import Agent, Graph, Limits, Node, Result, Retry, value
from graphengine.patterns import (
    Assignment,
    Attempts,
    Company,
    Critique,
    CrossReflection,
    Debate,
    FanOut,
    Guarded,
    Job,
    Passage,
    Poll,
    Position,
    Room,
    Route,
    SelfReflection,
    Step,
    Supervised,
    Swarm,
    Turn,
    circuit_breaker,
    cross_reflection,
    debate,
    escalation,
    evaluator_optimizer,
    fan_out_fan_in,
    hierarchical,
    orchestrator_workers,
    pipeline,
    role_based,
    self_reflection,
    supervisor,
    swarm,
    topology,
    voting,
    with_limits,
)


class Article(BaseModel):
    """A caller's own state."""

    task: str
    draft: str = ""
    score: int = 0


class Toned(Job):
    """A caller's own field next to those of a pattern."""

    tone: str = "plain"


class Kitchen(Room):
    """A caller's own field next to those of a room."""

    tone: str = "plain"


class Offer(Guarded):
    """A state with the fields of a circuit breaker."""

    price: float = 0.0


def length(draft: str) -> int:
    """Judge by length."""
    return len(draft)


def shout(task: str) -> str:
    """Answer by a rule."""
    return f"{task}!"


async def test_patterns_give_graphs_of_their_states_or_the_callers() -> None:
    """Agents, functions, graphs and nodes are accepted alike."""
    clerk = Agent("clerk", prompt="{task}", by_rules=shout)
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
    assert_type(voting({"a": clerk}, ["yes", "no"]), Graph[Poll])
    result = await attempts.run(Article(task="tides"))
    assert_type(result, Result[Article])
    assert result.state.draft == "tides!"


async def test_teams_and_frames_around_others_know_their_states_too() -> None:
    """Teams and frames around others know their own state, a subclass, or the caller's."""
    agents = {"ann": Agent("ann", prompt="{premise}"), "bob": Agent("bob", prompt="{premise}")}
    assert_type(role_based(agents, agents["ann"]), Graph[Room])
    kitchen = role_based({**agents, "cid": Node(agents["ann"], retry=Retry(attempts=2))}, shout, state=Kitchen)
    assert_type(kitchen, Graph[Kitchen])
    turns = {"desk": Agent("desk", model="rules", prompt="{task}", output=Turn)}
    assert_type(swarm(turns), Graph[Swarm])
    chain = topology("chain", {"ann": shout, "team": swarm(turns)})
    good = value("draft").length() > 0
    ladder = escalation(Article, {"shout": shout, "chain": chain}, answer="draft", accept=good)
    assert_type(ladder, Graph[Article])
    assert_type(with_limits(Article, ladder, answer="draft", limits=Limits(visits=9)), Graph[Article])
    assert_type(circuit_breaker(Offer, lambda: 1.0, lambda: 2.0, answer="price"), Graph[Offer])
    assert (await ladder.run({"task": "ho"})).output == "ho!"
