"""Maps on a real event loop: in parallel within their concurrency, in order, failing, stopped, resumed."""

import asyncio
import threading
from collections.abc import Callable
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
    choose,
    failed,
    iterations,
)
from graphengine.reducers import append, extend, merge
from graphengine.runner import StepRecorded
from tests.kit.runs import SOON, watch


class Source(BaseModel):
    id: str
    kind: str = "web"
    size: int = 1


class State(BaseModel):
    sources: list[Source] = [Source(id="a"), Source(id="b", kind="book", size=2), Source(id="c", size=3)]
    numbers: list[int] = list(range(5))
    words: list[str] = ["v", "w", "x", "y", "z"]
    findings: list[str] = []
    table: dict[str, str] = {}
    log: Annotated[list[str], append] = []
    found: Annotated[dict[str, int], merge] = {}
    long: Annotated[list[int], extend] = []
    survived: Annotated[list[Failure], append] = []
    topic: str = "ants"
    maybe: list[int] | None = None
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


@pytest.mark.parametrize("concurrency", [1, 3, 100])
async def test_no_more_items_run_in_parallel_than_allowed(runner: Runner, concurrency: int) -> None:
    """As many items as allowed run in parallel while there are items left to begin, and no more."""
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
        result = await runner.start(mapped(work, concurrency=concurrency), numbers(20)).result()
    assert result.state.findings == [str(n) for n in range(20)]
    assert most == min(concurrency, 20)


async def test_sixteen_items_run_in_parallel_by_default() -> None:
    """Sixteen items run in parallel by default."""
    running, most, full = 0, 0, asyncio.Event()

    async def work(n: int) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 16:
            full.set()
        await full.wait()
        await asyncio.sleep(0)
        running -= 1
        return str(n)

    async with Runner() as runner:
        await runner.start(mapped(work), numbers(100)).result()
    assert most == 16


async def test_sync_items_run_in_threads_in_parallel(runner: Runner) -> None:
    """Sync items run in threads in parallel: four meet at a barrier, and no more threads run than allowed."""
    barrier = threading.Barrier(4, timeout=SOON)

    def work(n: int) -> str:
        barrier.wait()
        return str(n)

    result = await runner.start(mapped(work, concurrency=4), numbers(8)).result()
    assert result.state.findings == [str(n) for n in range(8)]


async def test_sync_items_can_run_on_the_event_loop(runner: Runner) -> None:
    """With thread=False sync items run on the event loop."""
    here = threading.get_ident()

    def work(n: int) -> str:
        return str(threading.get_ident() == here)

    assert (await runner.start(mapped(work, thread=False)).result()).state.findings == ["True"] * 5


async def test_results_have_the_order_of_the_items(runner: Runner) -> None:
    """The last item ends first; the rows have the order of the ends."""
    turns = [asyncio.Event() for _ in range(6)]
    turns[5].set()

    async def work(n: int) -> str:
        await turns[n + 1].wait()
        turns[n].set()
        return str(n)

    run = runner.start(mapped(work))
    assert (await run.result()).state.findings == ["0", "1", "2", "3", "4"]
    items = [step.path for step in await runner.history(run.id) if step.kind == "item"]
    assert items == [f"work[{n}]" for n in (4, 3, 2, 1, 0)]


async def test_an_item_reads_the_state_and_parts_of_itself(runner: Runner) -> None:
    """The item's name can be used in parameters, in paths of inputs and in the key it writes."""

    async def work(source: Source, topic: str, size: int) -> str:
        return f"{topic} {source.kind} {size}"

    graph = mapped(work, "table[{source.id}]", {"source": "sources"}, inputs={"size": "source.size"})
    state = (await runner.start(graph).result()).state
    assert state.table == {"a": "ants web 1", "b": "ants book 2", "c": "ants web 3"}


async def test_several_lists_are_mapped_together(runner: Runner) -> None:
    """One of them can be a function of fields."""

    def upper(words: list[str]) -> list[str]:
        return [word.upper() for word in words]

    async def work(n: int, word: str, big: str) -> str:
        return f"{n}{word}{big}"

    graph = mapped(work, each={"n": "numbers", "word": "words", "big": upper})
    assert (await runner.start(graph).result()).state.findings == ["0vV", "1wW", "2xX", "3yY", "4zZ"]


async def test_each_form_of_writing_takes_the_items_in_order(runner: Runner) -> None:
    """Reducers get one item after another; parts of a result go to their fields."""

    async def work(n: int) -> dict[str, Any]:
        return {"text": str(n), "number": n, "many": [n, n], "pair": {f"k{n}": n}}

    writes = {"findings": "text", "log": "text", "long": "many", "found": "pair", "table[{n}]": "text"}
    state = (await runner.start(mapped(work, writes), numbers(3)).result()).state
    assert state.findings == state.log == ["0", "1", "2"]
    assert state.long == [0, 0, 1, 1, 2, 2]
    assert state.found == {"k0": 0, "k1": 1, "k2": 2}
    assert state.table == {"0": "0", "1": "1", "2": "2"}


async def test_one_key_of_two_items_fails_the_node(runner: Runner) -> None:
    """One key of two items fails the node, and the error names the key."""

    async def work(n: int) -> str:
        return str(n)

    with pytest.raises(RunFailed, match=r"items 0 and 2 both write table\[0\]"):
        await runner.start(mapped(work, "table[{n}]"), {"numbers": [0, 1, 0]}).result()


async def test_an_empty_list_writes_an_empty_list(runner: Runner) -> None:
    """It replaces the old list, and counts as one visit."""

    async def work(n: int) -> str:
        return str(n)

    result = await runner.start(mapped(work), {"numbers": [], "findings": ["old"]}).result()
    assert (result.state.findings, result.steps) == ([], 1)


@pytest.mark.parametrize(
    ("each", "given", "expected"),
    [
        ({"n": "maybe"}, {}, "maybe is None"),
        ({"n": "numbers", "word": "words"}, {"words": ["a"]}, "n 5, word 1"),
        ({"n": lambda topic: topic}, {}, "not a list"),
        ({"n": lambda topic: 1 / 0}, {}, "division by zero"),
    ],
)
async def test_a_list_that_cannot_be_read_fails_the_node(runner: Runner, each: Any, given: Any, expected: str) -> None:
    """No item begins, and an edge with failed(…) can be taken."""
    begun: list[int] = []

    async def work(n: Any) -> str:
        begun.append(n)
        return ""

    with pytest.raises(RunFailed, match=expected):
        await runner.start(mapped(work, each=each), given).result()
    graph = mapped(work, each=each)
    graph.edges.pop()
    graph.add_edge("work", END, when=failed(Exception), label="no list")
    graph.add_edge("work", END)
    result = await runner.start(graph, given).result()
    assert (result.label, begun) == ("no list", [])


async def test_ten_thousand_items() -> None:
    """They are one step, and only as many are in flight as are allowed at once."""
    begun, ended = 0, 0

    async def work(n: int) -> str:
        nonlocal begun, ended
        begun += 1
        assert begun - ended <= 8
        await asyncio.sleep(0)
        ended += 1
        return str(n)

    async with Runner() as runner:
        result = await runner.start(mapped(work, concurrency=8), numbers(10_000)).result()
    assert result.state.findings == [str(n) for n in range(10_000)]
    assert result.steps == 1


# -- failing


async def test_an_item_is_retried_by_itself(timed: Runner) -> None:
    """Each has its own attempts; the others run once."""
    calls: list[tuple[int, int]] = []

    async def work(n: int, ctx: Context) -> str:
        calls.append((n, ctx.attempt))
        if n in (1, 3) and ctx.attempt <= n:
            raise ValueError
        return str(n)

    result = await timed.start(mapped(work, retry=Retry(attempts=4, jitter=0))).result()
    assert result.state.findings == ["0", "1", "2", "3", "4"]
    assert sorted(calls) == [(0, 1), (1, 1), (1, 2), (2, 1), (3, 1), (3, 2), (3, 3), (3, 4), (4, 1)]


async def test_the_fallback_of_an_item_gets_item_error_context_and_resources(runner: Runner) -> None:
    """It replaces only that item, and the failure is kept among the errors."""

    async def work(source: Source) -> str:
        if source.id == "b":
            message = "no book"
            raise ValueError(message)
        return source.id

    async def instead(source: Source, error: Failure, ctx: Context, table_of: dict[str, str]) -> str:
        return f"{table_of[source.id]} {error.kind} {error.message} {ctx.path} {ctx.attempt}"

    graph = Graph("map", State, collect_errors="survived", resources={"table_of": lambda: {"b": "B"}})
    graph.add_node("work", work, each={"source": "sources"}, writes="findings", fallback=instead)
    graph.add_path(START, "work", END)
    state = (await runner.start(graph).result()).state
    assert state.findings == ["a", "B ValueError no book work[1] 2", "c"]
    assert [(failure.path, failure.message) for failure in state.survived] == [("work[1]", "no book")]


async def test_a_value_can_replace_an_item(runner: Runner) -> None:
    """It can do so several times."""

    async def work(n: int) -> str:
        if n % 2:
            raise ValueError
        return str(n)

    state = (await runner.start(mapped(work, fallback="odd")).result()).state
    assert state.findings == ["0", "odd", "2", "odd", "4"]
    assert [failure.path for failure in state.survived] == ["work[1]", "work[3]"]


async def test_a_failed_item_lets_the_others_run_and_is_resumed_alone(runner: Runner) -> None:
    """The first in item order is the node's failure; finished items do not run again."""
    calls: list[int] = []
    broken = True
    third = asyncio.Event()

    async def work(n: int) -> str:
        calls.append(n)
        if broken and n == 3:
            third.set()
            raise KeyError(n)
        if broken and n == 1:
            await third.wait()
            raise ValueError(n)
        return str(n)

    graph = mapped(work)
    run = runner.start(graph)
    with pytest.raises(RunFailed, match="ValueError: 1") as caught:
        await run.result()
    error = caught.value.result.error
    assert error is not None
    assert error.path == "work[1]"
    assert sorted(calls) == [0, 1, 2, 3, 4]
    broken = False
    calls.clear()
    result = await runner.resume(graph, run.id).result()
    assert (result.state.findings, sorted(calls)) == (["0", "1", "2", "3", "4"], [1, 3])


async def test_an_edge_can_follow_a_failed_map(runner: Runner) -> None:
    """The error is that of the first failed item."""

    async def work(n: int) -> str:
        if n > 1:
            raise ValueError(n)
        return str(n)

    async def sorry(error: Failure) -> str:
        return f"{error.path} {error.message}"

    graph = mapped(work)
    graph.edges.pop()
    graph.add_node("sorry", sorry, writes="log")
    graph.add_edge("work", "sorry", when=failed(ValueError))
    graph.add_edge("work", END)
    graph.add_edge("sorry", END)
    result = await runner.start(graph).result()
    assert (result.state.log, result.state.findings) == (["work[2] 2"], [])


async def test_an_item_that_changes_shared_input_is_caught(runner: Runner) -> None:
    """An item that changes shared input fails, and the shared list is unchanged."""

    async def work(n: int, shared: list[int]) -> str:
        if n == 2:
            shared.append(n)
        return str(len(shared))

    with pytest.raises(RunFailed, match="an item of work changed shared in place") as caught:
        await runner.start(mapped(work)).result()
    assert caught.value.result.state.shared == []


async def test_an_item_that_changes_its_item_is_caught(runner: Runner) -> None:
    """That item fails, and its source is unchanged."""

    async def work(source: Source) -> str:
        if source.id == "b":
            source.kind = "spoilt"
        return source.kind

    with pytest.raises(RunFailed, match="changed source in place") as caught:
        await runner.start(mapped(work, each={"source": "sources"})).result()
    error = caught.value.result.error
    assert error is not None
    assert error.path == "work[1]"
    assert caught.value.result.state.sources[1].kind == "book"


async def test_an_item_whose_result_does_not_fit_fails_by_name(runner: Runner) -> None:
    """Its failure has its path."""

    async def work(n: int) -> object:
        return str(n) if n != 3 else {"a": 1}

    with pytest.raises(RunFailed, match="findings") as caught:
        await runner.start(mapped(work)).result()
    assert caught.value.result.error is not None
    assert (caught.value.result.error.path, caught.value.result.error.kind) == ("work[3]", "invalid_update")


async def test_an_item_has_its_own_timeout(timed: Runner) -> None:
    """The others are done; only the slow one times out."""

    async def work(n: int) -> str:
        if n == 2:
            await asyncio.Event().wait()
        return str(n)

    result = await timed.start(mapped(work, timeout_seconds=0.05, fallback="late")).result()
    assert result.state.findings == ["0", "1", "late", "3", "4"]


async def test_a_choice_can_read_the_item(runner: Runner) -> None:
    """Each item goes to its own runnable, which can be a graph."""

    async def web(source: Source) -> str:
        return f"web {source.id}"

    class Book(BaseModel):
        source: Source
        text: str = ""

    async def read(source: Source) -> str:
        return f"book {source.id}"

    book = Graph("book", Book, result="text")
    book.add_node("read", read, writes="text")
    book.add_path(START, "read", END)
    graph = mapped(choose("source.kind", {"web": web, "book": book}), each={"source": "sources"})
    run = runner.start(graph)
    assert (await run.result()).state.findings == ["web a", "book b", "web c"]
    assert "work[1]/read" in [step.path for step in await runner.history(run.id)]
    with pytest.raises(RunFailed, match="'film'") as caught:
        await runner.start(graph, {"sources": [Source(id="x", kind="film")]}).result()
    assert caught.value.result.error is not None
    assert caught.value.result.error.kind == "no_choice"


# -- limits, stops, restarts, events


async def test_a_map_is_one_step_of_the_limits(runner: Runner) -> None:
    """The number of its items does not matter; the limit stops the run after it."""

    async def work(n: int) -> str:
        return str(n)

    graph = mapped(work)
    graph.edges.pop()
    graph.add_edge("work", END, when=iterations("work") >= 3)
    graph.add_edge("work", "work")
    result = await runner.start(graph, limits=Limits(steps=2)).result()
    assert (result.status, result.steps) == ("stopped", 2)
    assert (await runner.resume(graph, result.run_id, limits=Limits(steps=3)).result()).status == "finished"


async def test_a_stop_within_a_map_lets_items_in_flight_finish(runner: Runner) -> None:
    """No further item begins; the resume begins with the next."""
    calls: list[int] = []
    begun, leave = asyncio.Event(), asyncio.Event()

    async def work(n: int) -> str:
        calls.append(n)
        if n == 1:
            begun.set()
        await leave.wait()
        return str(n)

    graph = mapped(work, concurrency=2)
    run = runner.start(graph)
    await begun.wait()
    stopping = asyncio.create_task(runner.stop(run.id))
    await asyncio.sleep(0)
    leave.set()
    await stopping
    assert ((await run.result()).status, calls) == ("stopped", [0, 1])
    result = await runner.resume(graph, run.id).result()
    assert (result.state.findings, calls) == (["0", "1", "2", "3", "4"], [0, 1, 2, 3, 4])


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
        result = await runner.resume(graph, run.id).result()
    assert (result.state.findings, sorted(calls)) == (["0", "1", "2", "3", "4"], [1, 3])


async def test_items_keep_the_list_they_began_with(runner: Runner) -> None:
    """A branch that changes the field amid a map affects later visits, not the items already taken."""

    async def work(n: int) -> str:
        return str(n)

    graph = mapped(work, concurrency=1)
    run = runner.start(graph, numbers(3))
    await run.result()
    mapped_at = next(step.seq for step in await runner.history(run.id) if step.kind == "mapped")
    child = await runner.branch(graph, run.id, mapped_at, update={"numbers": [7, 8, 9]}).result()
    assert (child.state.findings, child.state.numbers) == (["0", "1", "2"], [7, 8, 9])


async def test_events_of_items_have_their_paths(runner: Runner) -> None:
    """Begin, emit and step events have them."""
    watched = asyncio.Event()

    async def work(n: int, ctx: Context) -> str:
        await watched.wait()
        ctx.emit(n)
        return ctx.path

    run = runner.start(mapped(work), numbers(2))
    began, shown, recorded = await watch(run, watched)
    assert {"work[0]", "work[1]"} <= set(began)
    assert shown == [("work[0]", 0), ("work[1]", 1)]
    assert recorded == ["", "work", "work[0]", "work[1]", "work"]
    assert (await run.result()).state.findings == ["work[0]", "work[1]"]


async def test_usage_of_items_counts_for_the_map() -> None:
    """It includes the usage of failed items."""
    from graphengine import Agent, ScriptedModel  # noqa: PLC0415 - for this test alone

    agent = Agent("a", model=ScriptedModel(["x", "y", "z"]), prompt="{n}")
    async with Runner() as runner:
        result = await runner.start(mapped(agent, concurrency=1), numbers(3)).result()
    assert (result.state.findings, result.usage.calls) == (["x", "y", "z"], 3)


async def test_maps_and_arms_run_in_parallel(runner: Runner) -> None:
    """An item of a map in one arm and an item of a map in another wait for each other."""
    here, there = asyncio.Event(), asyncio.Event()

    def meeting(mine: asyncio.Event, other: asyncio.Event) -> Callable[..., Any]:
        async def work(n: int) -> str:
            if n == 1:
                mine.set()
                await other.wait()
            return str(n)

        return work

    graph = Graph("g", State)
    graph.add_node("a", meeting(here, there), each={"n": "numbers"}, writes="findings")
    graph.add_node("b", meeting(there, here), each={"n": "numbers"}, writes="log")
    graph.add_fork(START, ["a", "b"], join=END)
    graph.add_edge("a", END)
    graph.add_edge("b", END)
    async with asyncio.timeout(SOON):
        state = (await runner.start(graph).result()).state
    assert state.findings == state.log == ["0", "1", "2", "3", "4"]
