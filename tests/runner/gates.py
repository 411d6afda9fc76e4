"""Graphs for tests of handles: one that waits until it is released, one that receives messages, and any of one node."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from pydantic import BaseModel

from graphengine import Context, Graph, ask
from graphengine.runner import StepRecorded
from graphengine.runner.run_events import Event
from tests.kit.runs import alone, repeated


class State(BaseModel):
    n: int = 0
    text: str = ""
    heard: list[str] = []


class Gate:
    """A node that reports its entry and waits until it is released."""

    def __init__(self) -> None:
        self.entered, self.leave = asyncio.Event(), asyncio.Event()

    def graph(self) -> Graph[State]:
        """Return a graph START → a → END; a is this node."""

        async def a(n: int, ctx: Context) -> int:
            self.entered.set()
            await self.leave.wait()
            ctx.emit("left")
            return n + 1

        return one("gated", a)


def one(name: str, runnable: Any, writes: str = "n") -> Graph[State]:
    """Return a graph START → a → END."""
    return alone(State, runnable, writes, name=name, node="a")


def asking(kind: Any = int, writes: str = "n") -> Graph[State]:
    """Return a graph that asks one question."""
    return one("asking", ask("Which?", kind), writes)


def chat() -> Graph[State]:
    """Return a graph that receives messages until one is `bye`."""

    async def hear(heard: list[str], ctx: Context, topic: str = "said") -> list[str]:
        return [*heard, await ctx.receive(topic, str)]  # not a text: so other topics are kept too

    return repeated(State, hear, "heard", lambda heard: heard[-1] == "bye", name="chat", node="hear")


async def kinds_of(events: AsyncIterator[Event]) -> list[str]:
    """Return the kind of each event until the last one; of a step, that of the step."""
    return [event.step.kind if isinstance(event, StepRecorded) else type(event).__name__ async for event in events]
