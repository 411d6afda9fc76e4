"""The arguments and results of patterns are typed: mypy --strict and pyright's strict mode both read this file."""

from typing import assert_type

from pydantic import BaseModel

from graphengine import Agent, Graph, Node, Result, Retry
from graphengine.patterns import (
    FanOut,
    Job,
    Passage,
    Room,
    Route,
    Step,
    Supervised,
    Swarm,
    Turn,
    fan_out_fan_in,
    orchestrator_workers,
    pipeline,
    role_based,
    supervisor,
    swarm,
)


class Article(BaseModel):
    """A caller's own state."""

    task: str
    draft: str = ""


class Toned(Job):
    """A caller's own field next to those of a pattern."""

    tone: str = "plain"


class Kitchen(Room):
    """A caller's own field next to those of a room."""

    tone: str = "plain"


def length(draft: str) -> int:
    """Judge by length."""
    return len(draft)


def shout(task: str) -> str:
    """Answer by a rule."""
    return f"{task}!"


async def test_patterns_give_graphs_of_their_states_or_the_callers() -> None:
    """Agents, functions, graphs and nodes are accepted alike."""
    clerk = Agent("clerk", prompt="{task}", by_rules=shout)
    assert_type(pipeline({"clerk": clerk, "again": Node(clerk, retry=Retry(attempts=2))}), Graph[Passage])
    own = pipeline({"clerk": clerk, "inner": pipeline({"a": clerk})}, state=Article, result="draft")
    assert_type(own, Graph[Article])
    assert_type(supervisor(Agent("boss", output=Route), {"a": clerk, "b": length}, clerk), Graph[Supervised])
    assert_type(fan_out_fan_in(clerk, clerk, split=Agent("split", output=list[str])), Graph[FanOut])
    planner = Agent("planner", output=list[Step])
    assert_type(orchestrator_workers(planner, {"a": clerk}, clerk), Graph[Job])
    assert_type(orchestrator_workers(planner, {"a": clerk}, clerk, state=Toned), Graph[Toned])
    result = await pipeline({"clerk": clerk}, state=Article, result="draft").run(Article(task="tides"))
    assert_type(result, Result[Article])
    assert result.state.draft == "tides!"


async def test_teams_know_their_states_too() -> None:
    """Teams know their own state, or a subclass of it."""
    agents = {"ann": Agent("ann", prompt="{premise}"), "bob": Agent("bob", prompt="{premise}")}
    assert_type(role_based(agents, agents["ann"]), Graph[Room])
    kitchen = role_based({**agents, "cid": Node(agents["ann"], retry=Retry(attempts=2))}, shout, state=Kitchen)
    assert_type(kitchen, Graph[Kitchen])
    turns = {"desk": Agent("desk", model="rules", prompt="{task}", output=Turn)}
    assert_type(swarm(turns), Graph[Swarm])
