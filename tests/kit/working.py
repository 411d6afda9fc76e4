"""What the tests of recorded work share: a state, a node that works on it, calls that are counted, runs that fail.

Work is told in three files: what is recorded, what is done again, what others are told of it. Each counts how often
something was really done, and reads from the log what was kept.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import Graph, RunFailed, Runner
from graphengine.reducers import append
from tests.kit.runs import alone


class Page(BaseModel):
    """Something that was found, to be kept as a model."""

    url: str
    words: list[str] = []


class State(BaseModel):
    """A text and a number to write, a log, and items for a map."""

    text: str = ""
    n: int = 0
    log: Annotated[list[str], append] = []
    items: list[int] = [1, 2, 3]


def one(work: Callable[..., Any], writes: str = "text", **options: Any) -> Graph[State]:
    """A graph of one node."""
    return alone(State, work, writes, **options)


def counted(calls: list[str], name: str) -> Callable[[], str]:
    """A function that notes its calls."""

    def call() -> str:
        calls.append(name)
        return name

    call.__qualname__ = name
    return call


async def kinds(runner: Runner, run_id: str) -> Sequence[str]:
    """What was recorded, by kind."""
    return [step.kind for step in await runner.history(run_id)]


async def failing(runner: Runner, graph: Graph[State], run_id: str | None = None) -> Any:
    """Run or resume what is to fail, and give the result."""
    run = runner.start(graph) if run_id is None else runner.resume(graph, run_id)
    with pytest.raises(RunFailed) as caught:
        await run.result()
    return caught.value.result
