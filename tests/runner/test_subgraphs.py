"""Graphs as nodes on a real event loop: inputs, results, resources, limits, failures, resumes, branches inside."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    FAIL,
    START,
    Agent,
    Context,
    Graph,
    Node,
    Runner,
    ScriptedModel,
    choose,
    iterations,
    value,
)
from graphengine.errors import InputError
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


async def write(topic: str, score: int) -> str:
    """Write about the topic."""
    return f"{topic} v{score + 1}"


async def rate(score: int) -> int:
    """Return a score one higher than before."""
    return score + 1


def joined(result: object) -> str:
    """Return a result as text."""
    return "".join(result) if isinstance(result, list) else str(result)


def article(until: int = 2, write: Callable[..., Any] = write) -> Graph[Article]:
    """Return a loop that writes and rates until the score is high enough."""
    graph = Graph("article", Article, result="draft")
    graph.add_node("write", write, writes="draft")
    graph.add_node("rate", rate, writes="score")
    graph.add_path(START, "write", "rate")
    graph.add_edge("rate", END, when=value("score") >= until, label="approved")
    graph.add_edge("rate", END, when=iterations("rate") >= 5, label="given up")
    graph.add_edge("rate", "write")
    return graph


def around(inner: Graph[Any], writes: Any = "text") -> Graph[State]:
    """Return a graph of one node that is a graph."""
    return alone(State, inner, writes, inputs={"topic": "task"}, name="outer", node="article")


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize(
    ("options", "text"),
    [({}, " v8"), ({"inputs": {"topic": "task"}}, "ants v1"), ({"inputs": {}}, " v1")],
    ids=["nothing is said", "some is named", "none is named"],
)
async def test_a_subgraph_gets_the_inputs_of_its_node(
    runner: Runner, options: dict[str, Any], text: str, *, chosen: bool
) -> None:
    """By default it gets the fields of the same name; else the named ones, and the others keep their defaults."""
    inner = alone(Article, write, "draft", name="article", node="write", result="draft")
    node = choose("task", {"ants": Node(inner, **options)}) if chosen else Node(inner, **options)
    graph = alone(State, node, "text", name="given", node="article")
    assert (await runner.start(graph, State(score=7)).result()).state.text == text


# -- failing


# -- resources, models, usage


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


async def test_one_graph_at_two_places_sees_the_resources_around_each(runner: Runner) -> None:
    """The same graph object is in two graphs with different resources of one name."""

    async def use(db: str) -> str:
        return db

    inner = alone(Article, use, "draft", name="inner", node="use", result="draft")
    left = Graph("l", Article, result="draft", resources={"db": lambda: "l"})
    right = Graph("r", Article, result="draft", resources={"db": lambda: "r"})
    for side in (left, right):
        side.add_node("inner", inner, writes="draft")
        side.add_path(START, "inner", END)
    graph = row(State, ("a", left, "log"), ("b", right, "log"), name="outer")
    assert (await runner.start(graph).result()).state.log == ["l", "r"]


async def test_a_missing_resource_is_found_at_compile() -> None:
    """A graph that needs one of the graph around it does not compile alone."""

    async def use(db: str) -> str:
        return db

    inner = alone(Article, use, "draft", name="inner", node="use", result="draft")
    assert [problem.code for problem in inner.check()] == ["unknown_parameter"]
    graph = alone(State, inner, "text", name="outer", node="inner", resources={"db": lambda: "x"})
    assert list(graph.check()) == []


# -- branches, changes, stops, events


async def test_a_branch_inside_continues_inside(runner: Runner) -> None:
    """An update of the graph's state is given by its path."""
    graph = around(article())
    run = runner.start(graph)
    await run.result()
    at = next(step.seq for step in await runner.history(run.id) if step.path == "article/write")
    child = await runner.branch(run.id, graph, at, path="article", update={"topic": "bees"}).result()
    assert child.state.text == "bees v2"
    outer = await runner.branch(run.id, graph, at, path="", update={"log": "mine"}).result()
    assert (outer.state.text, outer.state.log) == ("ants v2", ["mine"])
    with pytest.raises(InputError, match="several states are open there"):
        await runner.branch(run.id, graph, at, update={"topic": "bees"}).result()
    with pytest.raises(InputError, match="the paths are: '', 'article'"):
        await runner.branch(run.id, graph, at, path="artikel", update={"topic": "bees"}).result()
    with pytest.raises(InputError, match="unknown field 'task'"):
        await runner.branch(run.id, graph, at, path="article", update={"task": "bees"}).result()


async def test_a_changed_subgraph_is_compiled_again(runner: Runner) -> None:
    """A node added to the graph inside runs, though the graph around it was compiled before."""
    inner = Graph("inner", Article, result="notes")
    inner.add_node("one", lambda: "one", writes="notes")
    inner.add_edge(START, "one")
    inner.add_edge("one", END, when=value("notes").length() >= 9)
    inner.add_edge("one", FAIL)
    graph = around(inner, {"log": joined})
    graph.compile()
    inner.edges = inner.edges[:1]
    inner.add_node("two", lambda: "two", writes="notes")
    inner.add_path("one", "two", END)
    assert (await runner.start(graph).result()).state.log == ["onetwo"]


async def test_events_inside_have_their_paths(runner: Runner) -> None:
    """Begin, emit and step events have them."""
    watched = asyncio.Event()

    async def show(topic: str, ctx: Context) -> str:
        await watched.wait()
        ctx.emit(topic)
        return f"{ctx.path} {ctx.node}"

    run = runner.start(around(article(until=1, write=show)))
    began, shown, recorded = await watch(run, watched)
    assert began[-2:] == ["article/write", "article/rate"]
    assert shown == [("article/write", "ants")]
    assert recorded == ["", "article", "article/write", "article/rate", "article"]
    assert (await run.result()).state.text == "article/write write"


async def test_usage_inside_counts_for_the_run(runner: Runner) -> None:
    """Models are replaced by the agent's name at any depth."""
    writer = Agent("writer", model=ScriptedModel(["no"]), prompt="{topic}")
    inner = alone(Article, writer, "draft", name="inner", node="write", result="draft")
    async with Runner(models={"writer": ScriptedModel(["x", "y"])}) as own:
        result = await own.start(around(inner)).result()
    assert (result.state.text, result.usage.calls) == ("x", 1)
