"""Helpers for tests of agents in runs: a state, a graph of one node, answers that cost a dollar, a model that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Result, Retry, RunFailed, Runner, ScriptedModel
from graphengine.models import Message, Request, Response
from graphengine.models.scripted import calls
from graphengine.reducers import extend
from graphengine.runner import threads
from tests.kit.facts import said
from tests.kit.runs import SOON, alone


class Work(BaseModel):
    """The state that agents read and write."""

    task: str = "rhyme"
    draft: str = ""
    other: str = ""
    items: list[str] = ["a", "b", "c"]
    drafts: list[str] = []
    messages: Annotated[list[Message], extend] = []


def paid(content: str = "", *wanted: tuple[str, Mapping[str, object]], cost_usd: float = 1.0) -> Response:
    """Return an answer, or a turn that calls tools, that costs a dollar."""
    made = calls(*wanted).calls
    return Response(content, made, "tools" if made else "end", input_tokens=1, output_tokens=1, cost_usd=cost_usd)


def one(agent: Any, writes: Any = "draft", **options: Any) -> Graph[Work]:
    """Return a graph of one node."""
    return alone(Work, agent, writes, **options)


def forked(need: int | None = None, options: Mapping[str, Any] = MappingProxyType({}), **arms: Any) -> Graph[Work]:
    """Return a graph of arms that run in parallel; each writes the field of its name."""
    graph = Graph("g", Work)
    for field, arm in arms.items():
        graph.add_node(f"arm_{field}", arm, writes=field, **options)
        graph.add_edge(f"arm_{field}", END)
    graph.add_fork(START, [f"arm_{field}" for field in arms], join=END, need=need)
    return graph


async def within(run: Any) -> Result[Work]:
    """Return the result, within a time limit."""
    async with asyncio.timeout(SOON):
        result: Result[Work] = await run.result()
    return result


async def failing(run: Any) -> Result[Work]:
    """Return the result of a run that fails, within a time limit."""
    with pytest.raises(RunFailed) as caught:
        await within(run)
    return caught.value.result


async def names(runner: Runner, run_id: str) -> list[str]:
    """Return what was recorded, by name or kind."""
    return [said(step).get("name", step.kind) for step in await runner.history(run_id)]


def time_is_up() -> None:
    """Let the time of the node that calls this run out now, so that no test depends on how much a node does in time."""
    limit = threads._LIMIT.get()  # noqa: SLF001 - a clock cannot say at which moment of the node its time is up
    assert limit is not None
    while limit._around is not None:  # noqa: SLF001
        limit = limit._around  # noqa: SLF001
    limit._timeout.reschedule(limit.loop.time())  # noqa: SLF001


class Stuck:
    """A model whose n-th call never ends, but lets the time of its node run out if it is late.

    Other calls are answered as scripted.
    """

    name = "stuck"

    def __init__(self, answers: Sequence[object], at: int, *, is_late: bool = False) -> None:
        self.inner = ScriptedModel(answers)
        self.at = at
        self.is_late = is_late
        self.calls = 0
        self.reached = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        """Return the next answer, or hang."""
        self.calls += 1
        if self.calls == self.at:
            self.reached.set()
            if self.is_late:
                time_is_up()
            await asyncio.Event().wait()
        return await self.inner.answer(request)


def add(first: int, second: int) -> int:
    """Add two numbers."""
    return first + second


ADD = ("add", {"first": 1, "second": 2})
AGAIN = Retry(attempts=20, initial_seconds=0)
