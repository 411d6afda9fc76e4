"""Final stops: a run that is cancelled has ended, and nothing continues it; branches of it can begin."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, ask
from graphengine.errors import GraphEngineError, RunCancelled, RunExists
from graphengine.runner import RunFailed
from graphengine.stores.memory import InMemoryStore
from tests.kit.facts import said
from tests.kit.runs import alone


class Order(BaseModel):
    n: int = 0


asking = alone(Order, ask("n?", int), "n", name="asking")


async def refused(*calls: Any) -> list[str]:
    """Return the codes of the errors that these calls raise."""
    found = []
    for call in calls:
        with pytest.raises(GraphEngineError) as error:
            await call
        found.append(error.value.code)
    return found


async def test_nothing_continues_a_cancelled_run(runner: Runner) -> None:
    """No answer, message, resume or start; another stop changes nothing, and a worker has nothing to take."""
    await runner.start(asking, run_id="r", wait_out=False).result()
    await runner.stop("r", "a wrong order", final=True)
    info = await runner.info("r")
    assert info.summary is not None
    assert (info.status, info.summary.reason, info.stop_asked, info.ended_at) == (
        "cancelled",
        "a wrong order",
        "cancel",
        info.updated_at,
    )
    calls = (
        runner.answer("r", 1),
        runner.answer("r", 1, wait="work"),
        runner.send("r", "topic", "hello"),
        runner.resume("r", asking).result(),
        runner.resume("r", asking, retry_failed=True).result(),
        runner.start(asking, run_id="r").result(),
    )
    assert await refused(*calls) == [RunCancelled.code] * 5 + [RunExists.code]
    await runner.stop("r")
    await runner.stop("r", final=True)
    assert await runner.store.due(1e12) == []
    assert (await runner.info("r")).seq == info.seq
    result = await runner.get("r", asking).result()
    assert (result.status, result.ending and result.ending.why) == ("cancelled", "a wrong order")


@pytest.mark.parametrize("how", ["stopped", "failed", "queued", "released"])
async def test_a_run_that_is_not_over_for_good_can_be_cancelled(runner: Runner, how: str) -> None:
    """One that failed, was stopped, or that nobody drives ends as cancelled; one that finished stays as it is."""

    async def work(n: int) -> int:
        if n:
            raise ValueError(n)
        return 1

    graph = alone(Order, work, "n", name="orders")
    done = await runner.start(graph, run_id="done").result()
    if how == "failed":
        with pytest.raises(RunFailed):
            await runner.start(graph, {"n": 1}, run_id="r").result()
    elif how == "released":
        runner.start(graph, run_id="r")
        await runner.release("r")
        assert (await runner.info("r")).status == "interrupted"
    elif how == "queued":
        await runner.start(graph, run_id="r", queue="later").result()
    else:
        await runner.start(asking, run_id="r", wait_out=False).result()
        await runner.stop("r")
    for run_id in ("r", "done"):
        await runner.stop(run_id, final=True)
    assert [(await runner.info(each)).status for each in ("r", "done")] == ["cancelled", done.status]
    assert await refused(runner.resume("r", asking if how == "stopped" else graph).result()) == [RunCancelled.code]


async def test_an_effect_in_flight_is_recorded_as_unknown_and_nobody_is_asked(runner: Runner) -> None:
    """The step that ends the run names it; a branch before it can act."""
    begun = asyncio.Event()

    async def pay(n: int) -> int:
        begun.set()
        await asyncio.Event().wait()
        return n

    graph = Graph("pays", Order)
    graph.add_node("pay", pay, writes="n", effect="once")
    graph.add_path(START, "pay", END)
    run = runner.start(graph, run_id="r")
    await begun.wait()
    await runner.stop("r", now=True, final=True)
    result = await run.result()
    last = (await runner.history("r"))[-1]
    assert (result.status, list(result.waits), said(last)["unknown"]) == ("cancelled", [], ["pay"])


async def test_an_answer_that_was_not_taken_is_dropped(runner: Runner) -> None:
    """It was posted before the stop, and no process had taken it."""
    await runner.start(asking, run_id="r", wait_out=False).result()
    await runner.release("r")
    await runner.answer("r", 1)
    await runner.stop("r", final=True)
    assert await runner.store.inbox(["r"]) == []
    assert (await runner.get("r", asking).result()).state.n == 0


async def test_a_branch_of_a_cancelled_run_goes_on(runner: Runner) -> None:
    """It begins at the step before, or at the one that cancelled the run, with the question that was open."""
    await runner.start(asking, run_id="r", wait_out=False).result()
    await runner.stop("r", final=True)
    last = (await runner.info("r")).seq
    for at in (last - 1, last):
        await runner.branch("r", asking, at, run_id=f"b{at}").result()
        await runner.answer(f"b{at}", 7)
        assert (await runner.resume(f"b{at}", asking).result()).state.n == 7


async def test_a_stop_that_is_asked_twice_stays_final() -> None:
    """While a node is in flight, a later plain stop does not take a final one back."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def wait(n: int) -> int:
        begun.set()
        await go.wait()
        return n + 1

    graph = Graph("waits", Order)
    graph.add_node("a", wait, writes="n")
    graph.add_node("b", wait, writes="n")
    graph.add_path(START, "a", "b", END)
    async with Runner(InMemoryStore()) as runner:
        run = runner.start(graph, run_id="r")
        await begun.wait()
        stops = [asyncio.create_task(runner.stop("r", "for good", final=True))]
        await asyncio.sleep(0)
        stops.append(asyncio.create_task(runner.stop("r", "for now")))
        await asyncio.sleep(0)
        go.set()
        result = await run.result()
        await asyncio.gather(*stops)
    assert (result.status, result.state.n, result.ending and result.ending.why) == ("cancelled", 1, "for good")
