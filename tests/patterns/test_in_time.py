"""What pages of patterns cannot show: work in parallel, and what is cut off in its midst."""

from __future__ import annotations

import asyncio

import pytest

from graphengine import Runner, ScriptedModel
from graphengine.patterns import (
    Board,
    Step,
    Subscriber,
    blackboard,
    fan_out_fan_in,
    orchestrator_workers,
)
from graphengine.testing import FakeClock
from tests.patterns.scripted import named, play


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
