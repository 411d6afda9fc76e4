"""A caller that wants a run driven while it is about to rest."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel, create_model
from typing_extensions import override

from graphengine.errors import StoreError
from graphengine.graph.question import ask
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner import driving
from graphengine.runner.context import Context
from graphengine.runner.run import Run
from graphengine.runner.run_events import StepRecorded
from graphengine.runner.runner import Runner
from graphengine.stores.base import Append, InboxMessage
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
    slept: bool = False


S = TypeVar("S", bound=Both)


async def played(run: Run[S], waits: int, leave: asyncio.Event, then: Callable[[], Awaitable[None]]) -> S:
    """Do something once a run has so many waits, and let its node in flight end once they are over."""
    kinds: list[str] = []
    async for event in run.events():
        kinds += [event.step.kind] if isinstance(event, StepRecorded) else []
        if kinds.count("waiting") == waits and "sent" not in kinds:
            kinds.append("sent")
            await then()
        if kinds.count("node") == waits:
            leave.set()
    return (await run.result()).state


@pytest.mark.parametrize("sent", ["an answer", "a message", "neither"])
@pytest.mark.parametrize("fails", [0, 2])
async def test_what_another_process_sends_in_time_counts_though_the_inbox_is_polled_later(
    sent: str, fails: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node is in flight, so a process drives the run when its waits end; also if the inbox cannot be read at once."""
    monkeypatch.setattr(driving, "INBOX_SECONDS", 0.0)
    store, clock, leave = Busy(), FakeClock(start=1000.0, jumps=False), asyncio.Event()
    asked = ask("Well?", str, timeout_seconds=60, default="no answer")
    graph = arms(Both, ("ask", asked, "said"), ("read", read, "text"), ("hold", leave.wait, "held"))
    async with asyncio.timeout(SOON), Runner(store, clock=clock) as runner, Runner(store, clock=clock) as other:

        async def send() -> None:
            if sent == "an answer":
                await other.answer("both", "yes")
            elif sent == "a message":
                await other.send("both", "texts", "hello")
            store.fails = fails
            clock.move(61)

        state = await played(runner.start(graph, run_id="both"), 2, leave, send)
    assert (state.said, state.text) == (
        "yes" if sent == "an answer" else "no answer",
        "hello" if sent == "a message" else "none came",
    )


class Busy(InMemoryStore):
    """A store whose appends wait, and whose inbox cannot be read some times, when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.goes, self.reads, self.fails = asyncio.Event(), 0, 0
        self.goes.set()

    @override
    def append(self, batch: Append) -> Awaitable[None]:  # type: ignore[override]
        super().append(batch)

        async def later() -> None:
            await self.goes.wait()

        return later()

    @override
    async def inbox(self, run_ids: Sequence[str]) -> Sequence[InboxMessage]:
        """Return what there is, after some turns of the event loop."""
        self.reads += 1
        fails, self.fails = self.fails > 0, max(self.fails - 1, 0)
        for _ in range(3):
            await asyncio.sleep(0)
        if fails:
            raise StoreError("the inbox cannot be read")
        return await super().inbox(run_ids)


async def test_a_time_that_comes_while_mail_is_being_recorded_is_not_lost() -> None:
    """Two answers come; the time of a sleep ends while the first one is being appended, and a node is in flight."""
    store, clock, leave = Busy(), FakeClock(start=1000.0, jumps=False), asyncio.Event()

    async def sleep(ctx: Context) -> bool:
        await ctx.sleep(60)
        return True

    asks = [(name, ask("Well?", str), name) for name in ("said", "text")]
    graph = arms(Both, ("sleep", sleep, "slept"), *asks, ("hold", leave.wait, "held"))
    async with asyncio.timeout(SOON), Runner(store, clock=clock) as runner, Runner(store, clock=clock) as other:

        async def send() -> None:
            store.goes.clear()
            await other.answer("slept", "yes", wait="said")
            await runner.answer("slept", "yes", wait="text")  # which reads the inbox
            await asyncio.sleep(0)
            clock.move(61)
            for _ in range(10):  # the sleep sees that its time has come
                await asyncio.sleep(0)
            store.goes.set()

        assert (await played(runner.start(graph, run_id="slept"), 3, leave, send)).slept


async def test_the_inbox_is_read_at_most_once_more_for_each_of_many_waits_that_end_together() -> None:
    """What one read has shown is enough for all."""
    store, clock, leave = Busy(), FakeClock(start=1000.0, jumps=False), asyncio.Event()
    asked = ask("Well?", str, timeout_seconds=60, default="no answer")
    asks = [(name, asked, name) for name in map("ask{}".format, range(20))]
    fields: dict[str, Any] = {name: (str, "") for name, _, _ in asks}
    graph = arms(create_model("Many", __base__=Both, **fields), *asks, ("hold", leave.wait, "held"))
    async with asyncio.timeout(SOON), Runner(store, clock=clock) as runner:

        async def end() -> None:
            store.reads = 0
            clock.move(61)

        assert (await played(runner.start(graph), 20, leave, end)).held
    assert store.reads <= 2 * len(asks)
