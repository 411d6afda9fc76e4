"""Patterns are typed: what a caller hands over is taken as it is, and a graph knows its state."""

from typing import assert_type

from pydantic import BaseModel

from graphengine import Agent, Graph, Limits, Node, Retry, value
from graphengine.patterns import (
    Guarded,
    Room,
    Swarm,
    Turn,
    bounded,
    circuit_breaker,
    escalation,
    role_based,
    swarm,
    topology,
)


class Kitchen(Room):
    """A caller's own fields."""

    tone: str = "plain"


class Question(BaseModel):
    """A caller's own state."""

    task: str = ""
    answer: str = ""


class Offer(Guarded):
    """One with what a breaker needs."""

    price: float = 0.0


def shout(task: str) -> str:
    """A plain function."""
    return task.upper()


async def test_patterns_know_their_states() -> None:
    """Their own, a subclass, or the caller's."""
    agents = {"ann": Agent("ann", prompt="{premise}"), "bob": Agent("bob", prompt="{premise}")}
    assert_type(role_based(agents, agents["ann"]), Graph[Room])
    kitchen = role_based({**agents, "cid": Node(agents["ann"], retry=Retry(attempts=2))}, shout, state=Kitchen)
    assert_type(kitchen, Graph[Kitchen])
    turns = {"desk": Agent("desk", prompt="{task}", output=Turn)}
    assert_type(swarm(turns), Graph[Swarm])
    chain = topology("chain", {"ann": shout, "team": swarm(turns)})
    good = value("answer").length() > 0
    ladder = escalation(Question, {"shout": shout, "chain": chain}, answer="answer", accept=good)
    assert_type(ladder, Graph[Question])
    assert_type(bounded(Question, ladder, answer="answer", limits=Limits(steps=9)), Graph[Question])
    assert_type(circuit_breaker(Offer, lambda: 1.0, lambda: 2.0, answer="price"), Graph[Offer])
    assert (await ladder.run({"task": "ho"})).output == "HO"
