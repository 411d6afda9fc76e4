"""Exceptions that do not inherit from Exception: if code of a graph raises one, only its node or run fails."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner, failed
from graphengine.state.interrupts import is_interrupt
from graphengine.stores.memory import InMemoryStore
from tests.kit.facts import said
from tests.kit.runs import SOON, alone, failing


class Panic(BaseException):
    """An exception as extension modules raise it."""


RAISED: list[Callable[[], BaseException]] = [
    lambda: SystemExit(2),
    KeyboardInterrupt,
    GeneratorExit,
    lambda: Panic("rust"),
    lambda: BaseExceptionGroup("two", [SystemExit(1), ValueError("x")]),
    asyncio.CancelledError,
]


class State(BaseModel):
    n: int = 0
    xs: list[int] = [1, 2]
    text: str = ""


def one(runnable: Any, writes: Any = "n", **options: Any) -> Graph[State]:
    """Return a graph START → a → END."""
    return alone(State, runnable, writes, node="a", **options)


async def failure_of(runner: Runner, graph: Graph[Any]) -> tuple[str, str]:
    """Return the path and kind of a run's failure."""
    error = (await failing(runner.start(graph).result())).error
    return error.path, error.kind


@pytest.mark.parametrize("make", RAISED, ids=[type(make()).__name__ for make in RAISED])
async def test_anything_a_node_raises_is_its_failure(runner: Runner, make: Callable[[], BaseException]) -> None:
    """This is so in an async node, on the loop, in a thread and in recorded work; another run continues."""
    leave = asyncio.Event()

    async def neighbour(n: int) -> int:
        await leave.wait()
        return n + 1

    async def awaits(n: int) -> int:
        await asyncio.sleep(0)
        raise make()

    def blocks(n: int) -> int:
        raise make()

    async def records(n: int, ctx: Context) -> int:
        return await ctx.call(blocks, n)

    other = runner.start(one(neighbour))
    await other.begun()
    kind = type(make()).__name__
    for graph in (one(awaits), one(blocks), one(blocks, thread=False), one(records), one(awaits, timeout_seconds=60)):
        path, found = await failure_of(runner, graph)
        assert path == "a"
        assert found.rpartition(".")[2] == kind
    leave.set()
    assert (await other.result()).state.n == 1


@pytest.mark.parametrize("is_alone", [True, False])
async def test_a_node_that_cancels_its_own_task_fails(runner: Runner, *, is_alone: bool) -> None:
    """Its attempt is recorded as failed and its edge is taken; one that ends all the same has its result."""

    async def cancels(n: int) -> int:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if n == 0:
            await asyncio.sleep(0)
        return n

    async def other() -> list[int]:
        await asyncio.sleep(0)
        return [1]

    graph = Graph("g", State)
    graph.add_node("a", cancels, writes="n")
    graph.add_node("b", lambda: 1, writes="n")
    graph.add_edge("a", "b", when=failed(asyncio.CancelledError))
    graph.add_edge("b", "a")
    graph.add_edge("a", "c")
    graph.add_node("c", lambda n: f"{n}", writes="text")
    graph.add_node("d")
    if is_alone:
        graph.add_edge(START, "a")
    else:
        graph.add_node("other", other, writes="xs")
        graph.add_fork(START, ["a", "other"], join="d")
        graph.add_edge("other", "d")
    graph.add_edge("c", "d")
    graph.add_edge("d", END)
    run = runner.start(graph)
    async with asyncio.timeout(SOON):
        result = await run.result()
    assert (result.status, result.state.text) == ("finished", "1")
    (failure,) = [said(step)["error"]["message"] for step in await runner.history(run.id) if step.kind == "failed"]
    assert failure == "the code of node 'a' cancelled the asyncio task in which the node ran"


def test_an_event_loop_that_ends_fails_no_node() -> None:
    """It cancels all its tasks; the run stays as a process that died would leave it."""
    store = InMemoryStore()

    async def main() -> None:
        begun = asyncio.Event()

        async def hangs(n: int) -> int:
            begun.set()
            await asyncio.sleep(3600)
            return n

        Runner(store).start(one(hangs), run_id="r")
        await begun.wait()

    asyncio.run(main())
    assert [step.kind for step in asyncio.run(store.steps("r"))] == ["started"]


def test_what_a_signal_raises_is_no_failure_of_the_interrupted_code() -> None:
    """Python's own handler, one that exits, and asyncio's count; what code raises by itself does not."""

    def raised_by(action: Callable[[], object]) -> BaseException:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - that is what is looked at
            return error
        raise AssertionError

    def press() -> None:
        signal.raise_signal(signal.SIGINT)

    def raise_it() -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert is_interrupt(raised_by(press))
        assert not is_interrupt(raised_by(raise_it))
        signal.signal(signal.SIGINT, lambda *_: sys.exit(1))
        assert is_interrupt(raised_by(press))
        assert not is_interrupt(raised_by(sys.exit))
    finally:
        signal.signal(signal.SIGINT, before)


async def test_a_closed_coroutine_is_no_failure() -> None:
    """A GeneratorExit that Python throws into it passes; one that it raises is its failure."""
    seen: list[BaseException] = []

    async def waits() -> None:
        try:
            await asyncio.sleep(3600)
        except BaseException as error:
            seen.append(error)
            raise

    made = waits()
    task = asyncio.ensure_future(made)
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    left = waits()
    with contextlib.suppress(StopIteration):
        left.send(None)
    left.close()
    assert [type(each) for each in seen] == [asyncio.CancelledError, GeneratorExit]
    assert is_interrupt(seen[1])


@pytest.mark.parametrize("_", range(5))
def test_a_loop_that_ends_below_a_runner_in_a_task_fails_no_run(tmp_path: Path, _: int) -> None:
    """The Runner closes in a task that begins after the loop has cancelled all others; its run can be resumed."""
    graph = Graph("slow", State)
    begun = asyncio.Event()

    async def slow(n: int) -> int:
        begun.set()
        await asyncio.sleep(3600)
        return n

    graph.add_node("slow", slow, writes="n")
    graph.add_path(START, "slow", END)

    async def service() -> None:
        async with Runner(tmp_path / "runs.db") as runner:
            await runner.start(graph, run_id="r").result()

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(service())
        await begun.wait()
        return task  # in progress: the loop ends it

    asyncio.run(main())

    async def status() -> str:
        async with Runner(tmp_path / "runs.db") as runner:
            return (await runner.info("r")).status

    assert asyncio.run(status()) == "interrupted"
