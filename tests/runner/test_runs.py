"""Runs that begin, share resources, cannot begin, or are branched while they are driven; `sessions` has the rest."""

import asyncio
from typing import Annotated, Self

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Context,
    Graph,
    Runner,
)
from graphengine.errors import (
    RunExists,
)
from graphengine.reducers import append
from graphengine.runner import RunEnded
from tests.kit.runs import SOON, alone


class State(BaseModel):
    n: int = 0
    word: str = "ant"
    log: Annotated[list[str], append] = []


def counting() -> Graph[State]:
    """Return a graph that counts."""
    return alone(State, lambda n: n + 1, "n")


async def test_generated_ids_begin_with_different_characters(runner: Runner) -> None:
    """Whoever types the first characters of an id names one run."""
    ids = [runner.start(counting()).id for _ in range(20)]
    assert len({each[:6] for each in ids}) == 20
    await asyncio.gather(*(runner.get(each).result() for each in ids))


async def test_resources_are_built_once_and_closed_with_the_runner() -> None:
    """Async context managers are entered for the first run and left when the runner closes."""
    log: list[str] = []

    class Search:
        async def __aenter__(self) -> Self:
            log.append("open")
            return self

        async def __aexit__(self, *_: object) -> None:
            log.append("close")

        def find(self) -> str:
            return "found"

    async def look(search: Search) -> str:
        return search.find()

    graph = alone(State, look, "word", name="look", node="look", resources={"search": Search})
    async with Runner() as runner:
        for _ in range(2):
            assert (await runner.start(graph).result()).state.word == "found"
    assert log == ["open", "close"]

    class Fake:
        def find(self) -> str:
            return "faked"

    async with Runner(resources={"search": Fake()}) as runner:
        assert (await runner.start(graph).result()).state.word == "faked"


async def test_the_events_of_a_run_that_could_not_begin_raise(runner: Runner) -> None:
    """The steps of the existing run with this id are not shown as this one's; the error is that of `result`."""
    await runner.start(counting(), run_id="r").result()
    second = runner.start(counting(), run_id="r")
    with pytest.raises(RunExists):
        await anext(second.events())
    with pytest.raises(RunExists):
        await second.result()
    again = runner.resume("r", counting())
    *steps, ended = [event async for event in again.events()]
    assert len(steps) == 2
    assert isinstance(ended, RunEnded)
    assert ended.result.status == "finished"


async def test_a_run_that_is_driven_can_be_branched(runner: Runner) -> None:
    """The branch begins at a recorded step while the next node runs; both runs continue separately."""
    begun, leave = asyncio.Event(), asyncio.Event()

    async def work(word: str, ctx: Context) -> str:
        if word == "ant":
            begun.set()
            await leave.wait()
        return f"{word} {ctx.visit}"

    graph = Graph("driven", State)
    graph.add_node("first", lambda: 1, writes="n", thread=False)
    graph.add_node("work", work, writes="log")
    graph.add_path(START, "first", "work", END)
    run = runner.start(graph)
    async with asyncio.timeout(SOON):
        await begun.wait()
        child = await runner.branch(run.id, graph, 2, update={"word": "bee"}).result()
        assert child.state.log == ["bee 1"]
        leave.set()
        assert (await run.result()).state.log == ["ant 1"]
