"""Graphs as nodes: the resources, events and usage inside; `sessions` has inputs, branches and changes."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import BaseModel

from graphengine import (
    END,
    Context,
    Graph,
    Runner,
)
from graphengine.reducers import append
from tests.kit.runs import alone, row, watch


class Article(BaseModel):
    topic: str = ""
    draft: str = ""
    score: int = 0
    notes: Annotated[list[str], append] = []


class State(BaseModel):
    task: str = "ants"
    text: str = ""
    score: int = 0
    log: Annotated[list[str], append] = []


def around(inner: Graph[Any]) -> Graph[State]:
    """Return a graph of one node that is a graph."""
    return alone(State, inner, "text", inputs={"topic": "task"}, name="outer", node="article")


async def test_a_graph_sees_its_own_resources_then_those_around_it(runner: Runner) -> None:
    """Its own resources come first; all are closed with the runner."""
    closed: list[str] = []

    @contextmanager
    def made(name: str) -> Iterator[str]:
        yield name
        closed.append(name)

    async def use(here: str, there: str) -> str:
        return f"{here} {there}"

    def with_use(name: str, state: type[BaseModel], **resources: Any) -> Graph[Any]:
        return alone(state, use, "log" if state is State else "notes", name=name, node="use", resources=resources)

    inner = with_use("inner", Article, here=lambda: made("inner here"))
    inner.result = "notes"
    graph = with_use("outer", State, here=lambda: made("outer here"), there=lambda: made("outer there"))
    graph.add_node("inner", inner, writes={"log": lambda result: result[0]})
    graph.edges.pop()
    graph.add_path("use", "inner", END)
    async with Runner() as own:
        state = (await own.start(graph).result()).state
    assert state.log == ["outer here outer there", "inner here outer there"]
    assert sorted(closed) == ["inner here", "outer here", "outer there"]
    async with Runner(resources={"there": "test"}) as own:
        assert (await own.start(graph).result()).state.log == ["outer here test", "inner here test"]


async def test_events_inside_have_their_paths(runner: Runner) -> None:
    """Begin, emit and step events have them."""
    watched = asyncio.Event()

    async def show(topic: str, ctx: Context) -> str:
        await watched.wait()
        ctx.emit(topic)
        return f"{ctx.path} {ctx.node}"

    inner = row(Article, ("write", show, "draft"), ("rate", lambda score: score + 1, "score"))
    inner.result = "draft"
    run = runner.start(around(inner))
    began, shown, recorded = await watch(run, watched)
    assert began[-2:] == ["article/write", "article/rate"]
    assert shown == [("article/write", "ants")]
    assert recorded == ["", "article", "article/write", "article/rate", "article"]
    assert (await run.result()).state.text == "article/write write"
