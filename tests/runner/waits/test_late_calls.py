"""A caller that wants a run driven while it is about to rest."""

import asyncio
from collections.abc import Sequence

from pydantic import BaseModel

from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner.context import Context
from graphengine.runner.runner import Runner
from graphengine.stores.base import InboxMessage
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import SOON, alone


class Mail(BaseModel):
    text: str = ""


async def read(ctx: Context) -> str:
    """Wait a minute for a text."""
    return await ctx.receive("texts", str, timeout_seconds=60, default="none came")


class Slow(InMemoryStore):
    """A store whose inbox, read when the run waits, is given back when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.reading, self.goes = asyncio.Event(), asyncio.Event()

    async def inbox(self, run_ids: Sequence[str]) -> Sequence[InboxMessage]:
        """Return what there is, as it was before the test let it go."""
        found = await super().inbox(run_ids)
        if any(info.status == "waiting" for info in await self.infos(run_ids)):
            self.reading.set()
            await self.goes.wait()
        return found


async def test_a_run_whose_time_comes_while_it_falls_asleep_is_driven() -> None:
    """Its life finds the inbox empty after the caller found that life, and sees that its time has come."""
    store, clock = Slow(), FakeClock(start=1000.0, jumps=False)
    graph = alone(Mail, read, "text", name="mail")
    async with asyncio.timeout(SOON), Runner(store, clock=clock) as runner:
        runner.start(graph, run_id="mail")
        await store.reading.wait()
        clock.move(61)
        driven = await runner.drive("mail", graph)
        store.goes.set()
        result = await driven.result()
    assert (result.status, result.state.text) == ("finished", "none came")


async def test_a_message_counts_that_came_after_its_time_while_nothing_drove_the_run() -> None:
    """The time alone records nothing: what is there when the run is taken up is received."""
    clock = FakeClock(start=1000.0, jumps=False)
    graph = alone(Mail, read, "text", name="mail")
    async with asyncio.timeout(SOON), Runner(clock=clock) as runner:
        for run_id in ("late", "none"):
            await runner.start(graph, run_id=run_id).result()
        clock.move(61)
        await runner.send("late", "texts", "late")
        ends = [await runner.resume(run_id, graph).result() for run_id in ("late", "none")]
    assert [end.state.text for end in ends] == ["late", "none came"]
