"""Maps on a real event loop: in parallel within their concurrency, in order, failing, stopped, resumed."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Context,
    Failure,
    Graph,
    Limits,
    Retry,
    RunFailed,
    Runner,
)
from graphengine.reducers import append, extend, merge
from graphengine.runner import StepRecorded
from tests.kit.runs import SOON, alone, failing


class Source(BaseModel):
    id: str
    kind: str = "web"
    size: int = 1


class State(BaseModel):
    sources: list[Source] = [Source(id="a"), Source(id="b", kind="book", size=2), Source(id="c", size=3)]
    numbers: list[int] = list(range(5))
    findings: list[str] = []
    table: dict[str, str] = {}
    log: Annotated[list[str], append] = []
    found: Annotated[dict[str, int], merge] = {}
    long: Annotated[list[int], extend] = []
    survived: Annotated[list[Failure], append] = []
    shared: list[int] = []


def mapped(work: Any, writes: Any = "findings", each: Any = None, **options: Any) -> Graph[State]:
    """Return a graph of one map."""
    graph = Graph("map", State, collect_errors="survived")
    graph.add_node("work", work, each=each or {"n": "numbers"}, writes=writes, **options)
    graph.add_path(START, "work", END)
    return graph


def numbers(count: int) -> dict[str, list[int]]:
    """Return a state with this many numbers."""
    return {"numbers": list(range(count))}


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
        result = await runner.start(mapped(work, **options), numbers(20)).result()
    assert result.state.findings == [str(n) for n in range(20)]
    assert most == min(concurrency, 20)


# -- failing


async def test_an_item_that_changes_shared_input_is_caught(runner: Runner) -> None:
    """An item that changes shared input fails, and the shared list is unchanged."""

    async def work(n: int, shared: list[int]) -> str:
        if n == 2:
            shared.append(n)
        return str(len(shared))

    broken = await failing(runner.start(mapped(work)).result(), "an item of work changed shared in place")
    assert broken.state.shared == []


async def test_an_item_that_changes_its_item_is_caught(runner: Runner) -> None:
    """That item fails, and its source is unchanged."""

    async def work(source: Source) -> str:
        if source.id == "b":
            source.kind = "spoilt"
        return source.kind

    broken = await failing(runner.start(mapped(work, each={"source": "sources"})).result(), "changed source in place")
    assert broken.error.path == "work[1]"
    assert broken.state.sources[1].kind == "book"


# -- limits, stops, restarts, events


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


async def test_what_is_not_a_list_fails_the_node(runner: Runner) -> None:
    """A function of fields that returns no list fails the node, and no item begins."""
    with pytest.raises(RunFailed, match="not a list"):
        await runner.start(mapped(lambda n: n, each={"n": lambda shared: 3})).result()


class Inner(BaseModel):
    n: int = 0
    seen: int | None = None


async def test_a_map_keeps_what_succeeded_and_the_result_lists_all_failures(runner: Runner) -> None:
    """The node goes on without the failed items; the result has their values, errors and attempts, also afterwards."""

    def work(n: int, numbers: list[int]) -> str:
        if n % 2:
            raise ValueError(f"odd {n}")
        return f"{n} of {len(numbers)}"

    graph = mapped(work, on_item_error="keep", retry=Retry(attempts=2, initial_seconds=0))
    result = await runner.start(graph, run_id="kept").result()
    assert result.state.findings == ["0 of 5", "2 of 5", "4 of 5"]
    found = [(part.item, part.error.path, part.error.message, part.attempts) for part in result.failures]
    assert found == [({"n": 1}, "work[1]", "odd 1", 2), ({"n": 3}, "work[3]", "odd 3", 2)]
    assert result.state.survived == [part.error for part in result.failures]
    again = await runner.get("kept").result()
    assert again.failures == result.failures


async def test_a_failed_item_that_is_left_out_is_settled(runner: Runner) -> None:
    """Any resume while others wait leaves it alone, after a release too; `retry_failed` runs it again, once."""
    calls: list[tuple[int, int]] = []
    bad = {1}

    async def work(n: int, ctx: Context) -> str:
        calls.append((n, ctx.attempt))
        if n in bad:
            raise ValueError(f"bad {n}")
        return await ctx.ask("Go on?", str) if n == 2 else str(n)

    graph = mapped(work, on_item_error="keep", retry=Retry(attempts=2, initial_seconds=0))
    assert (await runner.start(graph, run_id="r").result()).status == "waiting"
    assert [call for call in calls if call[0] == 1] == [(1, 1), (1, 2)]
    calls.clear()
    length = len(await runner.history("r"))
    assert (await runner.resume("r", graph).result()).status == "waiting"
    assert (await runner.resume("r", graph, limits=Limits(visits=9)).result()).status == "waiting"
    assert calls == []
    assert len(await runner.history("r")) == length + 1  # the new limit
    bad.clear()
    assert (await runner.resume("r", graph, retry_failed=True).result()).status == "waiting"
    assert calls == [(1, 3)]
    await runner.answer("r", "2")
    result = await runner.resume("r", graph, retry_failed=True).result()
    assert (result.state.findings, result.failures) == (["0", "1", "2", "3", "4"], [])
    assert calls == [(1, 3), (2, 1)]


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

    graph = Graph("map", State, resources={"tool": make})
    graph.add_node("work", work, each={"n": "numbers"}, writes="findings", on_item_error="keep", concurrency=1)
    graph.add_path(START, "work", END)
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


async def test_a_node_knows_the_position_of_its_item(runner: Runner) -> None:
    """Also in a graph that is mapped; None outside a map."""

    def index(ctx: Context) -> int | None:
        return ctx.item_index

    inner = alone(Inner, index, "seen", name="inner", node="look", result="seen")
    graph = Graph("outer", State)
    graph.add_node("plain", lambda n, ctx: n * 0 + ctx.item_index, each={"n": "numbers"}, writes="shared")
    graph.add_node("nested", inner, each={"n": "numbers"}, inputs={"n": "n"}, writes="numbers")
    graph.add_node("outside", lambda ctx: [str(ctx.item_index)], writes="findings")
    graph.add_path(START, "plain", "nested", "outside", END)
    state = (await runner.start(graph).result()).state
    assert (state.shared, state.numbers, state.findings) == (list(range(5)), list(range(5)), ["None"])
