"""A message is refused where the graph's source shows that nothing receives its topic; else it is kept, and told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import lru_cache, partial, wraps
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner, ask
from graphengine.engine.topics import topics_of
from graphengine.errors import InputError
from graphengine.stores.memory import InMemoryStore

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


def gated(function: Callable[..., Awaitable[int]]) -> Callable[..., Awaitable[int]]:
    """Receive before a function runs, as a decorator with the function's own source and signature."""

    @wraps(function)
    async def hears(n: int, ctx: Context) -> int:
        await ctx.receive("open", int)
        return await function(n, ctx)

    return hears


@gated
async def hears(n: int, ctx: Context) -> int:
    """Receive only what the source below does not show."""
    return n if ctx.visit else 0


def returns_any(n: int) -> Any:
    """Return what may be awaited, as an agent's run."""
    return other(n)


def may_return_other(n: int) -> Awaitable[int] | int:
    """Return what may be awaited."""
    return other(n) if n else 0


def returns_union(n: int) -> int | None:
    """Return what is not awaited."""
    return n or None


async def comprehends(n: int) -> int:
    """Iterate over what is not known."""
    return sum([each async for each in several(n)])


async def several(n: int) -> AsyncIterator[int]:
    """Yield something."""
    yield n


class Hears:
    """A node that is an object."""

    async def __call__(self, n: int) -> int:
        """Await what is not known."""
        return await other(n)

    async def method(self, ctx: Context) -> int:
        """Receive in a method."""
        return await ctx.receive("go", int)

    @staticmethod
    async def static(ctx: Context) -> int:
        """Receive in a function of a class."""
        return await ctx.receive("go", int)


def nested(topic: str) -> Callable[..., Any]:
    """Return a function that receives on one of two topics."""

    async def receiving(ctx: Context) -> int:
        return await ctx.receive("go", int)

    async def by_closure(ctx: Context) -> int:
        return await ctx.receive(topic, int)

    return by_closure if topic else receiving


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
        ([returns_union], set()),
        ([Hears.static], {"go"}),
        ([nested("")], {"go"}),
        ([nested("go")], None),
        ([hears], None),
        ([returns_any], None),
        ([may_return_other], None),
        ([lambda n: other(n + 1)], None),
        ([lru_cache(plain)], None),
        ([comprehends], None),
        ([Hears()], None),
        ([Hears().method], None),
    ],
)
def test_the_topics_of_a_graph_are_known_only_if_all_are(functions: list[Any], expected: set[str] | None) -> None:
    """Texts in `ctx.receive` and `topic=` are; a name, a context that is passed on, an awaited function end it."""
    assert topics_of(graph_of(*functions).compile()) == expected


def test_the_source_of_another_version_shows_nothing(tmp_path: Path) -> None:
    """A deploy wrote other files while this process runs: what is in them now is not what runs here."""
    file, source = tmp_path / "nodes.py", 'async def hear(ctx):\n    return await ctx.receive("go", int)\n'
    file.write_text(source)
    graphs = [graph_of(run_path(str(file))["hear"]).compile() for _ in range(2)]
    assert topics_of(graphs[0]) == frozenset({"go"})
    file.write_text(source.replace("go", "on"))
    assert topics_of(graphs[1]) is None


class Newer:
    """What the next version has in place of `Hears.static`, by the same name."""

    @staticmethod
    async def static(ctx: Context) -> int:
        """Receive on another topic."""
        return await ctx.receive("on", int)


async def test_code_of_another_version_refuses_nothing() -> None:
    """It decides neither about what the record waits for, nor about a run that another process drives."""
    store, gate = InMemoryStore(), asyncio.Event()

    async def paused(n: int) -> int:
        await gate.wait()
        return n

    old, new = graph_of(Hears.static, paused), graph_of(Newer.static, paused)
    assert old.compile().fingerprint == new.compile().fingerprint
    new = graph_of(Newer.static, plain)
    async with Runner(store) as one, Runner(store) as two:
        run = one.start(old, run_id="run")
        assert (await run.result()).status == "waiting"
        with pytest.raises(InputError, match="no node of graph graph receives 'in'"):
            await one.get("run", graph_of(Hears.static, plain)).send("in", 1)
        await two.get("run", new).send("go", 1)
        run = one.resume("run", old)
        await two.get("run", new).send("go", 2)
        gate.set()
        assert (await run.result()).unread == {"go": [2]}


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
