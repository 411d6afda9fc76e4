"""A caller that wants a run driven while it is about to rest."""

import asyncio
from collections.abc import Sequence

import pytest
from pydantic import BaseModel

from graphengine.graph.question import ask
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner.context import Context
from graphengine.runner.run_events import StepRecorded
from graphengine.runner.runner import Runner
from graphengine.stores.base import InboxMessage
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import SOON, alone, arms


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


class Both(Mail):
    said: str = ""
    held: bool = False


@pytest.mark.parametrize("sent", ["an answer", "a message", "neither"])
async def test_what_another_process_sends_in_time_counts_though_the_inbox_is_polled_later(sent: str) -> None:
    """A node is in flight, so a process drives the run at the time when its waits end."""
    store, clock, leave = InMemoryStore(), FakeClock(start=1000.0, jumps=False), asyncio.Event()
    asked = ask("Well?", str, timeout_seconds=60, default="no answer")
    graph = arms(Both, ("ask", asked, "said"), ("read", read, "text"), ("hold", leave.wait, "held"))
    async with asyncio.timeout(SOON), Runner(store, clock=clock) as runner, Runner(store, clock=clock) as other:
        run = runner.start(graph, run_id="both")
        kinds: list[str] = []
        async for event in run.events():
            kinds += [event.step.kind] if isinstance(event, StepRecorded) else []
            if kinds.count("waiting") == 2 and "sent" not in kinds:
                if sent == "an answer":
                    await other.answer("both", "yes")
                elif sent == "a message":
                    await other.send("both", "texts", "hello")
                kinds.append("sent")
                clock.move(61)
            if kinds.count("node") == 2:
                leave.set()
        state = (await run.result()).state
    assert (state.said, state.text) == (
        "yes" if sent == "an answer" else "no answer",
        "hello" if sent == "a message" else "none came",
    )
