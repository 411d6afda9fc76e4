"""`start_or_send` and `drive`: runs that any process starts, continues and follows."""

import asyncio
from collections.abc import Awaitable

from graphengine import Runner, Worker
from graphengine.stores.base import Append
from graphengine.stores.memory import InMemoryStore
from tests.runner.gates import chat


async def test_what_is_sent_while_a_worker_lays_a_run_down_is_handled_before_its_result() -> None:
    """The step after which it waits is being recorded: its inbox was looked at, and the worker would park it."""
    waits, go = asyncio.Event(), asyncio.Event()

    async def held() -> None:
        waits.set()
        await go.wait()

    class Slow(InMemoryStore):
        def append(self, batch: Append) -> Awaitable[None] | None:  # type: ignore[override]
            super().append(batch)
            return held() if batch.status == "waiting" else None

    async with Runner(Slow()) as runner:
        worker = Worker(runner, chat(), poll_seconds=0.01)
        runner.start(chat(), run_id="c", queue="default")
        working = asyncio.create_task(worker.run())
        await waits.wait()
        run = await runner.start_or_send(chat(), "c", "said", "bye")
        go.set()
        assert (await run.result()).state.heard == ["bye"]
        worker.stop()
        await working
