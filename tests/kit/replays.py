"""Runs that are recorded to be replayed by a changed graph, and the first difference of a replay."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Failure,
    Graph,
    RunFailed,
    Runner,
    value,
)
from graphengine.records.export import Exported, export_run
from graphengine.records.replay.replay import Replayed, replay
from graphengine.reducers import append, merge
from graphengine.testing import FakeClock

Build = Callable[..., Graph[Any]]


class State(BaseModel):
    """A state for a loop, a map and a subgraph."""

    topic: str = "ants"
    other: str = "ants"
    n: int = 0
    score: int | None = None
    scores: Annotated[list[int], append] = []
    names: list[str] = ["a", "b", "c"]
    found: list[str] = []
    facts: Annotated[dict[str, str], merge] = {}
    style: str = "short"
    ok: bool | None = None
    errors: Annotated[list[Failure], append] = []


async def recorded(graph: Graph[Any], state: object = None, *answers: object) -> Exported:
    """Run to the end or a failure, and export the run."""
    async with Runner(clock=FakeClock()) as runner:
        run = runner.start(graph, state, run_id="r")
        try:
            await run.result()
            for answer in answers:
                await runner.answer("r", answer)
                await runner.resume("r", graph).result()
        except RunFailed:
            pass
        return await export_run(runner.store, "r")


async def more(n: int) -> int:
    """Add one."""
    return n + 1


def counting(name: str = "more", limit: int = 3, state: type[BaseModel] = State, **options: Any) -> Graph[Any]:
    """Return a graph that counts to a limit."""
    graph = Graph("counting", state)
    graph.add_node(name, options.pop("work", more), writes=options.pop("writes", "n"), **options)
    graph.add_edge(START, name)
    graph.add_edge(name, END, when=value("n") >= limit, label="enough")
    graph.add_edge(name, name)
    return graph


def first_difference(found: Replayed) -> tuple[int, str]:
    """Return the first difference: its step and what differs."""
    assert found.first is not None, str(found)
    assert found.first.repair
    assert f"step {found.first.seq}" in str(found)
    return found.first.seq, found.first.what


async def first_of(build: Build, then: dict[str, Any], now: dict[str, Any]) -> tuple[int, str]:
    """Return the first difference between a graph that recorded a run and the same graph built otherwise."""
    run = await recorded(build(**then))
    assert replay(build(**then), run).same
    return first_difference(replay(build(**now), run))
