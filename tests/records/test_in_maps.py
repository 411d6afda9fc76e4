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

from graphengine import Context, Graph, Runner
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner import Run, StepRecorded
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import SOON, alone
from tests.kit.turns import Turns
from tests.runner.waits.test_in_maps import State, mapped

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
            await runner.answer("r", 1, wait=wait)
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
            store: Any = place if place is not None else InMemoryStore()
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
