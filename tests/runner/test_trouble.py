"""Runners under trouble: threads, closing at odd moments, failing resources, errors that do not count as crashes."""

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import (
    Context,
    Graph,
    Limits,
    Retry,
    RunFailed,
    Runner,
    value,
)
from graphengine.errors import DefinitionError, InputError, RunnerClosed, StoreError
from graphengine.runner import Emitted
from graphengine.stores.memory import InMemoryStore
from tests.kit.dying import Dying
from tests.kit.runs import SOON, alone, over, pass_time, repeated


class State(BaseModel):
    n: int = 0
    text: str = ""
    other: str = ""
    xs: list[int] = []


def one(runnable: Any, name: str = "g", *, writes: Any, **options: Any) -> Graph[State]:
    """Return a graph START → a → END."""
    return alone(State, runnable, writes, name=name, node="a", **options)


async def test_an_event_emitted_by_a_sync_node_is_shown_at_once() -> None:
    """The loop is woken from the node's thread."""
    shown = threading.Event()

    def work(ctx: Context) -> int:
        ctx.emit("half-way")
        assert shown.wait(SOON)  # the node ends only after a watcher saw the event
        return 1

    async with Runner() as runner:
        run = runner.start(one(work, writes="n"))
        async for event in run.events():
            if isinstance(event, Emitted):
                assert (event.path, event.data) == ("a", "half-way")
                shown.set()
        assert (await run.result()).state.n == 1


async def test_the_store_is_closed_even_if_a_resource_raises(database: Path | str) -> None:
    """A resource whose exit fails keeps nothing open."""

    class Bad:
        def __enter__(self) -> "Bad":  # noqa: PYI034 - a plain stand-in
            return self

        def __exit__(self, *_: object) -> None:
            message = "cannot close"
            raise OSError(message)

    async def use(bad: Bad) -> int:
        return int(bad is not None)

    before = threading.enumerate()

    def left() -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each not in before]

    with pytest.raises(OSError, match="cannot close"):
        async with Runner(database) as runner:
            await runner.start(one(use, writes="n", resources={"bad": Bad})).result()
    watching = [each for each in left() if each.name == "graphengine-loop-watch"]
    for each in watching:  # it may serve other Runners of this process, and ends by itself
        each.join(SOON)
    assert not left()


async def test_each_graph_has_its_own_resource_of_a_name() -> None:
    """Factories that are created and deleted are never confused with one another."""

    def graph_with(number: int) -> Graph[State]:
        async def use(db: int) -> int:
            return db

        return one(use, writes="n", resources={"db": lambda: number})

    async with Runner() as runner:
        for number in range(30):
            assert (await runner.start(graph_with(number)).result()).state.n == number


class Full(InMemoryStore):
    """A store that cannot record steps of a kind while it is failing."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.failing = kind, True

    def append(self, batch: Any) -> None:
        """Refuse such steps."""
        if self.failing and any(step.kind == self.kind for step in batch.steps):
            raise StoreError("the disk is full")
        super().append(batch)


async def test_a_step_that_cannot_be_recorded_ends_the_run_with_the_cause() -> None:
    """The error is the store's, whatever the node does with it; nothing is retried."""

    async def work(n: int, ctx: Context) -> int:
        return await ctx.call(len, "abc")

    async def deaf(n: int, ctx: Context) -> int:
        with contextlib.suppress(StoreError):
            await ctx.call(len, "abc")
        return n

    for node in (work, deaf):
        store = Full("recorded")
        graph = one(node, writes="n", retry=Retry(attempts=3))
        async with Runner(store) as runner:
            with pytest.raises(StoreError, match="the disk is full"):
                await runner.start(graph, run_id="r").result()
            assert [step.kind for step in await runner.history("r")] == ["started"]
            store.failing = False
            assert (await runner.resume("r", graph).result()).state.n == (3 if node is work else 0)


async def test_a_store_that_cannot_announce_for_a_moment_leaves_no_run_without_messages() -> None:
    """The inbox is read all the same."""

    class Once(InMemoryStore):
        shared, has_failed = True, False

        async def notifications(self, after: int) -> int:
            if self.has_failed:
                return await super().notifications(after)
            self.has_failed = True
            await self.post("r", "stop", {"why": "asked", "now": True}, "stop")
            raise StoreError("no connection")

    async def work() -> int:
        await asyncio.Event().wait()
        return 1

    async with asyncio.timeout(SOON), Runner(Once()) as runner:
        assert (await runner.start(one(work, writes="n"), run_id="r").result()).status == "stopped"


async def test_a_run_cannot_begin_after_one_that_is_not_over() -> None:
    """A run cannot begin after one that is not over, since only a final state is carried over."""
    leave = asyncio.Event()

    async def wait(n: int) -> int:
        await leave.wait()
        return n

    graph = one(wait, writes="n")
    async with Runner() as runner:
        first = runner.start(graph, run_id="first")
        await first.begun()
        with pytest.raises(InputError, match="not over"):
            await runner.start(graph, after="first").result()
        leave.set()
        await first.result()


async def test_a_node_can_stop_its_own_run() -> None:
    """It does not wait for itself."""

    async def work(n: int, ctx: Context) -> int:
        await runner.stop(ctx.run_id, "enough")
        return n + 1

    graph = repeated(State, work, "n", value("n") < 0, name="g", node="a")
    async with Runner() as runner:
        result = await runner.start(graph).result()
    assert result.ending is not None
    assert (result.status, result.state.n, result.ending.why) == ("stopped", 1, "enough")


async def test_closing_waits_for_every_thread_however_often_it_is_cancelled(database: Path | str) -> None:
    """When close returns, a node that timed out and whose run is closed has ended; a queued one never begins."""
    began: list[int] = []
    ended: list[int] = []
    loop, begun, release = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def slow(n: int) -> int:
        began.append(n)
        loop.call_soon_threadsafe(begun.set)
        release.wait(SOON)
        ended.append(n)
        return n

    async with Runner(database, threads=1) as runner:
        graph = one(slow, writes="n", timeout_seconds=3600)
        runs = [runner.start(graph, {"n": n}) for n in range(3)]
        await begun.wait()
        closing = asyncio.create_task(runner.close())
        await asyncio.gather(*(over(run) for n, run in enumerate(runs) if n != began[0]))
        pass_time(3600)
        assert not (await asyncio.wait([closing], timeout=0.2))[0]
        release.set()
        await closing
    assert began == ended
    assert len(began) == 1
    assert all([(await run.result()).status == "running" for run in runs if await succeeded(run)])


async def succeeded(run: Any) -> bool:
    """Return whether a run ended with a result other than a failure."""
    try:
        await run.result()
    except RunFailed:
        return False
    return True


async def test_a_runner_belongs_to_one_event_loop() -> None:
    """Using it in another one is refused with the repair."""
    runner = Runner()
    await runner.start(one(lambda n: n, writes="n")).result()

    def elsewhere() -> str:
        async def use() -> None:
            runner.start(one(lambda n: n, writes="n"))

        with pytest.raises(RunnerClosed) as caught:
            asyncio.run(use())
        return caught.value.message

    assert "another event loop" in await asyncio.to_thread(elsewhere)
    await runner.close()


def test_a_runner_without_an_event_loop_says_what_to_use() -> None:
    """A Runner in a script without an event loop raises an error that names SyncRunner and run_sync."""
    with pytest.raises(DefinitionError, match=r"no event loop is running(?s:.*)SyncRunner(?s:.*)run_sync"):
        Runner().start(one(lambda n: n, writes="n"))


async def test_a_state_read_from_the_log_is_a_copy(runner: Runner) -> None:
    """Changing it changes nothing that was recorded."""
    await runner.start(one(lambda: [1], writes="xs"), run_id="r").result()
    state = dict(await runner.state_at("r"))
    state["xs"].append(9)
    assert (await runner.state_at("r"))["xs"] == [1]


async def test_a_claimed_run_is_released_if_it_cannot_be_read_then() -> None:
    """Another resume can take it at once."""

    class Failing(InMemoryStore):
        reads = 0
        fails_at = 0

        async def info(self, run_id: str) -> Any:
            self.reads += 1
            if self.reads == self.fails_at:
                message = "locked"
                raise StoreError(message)
            return await super().info(run_id)

    store = Failing()
    graph = one(lambda n: n + 1, writes="n")
    async with Runner(store) as runner:
        await runner.start(graph, limits=Limits(visits=0), run_id="r").result()
        store.reads, store.fails_at = 0, 2  # the first read is before the claim, the second after it
        with pytest.raises(StoreError, match="locked"):
            await runner.resume("r", graph, limits=Limits()).result()
        assert (await store.info("r")).driver is None
        assert (await runner.resume("r", graph, limits=Limits()).result()).status == "finished"


@pytest.mark.parametrize("left", range(2, 9))
async def test_a_crash_before_a_failure_is_handled_repeats_no_attempt(left: int) -> None:
    """A node inside a map's graph fails for good, and the process dies before the item takes its fallback."""

    async def fail() -> int:
        raise RuntimeError("no")

    inner = alone(State, fail, "n", name="inner", node="fail", result="n", retry=Retry(attempts=2, initial_seconds=0))
    graph = alone(State, inner, "xs", each={"x": "xs"}, inputs={"n": "x"}, fallback=7, name="outer", node="each")
    store = Dying()
    store.left = left
    async with Runner(store) as runner:
        with contextlib.suppress(StoreError):
            await runner.start(graph, State(xs=[1]), run_id="run").result()
        store.left, store.died = 10**9, True
        result = await runner.resume("run", graph).result()
        assert result.state.xs == [7]
        steps = await store.steps("run")
    assert [step.kind for step in steps if step.node == "fail"] == ["attempt", "failed"]


async def test_a_run_that_waits_to_be_alone_can_be_read() -> None:
    """After two crashes it is resumed when no other run is driven here; until then queries do not wait for it."""
    goes, began = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        began.set()
        await goes.wait()
        return 1

    graph = alone(State, work, "n", name="g")
    store = Dying()
    async with Runner(store) as runner:
        runner.start(graph, run_id="suspect")
        await began.wait()
    store.died = True
    for _ in range(2):
        async with Runner(store) as runner:
            began.clear()
            runner.resume("suspect", graph)
            await began.wait()
    store.died = False
    async with Runner(store) as runner:
        began.clear()
        other = runner.start(graph, run_id="other")
        await began.wait()
        (suspect,) = [run for run in await runner.recover(graph) if run.id == "suspect"]
        async with asyncio.timeout(SOON):
            assert [step.kind for step in await runner.history("suspect")][-1] == "resumed"
            assert (await runner.info("suspect")).status == "interrupted"
        goes.set()
        assert (await other.result()).status == "finished"
        assert (await suspect.result()).status == "finished"
