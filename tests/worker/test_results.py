"""`get(run_id, graph).result()` of runs that workers drive: at the end, or once a person is needed."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry, Runner, Worker, ask
from tests.kit.runs import SOON
from tests.kit.workers import let_work


class State(BaseModel):
    """A number that a run is given, and one that it returns."""

    given: int = 0
    found: int = 0


TRIES: Final[list[int]] = []


async def leaf(given: int) -> int:
    """Return what is given."""
    return given


async def naps(ctx: Context, given: int) -> int:
    """Wait for a time."""
    await ctx.sleep(0.05)
    return given


async def queues(ctx: Context, given: int) -> int:
    """Wait for a run that a worker takes."""
    child = await ctx.start(one(leaf), {"given": given}, queue="q")
    return (await child.result()).state.found


async def starts(ctx: Context, given: int) -> int:
    """Wait for a run."""
    return (await (await ctx.start(one(naps), {"given": given})).result()).state.found


async def fails_once(given: int) -> int:
    """Fail the first time."""
    TRIES.append(given)
    if len(TRIES) % 2:
        raise OSError("once")
    return given


def one(node: Callable[..., object]) -> Graph[State]:
    """Return a graph of one node."""
    graph = Graph(node.__name__, State)
    graph.add_node("node", node, writes="found", retry=Retry(attempts=2, on=(OSError,), initial_seconds=0.01))
    graph.add_path(START, "node", END)
    return graph


def asks() -> Graph[State]:
    """Return a graph that sleeps, then asks a person."""
    graph = Graph("asks", State)
    graph.add_node("nap", naps, writes="found")
    graph.add_node("asked", ask("How many?", int), writes="found")
    graph.add_path(START, "nap", "asked", END)
    return graph


GRAPHS: Final = [one(leaf), one(naps), one(queues), one(starts), one(fails_once)]


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["here", "elsewhere"])
async def test_a_result_waits_for_what_waits_for_nobody(tmp_path: Path, *, is_elsewhere: bool) -> None:
    """Sleeps, children and retries are no ends, in whichever process the worker is; a question is one."""
    async with Runner(tmp_path / "r.db") as runner, Runner(tmp_path / "r.db") as other, asyncio.timeout(SOON):
        worker = Worker(other if is_elsewhere else runner, *GRAPHS, asks(), queues=["q"], poll_seconds=0.01)
        working = asyncio.create_task(worker.run())
        for graph in GRAPHS:
            await runner.start(graph, State(given=7), queue="q", run_id=graph.name).result()
            assert (await runner.get(graph.name, graph).result()).state.found == 7, graph.name
        await runner.start(asks(), queue="q", run_id="asked").result()
        rests = await runner.get("asked", asks()).result()
        assert [wait.question for wait in rests.waits] == ["How many?"]
        worker.stop()
        await working


async def test_without_a_worker_a_sleeping_run_is_at_rest(tmp_path: Path) -> None:
    """Nothing continues it, so its result says what it waits for, and a call does not wait for ever."""
    async with Runner(tmp_path / "r.db") as runner, asyncio.timeout(SOON):

        async def rests(ctx: Context) -> int:
            await ctx.sleep_until(float("inf"))
            return 1

        await runner.start(one(rests), run_id="r", wait_out=False).result()
        assert [wait.kind for wait in (await runner.get("r").result()).waits] == ["sleep"]


async def test_an_earlier_handle_has_the_result_of_a_run_that_a_worker_continued(runner: Runner) -> None:
    """Which process continues the run makes no difference to the handle of its start."""
    run = runner.start(asks(), run_id="r", queue="q")
    await let_work(runner, 2, asks())
    assert (await run.result()).status == "waiting"
    await run.answer(3)
    await let_work(runner, 1, asks())
    assert (await run.result()).state.found == 3
