"""Calls that share a long prefix: the first goes alone, and the others when the provider has cached it."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner
from graphengine.agents.prefixes import LEAST_CHARACTERS, LIVES_SECONDS, Prefixes
from graphengine.errors import ModelOverloaded
from graphengine.models import Request, Response
from tests.kit.runs import SOON

LONG = "You are one of many. " * 300


class Hall:
    """A model that counts concurrent calls, and answers each after a delay."""

    name = "hall"

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.peaks: list[int] = []
        self.waiting = 0
        self.fails = 0

    async def answer(self, request: Request) -> Response:
        """Wait a turn of the loop for each possible caller, then answer."""
        self.inside.append(request.prompt)
        for _ in range(50):
            await asyncio.sleep(0)
        self.peaks.append(len(self.inside))
        self.inside.pop()
        if self.fails:
            self.fails -= 1
            raise ModelOverloaded("full")
        return Response("ok", cost_usd=0.0)


def agent(hall: Hall, system: str, *, cache: bool = True) -> Agent[str]:
    """Return an agent that calls this model."""
    return Agent("guest", model=hall, system=system, prompt="{number}", cache=cache)


class Party(BaseModel):
    """A graph's state: the callers, and their answers."""

    numbers: list[int] = list(range(8))
    heard: list[str] = []


async def come(guest: Agent[str], runs: int = 1) -> None:
    """Run a graph that makes eight calls at once."""
    graph = Graph("party", Party)
    graph.add_node("ask", guest, each={"number": "numbers"}, writes="heard")
    graph.add_path(START, "ask", END)
    async with Runner() as runner:
        for _ in range(runs):
            assert (await runner.start(graph).result()).state.heard == ["ok"] * 8


async def test_the_first_goes_alone_and_the_rest_together() -> None:
    """In the next run they go together too, since the prefix is still cached."""
    hall = Hall()
    await come(agent(hall, LONG), runs=2)
    assert hall.peaks[0] == 1
    assert max(hall.peaks[1:8]) == 7
    assert max(hall.peaks[8:]) == 8


@pytest.mark.parametrize(("system", "cache"), [("You are one.", True), (LONG, False)])
async def test_calls_do_not_wait_if_nothing_is_cached(system: str, *, cache: bool) -> None:
    """A short prefix is not cached at all, and an agent may disable caching."""
    hall = Hall()
    await come(agent(hall, system, cache=cache))
    assert max(hall.peaks) == 8


async def test_after_a_first_one_that_fails_the_rest_go_together() -> None:
    """Twenty calls that all fail take as long as two: they do not fail one after the other."""
    prefixes = Prefixes()
    inside = peak = 0

    async def call(number: int) -> None:
        nonlocal inside, peak
        async with prefixes.turn("p", LEAST_CHARACTERS):
            inside += 1
            peak = max(peak, inside) if number else inside
            await asyncio.sleep(0)
            inside -= 1
            raise ModelOverloaded("full")

    done = await asyncio.gather(*(call(number) for number in range(20)), return_exceptions=True)
    assert all(isinstance(each, ModelOverloaded) for each in done)
    assert peak == 19


async def test_the_rest_go_when_the_first_answer_begins() -> None:
    """The cache can be read from then on, however long the answer is."""
    begun, done = asyncio.Event(), asyncio.Event()
    others: list[str] = []

    class Slow:
        """A model whose first answer begins, and ends when the others have theirs."""

        name = "slow"

        async def answer(self, request: Request) -> Response:
            """Wait if first; else answer."""
            if request.on_begin is None:
                others.append(request.prompt)
                if len(others) == 7:
                    done.set()
            else:
                begun.set()
                request.on_begin()
                await done.wait()
            return Response("ok", cost_usd=0.0)

    async with asyncio.timeout(SOON):
        await come(Agent("guest", model=Slow(), system=LONG, prompt="{number}", cache=True))
    assert begun.is_set()


async def test_a_cancelled_first_call_releases_the_rest() -> None:
    """The others do not wait forever."""
    prefixes = Prefixes()
    inside = asyncio.Event()

    async def hang() -> None:
        async with prefixes.turn("p", LEAST_CHARACTERS):
            inside.set()
            await asyncio.Event().wait()

    async def call() -> None:
        async with prefixes.turn("p", LEAST_CHARACTERS):
            pass

    first = asyncio.create_task(hang())
    await inside.wait()
    second = asyncio.create_task(call())
    await asyncio.sleep(0)
    assert not second.done()
    first.cancel()
    async with asyncio.timeout(SOON):
        await second


async def test_a_beginning_is_forgotten_in_time() -> None:
    """Then one goes alone again."""
    now = 0.0
    prefixes = Prefixes(clock=lambda: now)
    inside = 0
    peak = 0

    async def call() -> None:
        nonlocal inside, peak
        async with prefixes.turn("p", LEAST_CHARACTERS):
            inside += 1
            peak = max(peak, inside)
            await asyncio.sleep(0)
            inside -= 1

    await call()
    await asyncio.gather(call(), call())
    assert peak == 2
    now, peak = LIVES_SECONDS, 0
    await asyncio.gather(call(), call())
    assert peak == 1
