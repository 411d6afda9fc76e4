"""Context variables: each node runs in a copy of the context in which its run was started or resumed."""

import asyncio
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Limits, Runner, ask, value
from tests.kit.runs import repeated

SEEN: ContextVar[str] = ContextVar("seen", default="unset")


class Odd:
    """A value that cannot be compared."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise TypeError


ODD: ContextVar[Odd | None] = ContextVar("odd", default=None)


class State(BaseModel):
    n: int = 0
    a: str = ""
    b: str = ""
    c: str = ""


async def sets() -> str:
    """Set a variable, and return its old value."""
    found = SEEN.get()
    SEEN.set(f"{found}+node")
    return found


async def sets_odd() -> str:
    """Set a variable to a value that cannot be compared."""
    ODD.set(Odd())
    return await sets()


async def reads() -> str:
    """Return the value of the variable."""
    await asyncio.sleep(0)
    return SEEN.get()


def reads_in_thread() -> str:
    """Return the value of the variable in a thread."""
    return SEEN.get()


def in_fork(first: Any, then: Any, last: Any = reads) -> Graph[State]:
    """Return a graph with a fork to a, b and c."""
    graph = Graph("g", State)
    for name, runnable in zip("abc", (first, then, last), strict=True):
        graph.add_node(name, runnable, writes=name)
        graph.add_edge(name, "n")
    graph.add_node("n", lambda: None)
    graph.add_fork(START, ["a", "b", "c"], join="n")
    graph.add_edge("n", END)
    return graph


def in_sequence(first: Any, then: Any, last: Any = reads) -> Graph[State]:
    """Return a graph START → a → b → c → END."""
    graph = Graph("g", State)
    for name, runnable in zip("abc", (first, then, last), strict=True):
        graph.add_node(name, runnable, writes=name)
    graph.add_path(START, "a", "b", "c", END)
    return graph


@pytest.mark.parametrize("first", [sets, sets_odd])
@pytest.mark.parametrize("then", [reads, reads_in_thread, sets])
@pytest.mark.parametrize("shape", [in_sequence, in_fork])
async def test_a_node_does_not_see_what_another_one_set(runner: Runner, first: Any, then: Any, shape: Any) -> None:
    """This is true in sequence and in a fork; all nodes see what the caller set."""
    token = SEEN.set("caller")
    try:
        result = await runner.start(shape(first, then)).result()
    finally:
        SEEN.reset(token)
    assert (result.state.a, result.state.b, result.state.c) == ("caller", "caller", "caller")


async def test_a_condition_does_not_see_what_a_node_set(runner: Runner) -> None:
    """A condition sees no context variable that a node set, nor does anything else between two nodes."""
    found: list[str] = []

    def reads_variable(a: str) -> bool:
        found.append(SEEN.get())
        return True

    graph = Graph("g", State)
    graph.add_node("a", sets, writes="a")
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=reads_variable)
    graph.add_edge("a", END)
    await runner.start(graph).result()
    assert found == ["unset"]


async def test_a_node_does_not_see_what_was_set_before_a_wait(database: Path | str) -> None:
    """This is true if the run continues in this process and after a resume."""
    graph = Graph("g", State)
    graph.add_node("a", sets, writes="a")

    async def naps(ctx: Context) -> str:
        await ctx.sleep(0.01)
        return SEEN.get()

    graph.add_node("b", naps, writes="b")
    graph.add_node("q", ask("n?", int), writes="n")
    graph.add_node("c", reads, writes="c")
    graph.add_path(START, "a", "b", "q", "c", END)
    async with Runner(database) as runner:
        waiting = await runner.start(graph, run_id="r").result()
        assert (waiting.status, waiting.state.b) == ("waiting", "unset")
        await runner.answer("r", 5)
        assert (await runner.resume("r", graph).result()).state.c == "unset"


async def test_a_node_and_its_tasks_see_what_it_set(runner: Runner) -> None:
    """Its own asyncio tasks and threads have copies of its context."""

    async def work() -> str:
        SEEN.set("mine")
        task = asyncio.create_task(reads())
        return f"{await task} {await asyncio.to_thread(reads_in_thread)} {SEEN.get()}"

    result = await runner.start(in_sequence(work, reads)).result()
    assert (result.state.a, result.state.b) == ("mine mine mine", "unset")


async def test_recorded_work_leaves_no_trace_in_the_context() -> None:
    """A run whose nodes use ctx.call still runs them in its only asyncio task."""
    tasks: set[object] = set()

    async def work(n: int, ctx: Context) -> int:
        tasks.add(asyncio.current_task())
        return int(await ctx.call(abs, n)) + 1

    graph = repeated(State, work, "n", value("n") >= 5, name="g", node="a", timeout_seconds=60)
    result = await graph.run(limits=Limits(visits=50))
    assert (result.state.n, len(tasks)) == (5, 1)
