"""A store that could not be reached is asked whether runs are still driven here: the answer is about one claim."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from graphengine import Context, Runner
from graphengine.stores.base import Append
from graphengine.stores.memory import InMemoryStore
from graphengine.stores.refusals import lease_lost
from tests.runner.gates import Gate, one


class Doubting(InMemoryStore):
    """A store that may have lost the leases of its owner, and answers late."""

    doubted: Callable[[str], Coroutine[Any, Any, None]]
    shared = True
    is_slow = False

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_doubt(self, doubted: Any) -> None:
        """Keep what is told that leases may be lost."""
        self.doubted = doubted

    def append(self, batch: Append) -> Any:
        """Answer an append of nothing, which only asks, later."""
        if self.is_slow and not batch.steps:
            self.is_slow = False
            self.asked.set()
            return self.answer
        return super().append(batch)


async def test_a_late_answer_about_a_claim_before_ends_no_run() -> None:
    """The run sleeps and gives its lease back while the store is asked: it goes on at its time."""
    gate, store = Gate(), Doubting()

    async def sleeps(n: int, ctx: Context) -> int:
        gate.entered.set()
        await gate.leave.wait()
        await ctx.sleep(0.2)  # of the engine
        return n + 5

    async with Runner(store) as runner:
        run = runner.start(one("sleeps", sleeps))
        await gate.entered.wait()
        store.is_slow = True
        asking = asyncio.create_task(store.doubted("renewed"))
        await store.asked.wait()
        gate.leave.set()
        while await run.status() != "waiting":  # noqa: ASYNC110 - the engine tells nobody
            await asyncio.sleep(0)
        store.answer.set_exception(lease_lost(run.id, 1))
        await asking
        assert (await run.result()).state.n == 5


async def test_an_answer_about_the_claim_that_drives_it_ends_the_run_here() -> None:
    """Another process has the run: what is in flight is cancelled, and nothing more is recorded."""
    gate, store = Gate(), Doubting()
    async with Runner(store) as runner:
        run = runner.start(gate.graph())
        await gate.entered.wait()
        store.is_slow = True
        asking = asyncio.create_task(store.doubted("renewed"))
        await store.asked.wait()
        store.answer.set_exception(lease_lost(run.id, 1))
        await asking
        assert await run.status() == "interrupted"
        assert [step.kind for step in await run.history()] == ["started"]
