"""Waiting runs that other processes continue, and the cost of many waits."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Context, Graph, Runner
from graphengine.engine import fold as evolve
from graphengine.engine import ready
from graphengine.engine.snapshot import Frame, Snapshot, Task
from graphengine.runner import driving as drive
from tests.kit.runs import alone


class State(BaseModel):
    word: str = ""

    items: list[int] = []
    answers: list[int] = []


def one(work: Any, writes: str = "word", **options: Any) -> Graph[State]:
    """Return a graph of one node."""
    return alone(State, work, writes, **options)


# -- runs that another process continues


# -- the cost of waiting


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often the engine computes the task of a single frame."""
    calls = [0]
    original: Callable[[Snapshot, Frame], Task | None] = ready.task_of

    def task_of(snapshot: Snapshot, frame: Frame) -> Task | None:
        calls[0] += 1
        return original(snapshot, frame)

    for module in (ready, evolve, drive):
        monkeypatch.setattr(module, "task_of", task_of)
    return calls


async def ask_about(item: int, ctx: Context) -> int:
    """Ask a question about an item."""
    return await ctx.ask(f"{item}?", int)


async def cost(runner: Runner, count: int, calls: list[int]) -> Sequence[int]:
    """Return how many frames are checked until a map of questions waits, and after all answers until it ends."""
    graph = one(ask_about, "answers", each={"item": "items"}, concurrency=count)
    calls[0] = 0
    result = await runner.start(graph, {"items": list(range(count))}).result()
    asking = calls[0]
    assert len(result.waits) == count
    for n, wait in enumerate(result.waits):
        await runner.answer(result.run_id, n, wait=wait)
    calls[0] = 0
    assert (await runner.resume(result.run_id, graph).result()).state.answers == list(range(count))
    return asking, calls[0]


async def test_many_waits_cost_a_bounded_number_of_checks_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times as many waits take about three times as many checks of frames, not nine times."""
    calls = counted(monkeypatch)
    async with Runner() as runner:
        few, many = await cost(runner, 30, calls), await cost(runner, 90, calls)
    for fewer, more in zip(few, many, strict=True):
        assert more < 4 * fewer
