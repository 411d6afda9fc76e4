"""A life that gives its claim what cannot come then: the run is lost here, and a resume repairs it."""

import asyncio
import contextlib

import pytest
from pydantic import BaseModel

from graphengine import Context, Runner
from graphengine.errors import OutOfOrder, StoreError
from graphengine.runner.driving import Driving
from graphengine.stores.base import Append
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import SOON, alone


class State(BaseModel):
    n: int = 0


async def add(n: int) -> int:
    """Return one more."""
    return n + 1


async def test_a_broken_order_loses_the_run_and_a_resume_repairs_it(
    monkeypatch: pytest.MonkeyPatch, broken_orders: list[str]
) -> None:
    """Callers get the error, the lease is given back, other runs go on; a test fails even if nobody gets the error."""
    graph = alone(State, add, "n")
    drive = Driving.drive

    async def forgetful(driving: Driving) -> None:
        """Leave the run while it is driven."""
        if driving.snapshot.run_id != "r":
            await drive(driving)

    async with Runner(InMemoryStore()) as runner:
        monkeypatch.setattr(Driving, "drive", forgetful)
        broken, other = runner.start(graph, run_id="r"), runner.start(graph, run_id="other")
        with pytest.raises(OutOfOrder, match="Left came while this process was 'driving' with a run"):
            await broken.result()
        assert (await other.result()).state.n == 1
        assert broken_orders == ["a fault inside graphengine: Left came while this process was 'driving' with a run"]
        assert [step.kind for step in await runner.history("r")] == ["started"]
        monkeypatch.undo()
        assert (await runner.resume("r", graph).result()).state.n == 1


async def test_a_run_that_is_cut_while_an_append_fails_is_given_back() -> None:
    """The node is cancelled, and swallows the error of what it records then: callers get it all the same."""
    begun = asyncio.Event()

    class Full(InMemoryStore):
        is_full = False

        def append(self, batch: Append) -> None:
            if self.is_full and batch.steps:
                raise StoreError("the disk is full")
            super().append(batch)

    async def work(n: int, ctx: Context) -> int:
        if begun.is_set():
            return n + 1
        begun.set()
        try:
            await asyncio.sleep(SOON)
        except asyncio.CancelledError:
            store.is_full = True
            with contextlib.suppress(StoreError):
                await ctx.call(len, "abc")
            raise
        return n + 1

    store = Full()
    async with Runner(store) as runner:
        graph = alone(State, work, "n")
        run = runner.start(graph, run_id="r")
        await begun.wait()
        await run.stop(now=True)
        with pytest.raises(StoreError, match="the disk is full"):
            await run.result()
        store.is_full = False
        assert (await runner.resume("r", graph).result()).state.n == 1
