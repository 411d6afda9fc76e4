"""Callers of one Runner at the same time: each test lets one call happen in the middle of another one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from graphengine import Context, Graph, Runner
from graphengine.errors import RunnerClosed, UnknownRun
from graphengine.runner import RunEnded, StepRecorded
from graphengine.runner.run_events import Event
from graphengine.stores.base import Append, RunInfo
from graphengine.stores.memory import InMemoryStore
from tests.kit.facts import said
from tests.kit.runs import over
from tests.runner.gates import State, asking, chat, one


def sleeping() -> Graph[State]:
    """Return a graph that sleeps for a minute."""

    async def nap(n: int, ctx: Context) -> int:
        await ctx.sleep(60)
        return n + 1

    return one("sleeping", nap)


class Between:
    """What happens once in the middle of a store's method.

    Attributes:
        calls: What happens, by the name of the method.
    """

    def __init__(self) -> None:
        self.calls: dict[str, Callable[[], Awaitable[object]]] = {}

    async def happens(self, method: str) -> None:
        """Let it happen, if it has not happened yet."""
        call = self.calls.pop(method, None)
        if call is not None:
            await call()


class Memory(InMemoryStore, Between):
    """A store in memory in the middle of whose methods something happens."""

    def __init__(self) -> None:
        InMemoryStore.__init__(self)
        Between.__init__(self)

    async def open(self) -> None:
        """Open it, then let something happen."""
        await super().open()
        await self.happens("open")

    async def create(self, *args: Any) -> int:
        """Let something happen first."""
        await self.happens("create")
        return await super().create(*args)

    async def info(self, run_id: str) -> Any:
        """Read, then let something happen, then report what was read."""
        try:
            return await super().info(run_id)
        finally:
            await self.happens("info")

    async def infos(self, run_ids: Any) -> Any:
        """Read, then let something happen, then report what was read."""
        found = await super().infos(run_ids)
        await self.happens("info")
        return found

    async def load(self, run_id: str, upto: int | None = None) -> Any:
        """Let something happen first."""
        await self.happens("load")
        return await super().load(run_id, upto)

    def append(self, batch: Append) -> Any:
        """Record the steps, then let something happen after a resume."""
        super().append(batch)
        return self.happens("resumed") if batch.steps and batch.steps[0].kind == "resumed" else None


async def asleep(runner: Runner, run_id: str) -> None:
    """Return when a run sleeps here."""
    while run_id not in runner._shared.asleep:  # noqa: ASYNC110, SLF001 - no event reports it
        await asyncio.sleep(0.001)


def seqs(events: list[Event]) -> list[int]:
    """Return the seqs of the steps, and of the result after them."""
    found = [event.seq for event in events if isinstance(event, StepRecorded)]
    assert isinstance(events[-1], RunEnded)
    return [*found, events[-1].result.seq]


async def test_events_have_the_stop_of_a_run_that_sleeps(runner: Runner) -> None:
    """No driver records that stop, so it is read from the store before the result is shown."""
    run = runner.start(sleeping(), run_id="r")

    async def watched() -> list[Event]:
        return [event async for event in run.events()]

    watching = asyncio.create_task(watched())
    await asleep(runner, "r")
    await runner.stop("r")
    assert seqs(await watching) == [1, 2, 3, 3]


async def test_a_watch_ends_with_the_step_that_it_has_seen() -> None:
    """A run that is resumed between two reads of the store is followed further, or not, but no step is left out."""
    store = Memory()
    async with Runner(store) as runner:
        await runner.start(asking(), run_id="r").result()

        async def finish() -> None:
            await runner.answer("r", 5)
            await runner.resume("r", asking()).result()

        store.calls["load"] = finish
        events = [event async for event in runner.watch("r", wait_out=False)]
        assert seqs(events) == [1, 2, 2]


async def test_a_run_that_is_just_waking_up_is_stopped() -> None:
    """No driver hears of that stop, and nothing polls a store that no other process can use."""

    async def nap(n: int, ctx: Context) -> int:
        await ctx.sleep(0.1)
        return n + 1

    store = Memory()
    async with Runner(store) as runner:
        store.calls["resumed"] = lambda: runner.stop("r")
        assert (await runner.start(one("naps", nap), run_id="r").result()).status == "stopped"


async def test_get_returns_the_run_that_sleeps_and_not_a_start_that_is_about_to_fail(runner: Runner) -> None:
    """A start with the id of a run that sleeps here cannot be refused at once."""
    run = runner.start(sleeping(), run_id="r")
    await asleep(runner, "r")
    others = [runner.start(sleeping(), run_id="r") for _ in range(30)]
    assert runner.get("r") is run
    await asyncio.wait([asyncio.ensure_future(over(other)) for other in others])
    await runner.stop("r")
    assert (await run.result()).status == "stopped"


async def test_start_or_send_starts_a_run_that_another_caller_tries_to_resume() -> None:
    """That resume fails with UnknownRun, which is not this caller's error."""
    store = Memory()
    async with Runner(store) as runner:

        async def resume() -> None:
            runner.resume("c", chat())

        store.calls["info"] = resume
        run = await runner.start_or_send(chat(), "c", "said", "bye")
        assert (await run.result()).state.heard == ["bye"]


async def test_start_or_send_returns_no_handle_of_a_start_that_is_about_to_fail() -> None:
    """A caller that starts the run again, while the message is posted, gets the error; this one resumes the run."""
    store = Memory()
    async with Runner(store) as runner:
        await runner.start(chat(), run_id="c").result()

        async def post() -> None:
            async def start() -> None:
                runner.start(chat(), run_id="c")

            store.calls["open"] = start

        store.calls["info"] = post
        run = await runner.start_or_send(chat(), "c", "said", "bye")
        assert (await run.result()).state.heard == ["bye"]


async def test_branches_of_each_other_fail(runner: Runner) -> None:
    """A branch waits until its parent is recorded if that was started before it; a circle of branches has no log."""
    await runner.start(asking(), run_id="p").result()
    circle = [runner.branch(parent, asking(), 1, run_id=child) for child, parent in ("ab", "bc", "ca")]
    line = [runner.branch(parent, asking(), 1, run_id=child) for child, parent in ("xp", "yx", "zy")]
    async with asyncio.timeout(60):
        for run in circle:
            with pytest.raises(UnknownRun):
                await run.result()
        assert [(await run.result()).status for run in line] == ["waiting"] * 3


async def test_a_caller_that_waits_for_a_start_does_not_open_the_store_of_a_closed_runner() -> None:
    """It waits until the run is recorded; the Runner closes before."""
    store = Memory()
    store.calls["create"] = asyncio.Event().wait
    runner = Runner(store)
    runner.start(asking(), run_id="r")
    sending = asyncio.create_task(runner.send("r", "topic", 1))
    await asyncio.sleep(0.01)
    await runner.close()
    with pytest.raises(RunnerClosed):
        await sending
    with pytest.raises(RunnerClosed):
        await store.runs()


async def test_recover_drives_nothing_of_a_runner_that_closed_meanwhile() -> None:
    """The close does not know of runs that are resumed later."""
    store = Memory()
    async with Runner(store) as runner:
        run = runner.start(asking(), run_id="r")
        await runner.release("r")
        assert (await run.result()).status == "running"
        store.calls["load"] = runner.close
        with pytest.raises(RunnerClosed):
            await runner.recover(asking())
        with pytest.raises(RunnerClosed):
            await store.runs()


async def test_a_crash_is_counted_while_another_process_claims_the_run() -> None:
    """1. A run is found that a crash left. 2. Another process resumes it, and dies too. 3. It is claimed."""
    graph = one("graph", lambda: 1)

    class Left(InMemoryStore):
        """A store that shows the run as left by a crash, until it was claimed, and lets another process come first."""

        found = 0

        async def info(self, run_id: str) -> RunInfo:
            self.found += 1
            return replace(await super().info(run_id), held=self.found <= 2)

        async def claim(self, run_id: str) -> int:
            if self.found == 1:
                async with Runner(self) as other:
                    other.resume(run_id, graph)
                    await other.release(run_id)  # the log of a process that died is the same
                await self.open()
            return await super().claim(run_id)

    store = Left()
    async with Runner(store) as runner:
        runner.start(graph, run_id="r")
        await runner.release("r")
        store.found = 0
        await runner.resume("r", graph).result()
        resumed = [said(step).get("crashed", False) for step in await runner.history("r") if step.kind == "resumed"]
    assert resumed == [True, True]


async def test_a_run_that_is_cancelled_before_it_is_opened_leaves_nothing_to_await() -> None:
    """Its asyncio task never begins, so all that it would await must not exist yet: Python warns of it."""
    async with Runner() as runner:
        first = await runner.start(asking()).result()
        before = asyncio.all_tasks()
        runs = [
            runner.start(asking()),
            runner.resume(first.run_id, asking()),
            runner.branch(first.run_id, asking(), at=1),
        ]
        for task in asyncio.all_tasks() - before:
            task.cancel()
        ends = await asyncio.gather(*(run.result() for run in runs), return_exceptions=True)
    assert [type(end) for end in ends] == [RunnerClosed] * 3
