"""What pages of patterns cannot show: work in parallel, and what is cut off in its midst."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from graphengine import END, START, Graph, Limits, RunFailed, Runner, ScriptedModel, iterations
from graphengine.patterns import (
    Attempt,
    Board,
    Critique,
    Reply,
    Step,
    Subscriber,
    Thought,
    blackboard,
    cross_reflection,
    fan_out_fan_in,
    orchestrator_workers,
    talker_reasoner,
    with_limits,
)
from graphengine.patterns.votes import option_of
from graphengine.testing import FakeClock
from tests.patterns.scripted import named, play


async def test_critics_run_in_parallel() -> None:
    """Each critic waits for the other here."""
    met = asyncio.Barrier(2)

    async def critic(draft: str) -> Critique:
        await met.wait()
        return Critique(verdict="accept")

    graph = cross_reflection(named("write"), {"a": critic, "b": critic})
    async with asyncio.timeout(10):
        played = await play(graph, {"task": "t"}, {"write": ["one"]})
    assert played.label == "accepted"


async def test_ready_steps_run_in_parallel() -> None:
    """Ready steps of one role and of several run in parallel: each waits here for all others."""
    met = asyncio.Barrier(3)

    async def meet(task: str) -> str:
        await met.wait()
        return task

    plan = [Step(id=name, role=role, input=name) for name, role in (("a", "one"), ("b", "one"), ("c", "two"))]
    planner = named("planner", "{task}", list[Step])
    graph = orchestrator_workers(planner, {"one": meet, "two": meet}, named("end", "{results}"))
    async with asyncio.timeout(10):
        await play(graph, {"task": "t"}, {"planner": [plan], "end": ["done"]})


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_so_many_are_worked_on_at_a_time_as_allowed(concurrency: int) -> None:
    """Exactly that many run in parallel: each waits for the others."""
    running: list[int] = []
    now = 0

    async def work(item: str) -> str:
        nonlocal now
        now += 1
        running.append(now)
        for _ in range(20):
            await asyncio.sleep(0)
        now -= 1
        return item

    graph = fan_out_fan_in(work, lambda: "", concurrency=concurrency)
    await play(graph, {"items": list("abcdef")}, {})
    assert max(running) == concurrency


@pytest.mark.parametrize("kind", [Attempt, Thought])
@pytest.mark.parametrize("given", [{}, {"question": "How?", "tool": "shout", "answer": "42"}])
def test_an_attempt_and_a_thought_are_one_of_two_things(kind: type[BaseModel], given: dict[str, str]) -> None:
    """A question or a use of a tool, or an answer; not both and not neither."""
    with pytest.raises(ValidationError, match="either a"):
        kind(**given)


@pytest.mark.parametrize("answer", ["yes", "Yes.", " YES! ", '"yes"', "**Yes**", "yes\n", "\uff39es"])
def test_one_vote_in_other_clothes(answer: str) -> None:
    """Case, quotes, markup and a full stop make no difference."""
    assert option_of(answer, ["yes", "no"]) == "yes"


@pytest.mark.parametrize("answer", ["yes, but", "not yes", "yesterday", "", "y", "yes no", "-yes", 1, None])
def test_other_texts_are_not_votes(answer: object) -> None:
    """Other words, more words and no words are not votes."""
    with pytest.raises(ValueError, match="is not a vote; answer with one of yes, no"):
        option_of(answer, ["yes", "no"])


class Case(Board):
    """A board."""

    task: str = ""
    clues: str = ""
    theory: str = ""


async def test_the_time_of_an_entry_is_when_others_could_first_read_it() -> None:
    """It is the time of the round after the agent's."""
    clock = FakeClock(start=1000.0)

    def slowly(_: object) -> str:
        clock.move(60)
        return "a"

    agents = {
        name: Subscriber(named(name, f"{{{watches}}}"), watches=[watches], writes=writes)
        for name, watches, writes in (("scout", "task", "clues"), ("sage", "clues", "theory"))
    }
    async with Runner(models={"*": ScriptedModel(slowly)}, clock=clock) as runner:
        state = (await runner.start(blackboard(Case, agents), {"task": "theft"}).result()).state
    assert [entry.at for entry in state.entries] == [1060.0, 1120.0]


INSTEAD = named("instead")


async def test_the_next_turn_begins_with_what_was_thought() -> None:
    """A conversation is a run after a run."""
    later, done = Reply(text="Let me see.", think=True), Reply(text="It is 42.")
    reads = "{message} {belief}"
    graph = talker_reasoner(named("talker", reads, Reply), named("reasoner", reads))
    model = ScriptedModel({"talker": [later, done, done], "reasoner": ["the sum of all"]})
    async with Runner(models={"*": model}) as runner:
        first = await runner.start(graph, {"message": "one"}).result()
        second = await runner.start(graph, {"message": "two"}, after=first.run_id).result()
    assert second.state.belief == "the sum of all"
    assert "the sum of all" in model.requests[-1].prompt


class Search(BaseModel):
    """A search."""

    task: str = ""
    found: str = ""


def walk(visits: int) -> Graph[Search]:
    """Return a graph with this many agent calls."""
    graph = Graph("walk", Search, result="found")
    graph.add_node("look", named("look"), writes="found")
    graph.add_edge(START, "look")
    graph.add_edge("look", END, when=iterations("look") >= visits)
    graph.add_edge("look", "look")
    return graph


async def test_seconds_cut_off_a_function_in_its_midst() -> None:
    """The function need not end by itself."""

    async def wait(task: str) -> str:
        await asyncio.Event().wait()
        return task

    graph = with_limits(Search, wait, answer="found", limits=Limits(seconds=0.01), instead=lambda: "nothing")
    assert (await graph.run({"task": "?"})).output == "nothing"


@pytest.mark.parametrize("instead", [None, lambda: "nothing"])
async def test_a_failure_by_itself_is_no_limit(instead: Any) -> None:
    """Its failure is that of the run."""

    def fail(task: str) -> str:
        raise TimeoutError(task)

    graph = with_limits(Search, fail, answer="found", limits=Limits(seconds=60), instead=instead)
    with pytest.raises(RunFailed, match="TimeoutError"):
        await graph.run({"task": "?"})


async def test_a_limit_of_the_run_is_another_thing() -> None:
    """It stops the run, which can be resumed; the replacement does not run."""
    graph = with_limits(Search, walk(3), answer="found", limits=Limits(visits=50), instead=INSTEAD)
    async with Runner(models={"*": ScriptedModel({"look": ["a", "b", "c"]})}) as runner:
        run = runner.start(graph, {"task": "?"}, limits=Limits(visits=2))
        assert (await run.result()).status == "stopped"
        result = await runner.resume(run.id, graph, limits=Limits(visits=50)).result()
    assert (result.status, result.output) == ("finished", "c")
