"""The graph that the machine of runs uses, and the gates at which its nodes wait.

    plan → fork: left, question → hear, nap → check (a map of two items) → review → plan again, or the end

Every node that works waits at a gate until the machine sends the token with which it ends, or makes it fail. `left`
first does a piece of recorded work, `question` asks a person, `hear` waits for a message, `nap` sleeps for a minute.
Each writes one line, so that the state shows the order of the records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, NamedTuple

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, ask, value
from graphengine.reducers import append

NAP_SECONDS = 60.0
_FRAMES = {"left": "~left", "left work": "~left", "nap": "~nap", "check x": "check[0]", "check y": "check[1]"}


class Book(BaseModel):
    """Lines in the order in which they were recorded."""

    log: Annotated[list[str], append] = []
    items: list[str] = ["x", "y"]
    more: bool = False


class Boom(Exception):
    """The exception of a failing node."""


class Gate(NamedTuple):
    """The place where an attempt waits: `left work` is the recorded work of `left`, `check x` an item."""

    run_id: str
    name: str
    visit: int

    @property
    def frame(self) -> str:
        """The frame of its node, as the log names it."""
        return _FRAMES.get(self.name, "")


class Gates:
    """The gates of one owner's nodes.

    Attributes:
        standing: The gates at which a node waits for a word of the machine.
        called: Called with each gate when a node reaches it.
        called_off: Called with each gate at which a node is cancelled before its word came.
    """

    def __init__(self, called: Callable[[Gate], None], called_off: Callable[[Gate], None]) -> None:
        self.standing: dict[Gate, asyncio.Future[str]] = {}
        self.called = called
        self.called_off = called_off

    async def at(self, ctx: Context, name: str) -> str:
        """Wait for a word."""
        gate = Gate(ctx.run_id, name, ctx.visit)
        self.called(gate)
        assert gate not in self.standing, f"{gate} is called twice at the same time"
        word = self.standing[gate] = asyncio.get_running_loop().create_future()
        try:
            return f"{name} {await word}"
        finally:
            del self.standing[gate]
            if word.cancelled():
                self.called_off(gate)


def round_graph(gates: Gates) -> Graph[Book]:
    """Return the graph, whose nodes wait at these gates."""

    def gated(name: str) -> Callable[..., Awaitable[str]]:
        async def node(ctx: Context) -> str:
            return await gates.at(ctx, name)

        return node

    async def left(ctx: Context) -> str:
        async def work() -> str:
            return await gates.at(ctx, "left work")

        return f"{await ctx.call(work, key='work')}, {await gates.at(ctx, 'left')}"

    async def hear(ctx: Context) -> str:
        return f"hear {await ctx.receive('news', str)}"

    async def nap(ctx: Context) -> str:
        await ctx.sleep(NAP_SECONDS)
        return await gates.at(ctx, "nap")

    async def check(ctx: Context, item: str) -> str:
        return await gates.at(ctx, f"check {item}")

    graph = Graph("round", Book)
    for name, node in {"plan": gated("plan"), "left": left, "hear": hear, "nap": nap}.items():
        graph.add_node(name, node, writes="log")
    graph.add_node("question", ask("Go on?", str), writes="log")
    graph.add_node("check", check, each={"item": "items"}, writes="log")
    graph.add_node("review", gated("review"), writes={"log": lambda result: result, "more": goes_on})
    graph.add_edge(START, "plan")
    graph.add_fork("plan", ["left", "question", "nap"], join="check")
    graph.add_path("question", "hear", "check")
    graph.add_edge("left", "check")
    graph.add_edge("nap", "check")
    graph.add_edge("check", "review")
    graph.add_edge("review", "plan", when=value("more") == True)  # noqa: E712 - a condition, not a comparison
    graph.add_edge("review", END)
    return graph


def goes_on(result: str) -> bool:
    """Return whether the round starts again, which the machine decides in a review: `review again 17`."""
    return result.startswith("review again")
