"""A message is refused where the graph's source shows that nothing receives its topic; else it is kept, and told."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner, ask
from graphengine.engine.topics import topics_of
from graphengine.errors import InputError

GO = "go"


class State(BaseModel):
    """A state."""

    n: int = 0


def graph_of(*functions: Any, name: str = "graph") -> Graph[State]:
    """Return a graph of nodes in a row."""
    graph = Graph(name, State, result="n")
    names = [f"node{number}" for number, _ in enumerate(functions)]
    for node, function in zip(names, functions, strict=True):
        graph.add_node(node, function, writes="n")
    graph.add_path(START, *names, END)
    return graph


async def hear(ctx: Context) -> int:
    """Receive by a text, in a race and with a time."""
    first = await ctx.receive("go", int, timeout_seconds=60, default=1)
    return first + await ctx.receive("more", int)


async def tell(ctx: Context) -> int:
    """Be told the end of a run on a topic, and wait for its result."""
    child = await ctx.start(graph_of(plain, name="child"), topic="told")
    return int((await child.result()).values["n"])


def plain(n: int) -> int:
    """Receive nothing."""
    return n


async def by_name(ctx: Context) -> int:
    """Receive a topic that is no text here."""
    return await ctx.receive(GO, int)


async def passes(ctx: Context) -> int:
    """Give the context away."""
    return await hear(ctx)


async def calls(n: int) -> int:
    """Await what is not known."""
    return await other(n)


async def other(n: int) -> int:
    """Do something."""
    return n


async def recorded(ctx: Context, n: int) -> int:
    """Record a call: what it calls could be an agent, which receives on `steer`."""
    return await ctx.call(other, n)


async def takes_method(ctx: Context) -> int:
    """Receive by a method that has another name."""
    receive: Callable[..., Awaitable[int]] = ctx.receive
    return await receive("go", int)


@pytest.mark.parametrize(
    ("functions", "expected"),
    [
        ([plain], set()),
        ([hear], {"go", "more"}),
        ([plain, hear, tell], {"go", "more", "told"}),
        ([graph_of(hear, name="inner")], {"go", "more"}),
        ([ask("How many?", int)], set()),
        ([by_name], None),
        ([passes], None),
        ([hear, calls], None),
        ([recorded], None),
        ([takes_method], None),
        ([partial(hear)], None),
        ([graph_of(calls, name="inner")], None),
    ],
)
def test_the_topics_of_a_graph_are_known_only_if_all_are(functions: list[Any], expected: set[str] | None) -> None:
    """Texts in `ctx.receive` and `topic=` are; a name, a context that is passed on, an awaited function end it."""
    assert topics_of(graph_of(*functions).compile()) == expected


async def test_a_topic_that_nothing_receives_is_refused_and_others_are_kept() -> None:
    """The refusal names what there is; where that is not known, the result has what was left unread."""
    async with Runner() as runner:
        run = runner.start(graph_of(hear))
        await run.send("go", 1)
        with pytest.raises(InputError, match="no node of graph graph receives 'mor'") as caught:
            await run.send("mor", 2)
        assert caught.value.repair == "did you mean 'more'?"
        with pytest.raises(InputError, match="no node of graph plain receives 'go'") as caught:
            await runner.start(graph_of(ask("How many?", int), name="plain")).send("go", 1)
        assert caught.value.repair == "it receives no messages at all"
        await run.send("more", 2)
        result = await run.result()
        assert (result.state.n, result.unread) == (3, {})
        free = runner.start(graph_of(passes))
        await free.send("mor", {"a": [2]})
        await free.send("go", 1)
        assert (await free.result()).unread == {"mor": [{"a": [2]}]}
        await free.send("more", 3)
        assert (await runner.resume(free.id, graph_of(passes)).result()).unread == {"mor": [{"a": [2]}]}
