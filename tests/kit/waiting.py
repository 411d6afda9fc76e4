"""Helpers of the tests of waiting: a state to ask about, types that refuse answers, waiting and resuming.

Waits are tested in several files (in nodes, inside nodes, in time, kept, in races, messages), all with these graphs.
`tests.kit.recorded.Odd` has a rule that its JSON Schema does not contain: an answer can match the schema and still be
refused by the type.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field

from graphengine import Graph, Runner
from graphengine.history.load import Wait
from graphengine.reducers import append
from graphengine.runner.answers import KnownTypes
from graphengine.runner.runner import lives_of
from tests.kit.runs import SOON, Odd, arms, row


class Verdict(BaseModel):
    """An opinion about a text."""

    ok: bool
    score: int = Field(ge=0, le=10)


class State(BaseModel):
    """A state with a field for each kind of answer."""

    title: str = "Ants"
    ok: bool | None = None
    verdict: Verdict | None = None
    odd: Odd | None = None
    word: str = ""
    n: int = 0
    names: list[str] = []
    log: Annotated[list[str], append] = []
    items: list[str] = ["a", "b", "c", "d"]
    answers: list[bool] = []


def path(*nodes: tuple[str, Any, Any], name: str = "g") -> Graph[State]:
    """Return a graph of nodes in a row: name, runnable, writes."""
    return row(State, *nodes, name=name)


def forked(*nodes: tuple[str, Any, Any], need: int | None = None) -> Graph[State]:
    """Return a graph of one fork; each arm is a node."""
    return arms(State, *nodes, need=need)


async def waiting(runner: Runner, graph: Graph[Any], **options: Any) -> str:
    """Start a run that is to wait, and return its id."""
    result = await runner.start(graph, **options).result()
    assert result.status == "waiting"
    return result.run_id


async def answer_unchecked(runner: Runner, run_id: str, value: object, wait: Wait | None = None) -> None:
    """Answer as another process, which has not the type of the answer, so that only its schema is checked."""
    shared = lives_of(runner).shared
    shared.types = KnownTypes()
    shared.newest_plan = shared.plans = None
    await runner.answer(run_id, value, wait=wait)


async def resume_run(runner: Runner, graph: Graph[Any], run_id: str) -> Any:
    """Resume a run and return its result."""
    async with asyncio.timeout(SOON):
        return await runner.resume(run_id, graph).result()


def names(waits: Sequence[Any]) -> list[str]:
    """Return the names by which waits are answered."""
    return [wait.name for wait in waits]
