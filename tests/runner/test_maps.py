"""Maps on a real event loop: in parallel within their concurrency, cut off and continued elsewhere."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Graph,
    RunFailed,
    Runner,
    Sizes,
    iterations,
)
from graphengine.runner import StepRecorded
from tests.kit.runs import SOON, alone


class State(BaseModel):
    numbers: list[int] = list(range(5))
    findings: list[str] = []


class Item(BaseModel):
    n: int = 0
    text: str = ""


def mapped(work: Any, **options: Any) -> Graph[State]:
    """Return a graph of one map."""
    return alone(State, work, "findings", each={"n": "numbers"}, name="map", **options)


@pytest.mark.parametrize("given", [1, 3, 100, None])
async def test_no_more_items_run_in_parallel_than_allowed(runner: Runner, given: int | None) -> None:
    """As many items as allowed, 16 by default, run in parallel while there are items left to begin, and no more."""
    concurrency = given or 16
    options = {} if given is None else {"concurrency": given}
    running, most = 0, 0
    full = asyncio.Event()

    async def work(n: int) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if most == min(concurrency, 20):
            full.set()
        await full.wait()
        await asyncio.sleep(0)
        running -= 1
        return str(n)

    async with asyncio.timeout(SOON):
        result = await runner.start(mapped(work, **options), {"numbers": list(range(20))}).result()
    assert result.state.findings == [str(n) for n in range(20)]
    assert most == min(concurrency, 20)


async def test_another_runner_continues_within_a_map(database: Path | str) -> None:
    """Finished items do not run again, in order or not."""
    calls: list[int] = []
    hang = True
    waiting = asyncio.Event()

    async def work(n: int) -> str:
        calls.append(n)
        if n in (1, 3) and hang:
            if n == 3:
                waiting.set()
            await asyncio.Event().wait()
        return str(n)

    graph = mapped(work, concurrency=3)
    async with Runner(database) as runner:
        run = runner.start(graph)
        await waiting.wait()
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.path == "work[4]":
                break
    hang = False
    calls.clear()
    async with Runner(database) as runner:
        result = await runner.resume(run.id, graph).result()
    assert (result.state.findings, sorted(calls)) == (["0", "1", "2", "3", "4"], [1, 3])


async def test_what_failed_stays_settled_when_its_run_failed_elsewhere(database: Path | str) -> None:
    """A resource that cannot be made fails the run in the middle of its map; a resume leaves the failed item alone."""
    calls: list[int] = []
    faults: list[OSError] = []
    begun, go = asyncio.Event(), asyncio.Event()

    def make() -> str:
        if faults:
            raise faults.pop()
        return "made"

    async def work(n: int, tool: str) -> str:
        calls.append(n)
        if n == 1:
            raise ValueError("bad")
        if n == 2:
            begun.set()
            await go.wait()
        return f"{n} {tool}"

    graph = mapped(work, on_item_error="keep", concurrency=1, resources={"tool": make})
    async with Runner(database) as runner:
        runner.start(graph, run_id="r")
        await begun.wait()
        await runner.release("r", now=True)
    go.set()
    faults.append(OSError("no connection"))
    async with Runner(database) as runner:
        with pytest.raises(RunFailed, match="no connection"):
            await runner.resume("r", graph).result()
    async with Runner(database) as runner:
        result = await runner.resume("r", graph).result()
    assert result.state.findings == [f"{n} made" for n in (0, 2, 3, 4)]
    assert calls == [0, 1, 2, 2, 3, 4]


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ({2}, "failed: ValueError: no 2"),
        ({2, 4}, "failed: ValueError: no 2; it is of work[2], and 1 more item of work failed"),
        ({1, 2, 4}, "failed: ValueError: no 1; it is of work[1], and 2 more items of work failed"),
    ],
)
@pytest.mark.parametrize("is_inside", [False, True])
async def test_a_failed_map_names_its_first_item_and_counts_the_others(
    runner: Runner, fails: set[int], said: str, *, is_inside: bool
) -> None:
    """The error of the run does so, also if the items are graphs."""

    async def work(n: int) -> str:
        if n in fails:
            message = f"no {n}"
            raise ValueError(message)
        return "done"

    inner = alone(Item, work, "text", node="step", name="inner", result="text")
    with pytest.raises(RunFailed) as caught:
        await runner.start(mapped(inner if is_inside else work)).result()
    assert caught.value.message.endswith(said)
    assert len(caught.value.result.failures) == len(fails)


@pytest.mark.parametrize(
    "fallback", [{}, {"fallback": "none"}, {"fallback": lambda n: "none"}], ids=["no", "value", "call"]
)
async def test_a_map_begins_no_item_after_its_results_are_too_large(fallback: Any, database: Path | str) -> None:
    """What is done is kept: with a higher limit, the run goes on with the others, in whatever process."""
    calls: list[int] = []

    async def work(n: int) -> str:
        calls.append(n)
        return "x" * 10_000

    graph = mapped(work, concurrency=2, **fallback)
    given = {"numbers": list(range(20))}
    async with Runner(database, sizes=Sizes(update_bytes=45_000)) as runner:
        with pytest.raises(
            RunFailed, match=r"returned [56]0,01[02] bytes so far, but one step may write 45,000 bytes"
        ) as caught:
            await runner.start(graph, given, run_id="r").result()
    assert "Sizes(update_bytes=…), which keeps the work that is done" in str(caught.value)
    begun = len(calls)
    assert begun <= 6
    async with Runner(database, sizes=Sizes(update_bytes=45_000)) as runner:
        with pytest.raises(RunFailed, match="too_large"):
            await runner.resume("r", graph).result()
    assert len(calls) == begun
    async with Runner(database) as runner:
        result = await runner.resume("r", graph).result()
    assert result.state.findings == ["x" * 10_000] * 20
    assert sorted(calls) == given["numbers"]


async def test_each_visit_of_a_map_has_the_whole_size() -> None:
    """The sum begins anew; results that become one value take the bytes of that."""
    graph = Graph("twice", State)
    graph.add_node("work", lambda n: "x" * 10_000, each={"n": "numbers"}, writes="findings")
    graph.add_edge(START, "work")
    graph.add_edge("work", "work", when=iterations("work") < 3)
    graph.add_edge("work", END)
    async with Runner(sizes=Sizes(update_bytes=60_000)) as runner:
        result = await runner.start(graph).result()
    assert [len(each) for each in result.state.findings] == [10_000] * 5
