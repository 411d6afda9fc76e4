"""No call of a model begins after a limit of its run is reached, in whatever order calls move.

A call is reserved in budgets across runs, waits for room in the limits of its run, is made, settled, recorded, and
released. Each of these awaits passes a gate here, and the test chooses which gate opens next, and how many turns the
event loop takes before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine import END, START, Agent, Graph, Limits, Result, Retry, Runner
from graphengine.agents.budget import Settle, SharedBudgets
from graphengine.agents.runtime import RunRuntime
from graphengine.engine.snapshot import Snapshot
from graphengine.models import Model, Request, Response
from graphengine.models.errors import ModelUnreachable
from graphengine.runner.extensions import Extension, OpenRun
from graphengine.stores.base import Append
from graphengine.stores.memory import InMemoryStore
from tests.agents.run_kits import Work

COST_USD = 0.25
QUIET = 40
"""After so many turns of the event loop nothing moves any more until a gate opens."""
TURNS = 12
"""How many turns are waited at most before the next gate opens."""
LOST_TOKENS = 1000
"""What only a call that fails uses."""

Choose = Callable[[int], int]
"""Returns a number below another one."""


@dataclass
class Gates:
    """The places where what moves has to wait."""

    shut: list[asyncio.Future[None]] = field(default_factory=list)
    are_open: bool = False

    async def passed(self) -> None:
        """Wait until the test opens this one."""
        if not self.are_open:
            self.shut.append(asyncio.get_running_loop().create_future())
            await self.shut[-1]

    async def open_until(self, done: asyncio.Future[Any], choose: Choose) -> None:
        """Open one gate after the other, in the order chosen, until the future is done."""
        while not done.done():
            self.shut = [gate for gate in self.shut if not gate.cancelled()]
            if self.shut:
                self.shut.pop(choose(len(self.shut))).set_result(None)
            for _ in range(choose(TURNS) if self.shut else QUIET):
                await asyncio.sleep(0)
            self.are_open = not self.shut
            assert not self.are_open or done.done(), "nothing that it waits for can come"


class GatedStore(InMemoryStore):
    """A store whose steps are durable once a gate opens."""

    def __init__(self, gates: Gates) -> None:
        super().__init__()
        self.gates = gates

    def append(self, batch: Append) -> Awaitable[None] | None:  # type: ignore[override]
        """Add steps."""
        super().append(batch)
        return self.gates.passed() if batch.steps else None


class GatedBudgets(Extension, SharedBudgets):
    """Budgets across runs that have room for all."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        self.snapshot: Snapshot

    async def opened(self, run: OpenRun) -> GatedBudgets:
        """Follow a run."""
        self.snapshot = run.snapshot
        return self

    @asynccontextmanager
    async def held(self, runtime: RunRuntime, model: Model, request: Request) -> AsyncIterator[Settle]:
        """Reserve, and settle."""
        await self.gates.passed()
        yield lambda _: self.gates.passed()


class LeapingClock:
    """A clock on which no wait takes time: a server that failed is left alone for a while."""

    def __init__(self) -> None:
        self._time = 1000.0

    def now(self) -> float:
        """Return the time."""
        return self._time

    async def sleep_until(self, when: float) -> None:
        """Let the time come."""
        self._time = max(self._time, when)
        await asyncio.sleep(0)


@dataclass
class Counting:
    """A model whose calls cost the same, and that checks that each may begin.

    Attributes:
        gates: What its calls wait at.
        budgets: Who has the snapshot of the run.
        limit_usd: The limit of the run.
        made: How many calls have begun.
        lost: How many of them have failed.
        wrong: Which of them were not allowed to begin.
    """

    gates: Gates
    budgets: GatedBudgets
    limit_usd: float
    name: str = "counting"
    made: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        """Answer, or fail if that is asked."""
        usage = self.budgets.snapshot.usage
        unrecorded = self.lost - usage.get("input_tokens", 0) // LOST_TOKENS
        used = (usage.get("cost_usd") or 0.0) + unrecorded * COST_USD
        in_flight = self.made - usage.get("calls", 0) - unrecorded
        planned = used + (in_flight + 1) * COST_USD
        if used >= self.limit_usd or (in_flight and planned > self.limit_usd):
            self.wrong.append(f"{used} USD used and {in_flight} calls in flight, and a call begins")
        self.made += 1
        await self.gates.passed()
        if request.prompt == "fails":
            self.lost += 1
            error = ModelUnreachable("broken")
            error.usage = {"calls": 1, "input_tokens": LOST_TOKENS, "output_tokens": 0, "cost_usd": COST_USD}
            raise error
        return Response("ok", input_tokens=1, output_tokens=1, cost_usd=COST_USD)


WRITER = Agent("writer", prompt="{what}")


async def caught() -> str:
    """Make a call that fails, and another one."""
    try:
        return await WRITER.run(what="fails")
    except ModelUnreachable:
        return await WRITER.run(what="works")


async def work(item: str) -> str:
    """Make the calls of an item."""
    if item == "two":
        await WRITER.run(what="works")
    if item == "both":
        await asyncio.gather(*(WRITER.run(what="works") for _ in range(2)))
    return await caught() if item == "caught" else await WRITER.run(what="fails" if item == "fails" else "works")


ITEMS = ("one", "two", "both", "caught", "fails")


def mapped(*, is_inner: bool, limit_usd: float) -> Graph[Work]:
    """Return a graph that works on each item; an inner one has the limit itself, and ends in a fallback."""
    graph = Graph("g", Work)
    retry = Retry(attempts=2, initial_seconds=0, jitter=0)
    graph.add_node("work", work, writes="drafts", each={"item": "items"}, concurrency=3, retry=retry, fallback="lost")
    graph.add_path(START, "work", END)
    if not is_inner:
        return graph
    outer = Graph("outer", Work)
    inner = graph.but(result="drafts", limits=Limits(cost_usd=limit_usd))
    outer.add_node("inner", inner, writes="drafts", fallback=["over"])
    outer.add_path(START, "inner", END)
    return outer


async def ran(items: Sequence[str], limit_usd: float, choose: Choose, *, is_inner: bool = False) -> Result[Work]:
    """Return the result of a run, each of whose awaits passes a gate."""
    gates = Gates()
    model = Counting(gates, GatedBudgets(gates), limit_usd)
    store, graph = GatedStore(gates), mapped(is_inner=is_inner, limit_usd=limit_usd)
    runner = Runner(store, models=model, extensions=[model.budgets], clock=LeapingClock())
    limits = None if is_inner else Limits(cost_usd=limit_usd)
    result = asyncio.ensure_future(runner.start(graph, Work(items=[*items]), limits=limits).result())
    await gates.open_until(result, choose)
    await runner.close()
    assert model.wrong == []
    usage = (await result).usage
    assert (usage.calls, usage.cost_usd) == (model.made, model.made * COST_USD)
    return await result


def orders() -> Iterator[Choose]:
    """Yield how to choose, for one run after the other: each time in another way, until there is none."""
    taken: list[list[int]] = []  # the choices of the last run, each with how many there were
    while True:
        known = iter([number for number, _ in taken])

        def choose(below: int, known: Iterator[int] = known) -> int:
            if below == TURNS:
                return QUIET  # more than any of them needs
            if (number := next(known, None)) is None:
                taken.append([0, below])
            return number or 0

        yield choose
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        taken[-1][0] += 1


@pytest.mark.parametrize("items", [["one", "one"], ["one", "two"], ["both"], ["caught", "one"]])
def test_of_several_calls_one_begins_if_it_takes_all(items: list[str]) -> None:
    """In every order in which they are reserved, made, settled, recorded and released."""
    for choose in orders():
        result = asyncio.run(ran(items, COST_USD, choose))
        assert (result.status, result.usage.calls) == ("stopped", 1)


@given(st.lists(st.sampled_from(ITEMS), min_size=1, max_size=4), st.integers(1, 6), st.booleans(), st.integers())
def test_no_call_begins_after_a_limit_is_reached(items: list[str], most: int, is_inner: bool, seed: int) -> None:  # noqa: FBT001
    """Whether calls fail, are made again, are several of one node, or are in a graph with a limit of its own."""
    order = Random(seed)  # noqa: S311 - no secret
    result = asyncio.run(ran(items, most * COST_USD, order.randrange, is_inner=is_inner))
    is_over = result.usage.calls >= most
    if is_inner:
        assert result.status == "finished"
        assert (result.state.drafts == ["over"]) == is_over
    else:
        assert result.status == ("stopped" if is_over else "finished")
