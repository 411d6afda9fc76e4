"""Items of a map that wait: they give their slots up, take turns, and are bounded by `max_open`, over restarts too."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry, Runner, ask
from graphengine.errors import CompileError
from graphengine.runner import Run, StepRecorded
from graphengine.runner.fake_clock import FakeClock
from graphengine.stores.memory import MemoryStore
from tests.kit.runs import SOON, alone
from tests.kit.turns import Turns
from tests.kit.waiting import names


class State(BaseModel):
    numbers: list[int] = list(range(6))
    found: list[int] = []


def mapped(work: Any, **options: Any) -> Graph[State]:
    """Return a graph of one map."""
    return alone(State, work, "found", each={"n": "numbers"}, name="map", **options)


async def asks(n: int, ctx: Context) -> int:
    """Ask for a number."""
    return await ctx.ask(f"{n}?", int)


# -- what gives a slot up, and what keeps it


async def test_sleeping_items_hold_no_slot(timed: Runner, clock: FakeClock) -> None:
    """All items sleep at the same time, whatever the concurrency."""

    async def sleep(n: int, ctx: Context) -> int:
        await ctx.sleep(10)
        return n

    began = clock.now()
    result = await timed.start(mapped(sleep, concurrency=2)).result()
    assert (result.state.found, clock.now() - began) == (list(range(6)), 10)


async def test_every_question_of_a_map_is_open(runner: Runner) -> None:
    """As many as `max_open` allows: 1,000 if it says nothing."""
    result = await runner.start(mapped(asks), {"numbers": list(range(1_005))}, run_id="all").result()
    assert len(result.waits) == 1_000
    result = await runner.start(mapped(ask("{n}?", int), concurrency=1, max_open=3), run_id="three").result()
    assert names(result.waits) == ["work[0]", "work[1]", "work[2]"]


async def test_one_question_at_a_time(runner: Runner) -> None:
    """With max_open=1 the next item begins when the one before has ended."""
    graph = mapped(asks, max_open=1)
    result = await runner.start(graph, run_id="r").result()
    for number in range(6):
        assert names(result.waits) == [f"work[{number}]"]
        await runner.answer("r", number)
        result = await runner.resume("r", graph).result()
    assert result.state.found == list(range(6))


async def test_items_can_wait_for_messages_of_each_other(runner: Runner) -> None:
    """Item after item, with one slot: each tells the next that it is there, and waits for the one before."""

    class Inner(BaseModel):
        n: int = 0
        told: int = 0

    async def tells(n: int, ctx: Context) -> int:
        ctx.send(f"to {(n + 1) % 6}", n)
        return n

    async def listens(n: int, ctx: Context) -> int:
        return await ctx.receive(f"to {n}", int)

    inner = Graph("inner", Inner, result="told")
    inner.add_node("tells", tells, writes="n")
    inner.add_node("listens", listens, writes="told")
    inner.add_path(START, "tells", "listens", END)
    async with asyncio.timeout(SOON):
        result = await runner.start(mapped(inner, concurrency=1)).result()
    assert result.state.found == [5, 0, 1, 2, 3, 4]


async def test_a_pause_of_a_retry_keeps_its_slot(timed: Runner, clock: FakeClock) -> None:
    """While a service is down, no more items fail at it than run at a time."""
    began = clock.now()
    failed: list[int] = []

    async def work(n: int) -> int:
        if clock.now() < began + 10:
            failed.append(n)
            raise OSError("down")
        return n

    retry = Retry(attempts=2, initial_seconds=10, jitter=0, on=(OSError,))
    result = await timed.start(mapped(work, concurrency=2, retry=retry)).result()
    assert (sorted(failed), result.state.found) == ([0, 1], list(range(6)))


async def test_each_answer_counts_while_their_item_has_no_slot(runner: Runner) -> None:
    """An item asks two things at once; both answers come while a child run keeps the only slot, and both are taken."""
    child = alone(State, ask("How many?", int), {"found": lambda result: [result]}, name="child")

    async def work(n: int, ctx: Context) -> int:
        if n:
            run = await ctx.start(child, run_id="child")
            return (await run.result()).state.found[0]
        return sum(await asyncio.gather(ctx.ask("a?", int), ctx.ask("b?", int)))

    graph = mapped(work, concurrency=1)
    await runner.start(graph, {"numbers": [0, 1]}, run_id="r").result()
    await runner.answer("r", 1, question="work[0]")
    await runner.answer("r", 2, question="work[0]#2")
    await runner.resume("r", graph).result()
    await runner.answer("child", 5)
    await runner.resume("child", child).result()
    assert (await runner.resume("r", graph).result()).state.found == [3, 5]


async def test_a_child_that_no_queue_holds_keeps_the_slot_of_its_item(runner: Runner) -> None:
    """A map over children is bounded by its concurrency; children in a queue are bounded by it, and all are started."""
    child = alone(State, ask("How many?", int), {"found": lambda result: [result]}, name="child")

    def graph(queue: str | None) -> Graph[State]:
        async def starts(n: int, ctx: Context) -> int:
            run = await ctx.start(child, {"numbers": [n]}, run_id=f"{queue}-{n}", queue=queue)
            return (await run.result()).state.found[0]

        return mapped(starts, concurrency=2)

    for queue, started in ((None, 2), ("jobs", 6)):
        await runner.start(graph(queue), run_id=f"parent-{queue}").result()
        assert len(await runner.runs(graph="child")) == started + (2 if queue else 0)


async def test_a_bound_that_is_no_number_of_items_is_refused() -> None:
    """It is a whole number above 0, of a node with `each`."""
    with pytest.raises(CompileError, match="max_open=0 is not a number of items"):
        mapped(asks, max_open=0).compile()
    with pytest.raises(CompileError, match="max_open=3 without each"):
        alone(State, lambda: 1, "found", max_open=3).compile()


# -- random programs, over restarts

KINDS = ("ask", "sleep", "receive", "call", "turn", "both")


class Programs:
    """What the items of a map do, drawn from a seed: they wait, act and let others run, in any order.

    Attributes:
        acted: How often each piece of work was done.
        most: The most items that ran at a time.
    """

    def __init__(self, seed: str, count: int) -> None:
        random = Random(seed)  # noqa: S311 - no secret
        self.steps = [random.choices(KINDS, k=random.randint(1, 4)) for _ in range(count)]
        self.concurrency, self.max_open = random.choice((1, 1, 2, 3)), random.choice((1, 2, 5, 1_000))
        self.acted: Counter[tuple[int, int]] = Counter()
        self.running = self.most = 0
        self.is_nested = random.random() < 0.5

    def graph(self) -> Graph[State]:
        """Return the graph of the map; its items are nodes, or graphs of one node."""
        work: Any = self.work
        if self.is_nested:

            class Inner(BaseModel):
                n: int = 0
                out: int = 0

            work = alone(Inner, self.work, "out", name="inner", result="out")
        return mapped(work, concurrency=self.concurrency, max_open=self.max_open)

    async def work(self, n: int, ctx: Context) -> int:
        """Do what the item's program says; the sum of what it was told is its result."""
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return sum([await self.step(n, place, kind, ctx) for place, kind in enumerate(self.steps[n])])
        finally:
            self.running -= 1

    async def step(self, n: int, place: int, kind: str, ctx: Context) -> int:
        """Do one step of a program."""

        async def act() -> int:
            self.acted[n, place] += 1
            return 1

        if kind == "ask":
            return await ctx.ask(f"{n} {place}", int)
        if kind == "receive":
            return await ctx.receive(f"{n} {place}", int)
        if kind == "both":
            return sum(await asyncio.gather(ctx.ask(f"{n} {place}", int), ctx.receive(f"{n} {place}", int)))
        if kind == "call":
            return await ctx.call(act, key=str(place))
        await (ctx.sleep(1 + n % 3) if kind == "sleep" else asyncio.sleep(0))
        return 1

    def expected(self) -> list[int]:
        """Return what the items find."""
        return [sum(2 if kind == "both" else 1 for kind in steps) for steps in self.steps]


async def answered(runner: Runner, random: Random) -> None:
    """Answer some of the open questions, and send some of the messages, in any order."""
    waits = [wait for wait in await runner.waits() if wait.kind in ("ask", "receive")]
    for wait in random.sample(waits, min(len(waits), random.randint(1, 4))):
        if wait.kind == "ask":
            await runner.answer("r", 1, question=wait.name)
        else:
            await runner.send("r", str(wait.topic), 1)


@pytest.mark.parametrize("part", range(3))
async def test_items_that_wait_take_turns_over_restarts(
    fresh: Callable[[], AbstractContextManager[Path | str | None]], part: int
) -> None:
    """Runners come and go: each item acts once, no more run than may, and the log shows that each had its turn."""
    for number in range(4):
        random = Random(f"{part} {number}")  # noqa: S311 - no secret
        programs = Programs(f"turns {part} {number}", 9)
        with fresh() as place:
            store: Any = place if place is not None else MemoryStore()
            clock = FakeClock(start=1000.0)
            async with Runner(store, clock=clock) as runner, asyncio.timeout(SOON):
                run = runner.start(programs.graph(), {"numbers": list(range(9))}, run_id="r")
                await cut(run, 0, random)
            status = ""
            while status != "finished":
                async with Runner(store, clock=clock) as runner, asyncio.timeout(SOON):
                    await answered(runner, random)
                    seq = (await runner.store.info("r")).seq
                    await cut(runner.resume("r", programs.graph()), seq, random)
                    status = (await runner.store.info("r")).status
            async with Runner(store) as runner:
                result = await runner.resume("r", programs.graph()).result()
                log = await runner.history("r")
        assert result.state.found == programs.expected()
        assert programs.most <= programs.concurrency
        assert all(count == 1 for count in programs.acted.values()), programs.acted
        assert Turns.of(log).most_open <= min(9, programs.max_open)


async def cut(run: Run[Any], seq: int, random: Random) -> None:
    """Follow a run until it waits or ends, or leave it some steps after this one."""
    last = seq + random.choice((2, 4, 8, 30))
    async for event in run.events():
        if isinstance(event, StepRecorded) and event.seq >= last:
            break
