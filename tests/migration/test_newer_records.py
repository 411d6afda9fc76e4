"""Records of a newer version than a process has: the run fails nowhere, and waits for a process that has the graph."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import create_model

from graphengine import END, START, Context, Graph, Runner, ask
from graphengine.errors import GraphChanged
from graphengine.worker.worker import Refused, RunOutcome, Took, Worker, WorkerEvent
from tests.kit.runs import SOON
from tests.kit.workers import let_work


def price(version: int) -> Graph[Any]:
    """Return a graph that asks, in one of two versions."""
    fields: dict[str, Any] = {"ok": (bool, False), "euros" if version == 1 else "cents": (int, 7)}
    options: dict[str, Any] = {"version": 2, "migrate": {1: lambda old: {"cents": old["euros"] * 100}}}
    graph: Graph[Any] = Graph("price", create_model("Price", **fields), **(options if version > 1 else {}))
    graph.add_node("ask", ask("Well?", bool), writes="ok")
    graph.add_path(START, "ask", END)
    return graph


def order(version: int) -> Graph[Any]:
    """Return a graph whose node takes the result of a child."""

    async def take(ctx: Context) -> str:
        return repr((await (await ctx.start(price(version), run_id="child")).result()).state)

    graph: Graph[Any] = Graph("order", create_model("Order", got=(str, "")))
    graph.add_node("take", take, writes="got")
    graph.add_path(START, "take", END)
    return graph


def other() -> Graph[Any]:
    """Return a graph that has nothing to do with the others."""
    graph: Graph[Any] = Graph("other", create_model("Other", n=(int, 0)))
    graph.add_node("count", lambda: 1, writes="n")
    graph.add_path(START, "count", END)
    return graph


async def work_beside(runner: Runner, graph: Graph[Any]) -> Sequence[WorkerEvent]:
    """Let a worker meet a run that is not for it, and five other runs one after the other; return its events."""
    events: list[WorkerEvent] = []

    def note(event: WorkerEvent) -> None:
        events.append(event)
        done = sum(isinstance(each, RunOutcome) and each.info.graph == "other" for each in events)
        if done >= 5:
            worker.stop()
        elif isinstance(event, Refused | RunOutcome):
            runner.start(other(), queue="default")

    worker = Worker(runner, graph, other(), on_event=note, poll_seconds=0.01)
    await asyncio.wait_for(worker.run(), SOON)
    met = [event for event in events if isinstance(event, Took | RunOutcome | Refused)]
    return [event for event in met if event.info is not None and event.info.graph != "other"]


async def test_a_worker_leaves_a_run_of_a_newer_version_alone(runner: Runner) -> None:
    """It says so once, takes other runs meanwhile, and changes nothing of that run."""
    await runner.start(price(2), run_id="one").result()
    await runner.get("one").answer(True)  # noqa: FBT003
    before = await runner.history("one")
    (refused,) = await work_beside(runner, price(1))
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, GraphChanged)
    assert (await runner.history("one"), (await runner.info("one")).status) == (before, "waiting")
    took, outcome = await let_work(runner, 1, price(2))
    assert isinstance(took, Took)
    assert isinstance(outcome, RunOutcome)
    assert outcome.result.status == "finished"


async def test_a_resume_of_a_run_of_a_newer_version_is_refused(runner: Runner) -> None:
    """The error names both versions, and nothing is recorded."""
    await runner.start(price(2), run_id="one").result()
    await runner.get("one").answer(True)  # noqa: FBT003
    before = await runner.history("one")
    with pytest.raises(GraphChanged, match="recorded under version 2 of graph 'price', but this process has version 1"):
        await runner.resume("one", price(1)).result()
    assert (await runner.history("one"), (await runner.info("one")).status) == (before, "waiting")


async def test_a_result_of_a_newer_version_lets_its_starter_wait(runner: Runner) -> None:
    """A worker with the older graph takes the parent, and meets the child's result: it releases the parent as it is."""
    await runner.start(order(2), run_id="parent").result()
    await runner.release("parent")
    await (await runner.answer("child", True, price(2))).result()  # noqa: FBT003
    await runner.release("parent")
    events = await work_beside(runner, order(1))
    assert [type(event) for event in events] == [Took, Refused]
    assert (await runner.info("parent")).status == "interrupted"
    with pytest.raises(GraphChanged, match="version 2 of graph 'price'"):
        await runner.resume("parent", order(1)).result()
    assert (await runner.info("parent")).status == "interrupted"
    assert (await runner.resume("parent", order(2)).result()).state.got == "Price(ok=True, cents=7)"
