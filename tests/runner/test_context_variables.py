"""Context variables: each node runs in a copy of the context in which its run was started or resumed."""

import asyncio
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Limits, Runner, ask, value

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
    """Set a variable, and say what it was."""
    found = SEEN.get()
    SEEN.set(f"{found}+node")
    return found


async def sets_odd() -> str:
    """Set one that cannot be compared."""
    ODD.set(Odd())
    return await sets()


async def reads() -> str:
    """Say what the variable is."""
    await asyncio.sleep(0)
    return SEEN.get()


def reads_in_thread() -> str:
    """The same in a thread."""
    return SEEN.get()


def in_sequence(first: Any, then: Any, last: Any = reads) -> Graph[State]:
    """START → a → b → c → END."""
    graph = Graph("g", State)
    for name, runnable in zip("abc", (first, then, last), strict=True):
        graph.add_node(name, runnable, writes=name)
    graph.add_path(START, "a", "b", "c", END)
    return graph


@pytest.mark.parametrize("first", [sets, sets_odd])
@pytest.mark.parametrize("then", [reads, reads_in_thread, sets])
async def test_a_node_sees_nothing_that_another_set(runner: Runner, first: Any, then: Any) -> None:
    """In sequence as in a fork; what the caller had set is seen by all of them."""
    token = SEEN.set("caller")
    try:
        result = await runner.start(in_sequence(first, then)).result()
    finally:
        SEEN.reset(token)
    assert (result.state.a, result.state.b, result.state.c) == ("caller", "caller", "caller")


async def test_a_condition_sees_nothing_that_a_node_set(runner: Runner) -> None:
    """Nor does anything else that runs between two nodes."""
    found: list[str] = []

    def looks(a: str) -> bool:
        found.append(SEEN.get())
        return True

    graph = Graph("g", State)
    graph.add_node("a", sets, writes="a")
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=looks)
    graph.add_edge("a", END)
    await runner.start(graph).result()
    assert found == ["unset"]


async def test_a_node_sees_nothing_of_before_a_wait(tmp_path: Path) -> None:
    """The same where the run goes on in this process and after a resume."""
    graph = Graph("g", State)
    graph.add_node("a", sets, writes="a")

    async def naps(ctx: Context) -> str:
        await ctx.sleep(0.01)
        return SEEN.get()

    graph.add_node("b", naps, writes="b")
    graph.add_node("q", ask("n?", int), writes="n")
    graph.add_node("c", reads, writes="c")
    graph.add_path(START, "a", "b", "q", "c", END)
    async with Runner(tmp_path / "runs.db") as runner:
        waiting = await runner.start(graph, run_id="r").result()
        assert (waiting.status, waiting.state.b) == ("waiting", "unset")
        await runner.answer("r", 5)
        assert (await runner.resume(graph, "r").result()).state.c == "unset"


async def test_a_node_and_what_it_starts_see_what_it_set(runner: Runner) -> None:
    """Its own asyncio tasks and threads have copies of its context."""

    async def work() -> str:
        SEEN.set("mine")
        task = asyncio.create_task(reads())
        return f"{await task} {await asyncio.to_thread(reads_in_thread)} {SEEN.get()}"

    result = await runner.start(in_sequence(work, reads)).result()
    assert (result.state.a, result.state.b) == ("mine mine mine", "unset")


async def test_recorded_work_leaves_no_trace_in_the_context() -> None:
    """A run whose nodes use ctx.step still runs them in the one asyncio task that it has."""
    tasks: set[object] = set()

    async def work(n: int, ctx: Context) -> int:
        tasks.add(asyncio.current_task())
        return int(await ctx.step(abs, n)) + 1

    graph = Graph("g", State)
    graph.add_node("a", work, writes="n", timeout_seconds=60)
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=value("n") >= 5)
    graph.add_edge("a", "a")
    result = await graph.run(limits=Limits(steps=50))
    assert (result.state.n, len(tasks)) == (5, 1)
