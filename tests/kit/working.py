"""Helpers of the tests of recorded work: a state, a one-node graph, counted calls, failing runs.

Three files test recorded work: which calls are recorded, which are repeated, and how errors are recorded. Each counts
how often something was really done, and reads the log for what was kept.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import Graph, RunFailed, Runner
from graphengine.reducers import append
from tests.kit.runs import alone


class Page(BaseModel):
    """A page that was found, to be kept as a model."""

    url: str
    words: list[str] = []


class State(BaseModel):
    """A text and a number to write, a log, and items for a map."""

    text: str = ""
    n: int = 0
    log: Annotated[list[str], append] = []
    items: list[int] = [1, 2, 3]


def one(work: Callable[..., Any], writes: str = "text", **options: Any) -> Graph[State]:
    """Return a graph of one node."""
    return alone(State, work, writes, **options)


def counted(calls: list[str], name: str) -> Callable[[], str]:
    """Return a function that records its calls."""

    def call() -> str:
        calls.append(name)
        return name

    call.__qualname__ = name
    return call


async def kinds(runner: Runner, run_id: str) -> Sequence[str]:
    """Return the kinds of the recorded steps."""
    return [step.kind for step in await runner.history(run_id)]


async def failing(runner: Runner, graph: Graph[State], run_id: str | None = None) -> Any:
    """Run or resume a run that must fail, and return its result."""
    run = runner.start(graph) if run_id is None else runner.resume(run_id, graph)
    with pytest.raises(RunFailed) as caught:
        await run.result()
    return caught.value.result
