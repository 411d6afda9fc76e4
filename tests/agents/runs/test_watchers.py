"""Watching runs: when a watcher subscribes, and what is left of it."""

import asyncio

from graphengine import Agent, Graph, Runner, ScriptedModel
from graphengine.agents import TextDelta
from graphengine.agents.budget import AgentsOfRun
from graphengine.runner import StepRecorded
from tests.runner.test_watchers import State, one


def speaking() -> Graph[State]:
    """Return a graph of an agent that answers at once."""
    return one(Agent("writer", prompt="go"), writes="text")


async def test_a_subscriber_one_turn_late_gets_the_whole_stream() -> None:
    """A turn of the event loop between the start and the subscription loses no text of the first answer."""
    async with Runner(models={"writer": ScriptedModel(["one two"])}) as runner:
        run = runner.start(speaking())
        await asyncio.sleep(0)
        pieces = [event.text async for event in run.events() if isinstance(event, TextDelta)]
    assert "".join(pieces) == "one two"


async def test_a_subscriber_under_a_time_limit_gets_the_first_answer() -> None:
    """`asyncio.wait_for` begins the iteration in its own task on older Pythons, which is a turn later."""
    async with Runner(models={"writer": ScriptedModel(["one two"])}) as runner:
        run = runner.start(speaking())
        events = run.events()
        first = await asyncio.wait_for(anext(events), 60)
        assert isinstance(first, StepRecorded)
        shown = [event.text async for event in events if isinstance(event, TextDelta)]
    assert "".join(shown) == "one two"


def test_a_step_pays_nothing_for_what_follows_agents() -> None:
    """It overrides no moment: a run whose nodes are no agents is as quick as in a Runner without models."""
    assert not AgentsOfRun._acts  # noqa: SLF001 - no program needs it
