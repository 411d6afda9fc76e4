"""Workers that stop, are late, fail or are refused; `sessions` has what they take."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, RunFailed, Runner
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import DefinitionError, LeaseLost, RunnerClosed, StoreMissing
from graphengine.kernel.fake_clock import FakeClock
from graphengine.reducers import append
from graphengine.runner.runner import lives_of
from graphengine.stores.base import ClaimedRun, ClaimQuery, InboxMessage
from graphengine.stores.memory import InMemoryStore
from graphengine.worker.worker import Refused, RunOutcome, Took, Worker, WorkerEvent
from tests.databases.support import change
from tests.kit.runs import SOON, alone

HOUR = 3600.0


class Log(BaseModel):
    seen: Annotated[list[str], append] = []


def hearing(name: str = "hearing") -> Graph[Log]:
    """Return a graph of a node that receives a message."""

    async def hear(ctx: Context) -> str:
        return await ctx.receive("news", str)

    return alone(Log, hear, "seen", name=name, node="hear")


class Steps:
    """A graph of two nodes, the first of which waits for a gate."""

    def __init__(self, name: str = "steps") -> None:
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.ran: list[str] = []

        async def first() -> str:
            self.ran.append("first")
            self.begun.set()
            await self.gate.wait()
            return "first"

        async def second() -> str:
            self.ran.append("second")
            return "second"

        self.graph = Graph(name, Log)
        self.graph.add_node("first", first, writes="seen")
        self.graph.add_node("second", second, writes="seen")
        self.graph.add_path(START, "first", "second", END)


@pytest.fixture(params=["memory", "sqlite"])
async def still(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Runner]:
    """Yield a Runner on a clock that does not move."""
    store = None if request.param == "memory" else tmp_path / "still.db"
    async with Runner(store, clock=FakeClock(start=1000.0, jumps=False)) as made:
        yield made


async def turns(count: int = 30) -> None:
    """Give other tasks some turns of the event loop."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Give other tasks turns of the event loop until this holds."""
    while not condition():
        await turns(1)


async def work(runner: Runner, *graphs: Graph[Any], enough: int = 1, **options: Any) -> list[WorkerEvent]:
    """Let a worker work until this many runs ended or were refused, and return its events."""
    events: list[WorkerEvent] = []

    def tell(event: WorkerEvent) -> None:
        events.append(event)
        if sum(not isinstance(each, Took) for each in events) >= enough:
            worker.stop()

    worker = Worker(runner, *graphs, on_event=tell, **{"poll_seconds": HOUR, **options})
    await asyncio.wait_for(worker.run(), SOON)
    return events


def ends(events: list[WorkerEvent]) -> list[tuple[str, str]]:
    """Return the ids and results of the ended runs."""
    return [(each.info.id, each.result.status) for each in events if isinstance(each, RunOutcome)]


async def orphan(runner: Runner, graph: Graph[Log], run_id: str) -> None:
    """Leave a run that was released before its first node."""
    run = runner.start(graph, run_id=run_id)
    await runner.release(run_id)
    assert (await run.result()).status == "running"


async def test_one_look_takes_all_that_there_is_room_for(still: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not repeated before a run ends, or something new is due."""
    steps, looks, store_take = Steps(), list[int](), still.store.take

    async def take(pick: ClaimQuery) -> Sequence[ClaimedRun]:
        found = await store_take(pick)
        looks.append(len(found))
        return found

    monkeypatch.setattr(still.store, "take", take)
    for run_id in "ab":
        await still.start(steps.graph, run_id=run_id, queue="default").result()
    working = asyncio.create_task(work(still, steps.graph, enough=2))
    await until(lambda: len(steps.ran) == 2)
    assert looks == [2]
    steps.gate.set()
    assert len(ends(await working)) == looks[0]


async def test_a_message_that_arrives_while_a_run_is_released_continues_it() -> None:
    """The run is taken again, since the limits of its queue may have given its place to another one."""

    class Late(InMemoryStore):
        async def inbox(self, run_ids: Sequence[str]) -> Sequence[InboxMessage]:
            await self._late()
            return await super().inbox(run_ids)

        async def take(self, pick: ClaimQuery) -> Sequence[ClaimedRun]:
            await self._late()
            return await super().take(pick)

        async def _late(self) -> None:
            if (await self.info("r")).status == "waiting":
                await self.post("r", "message", {"topic": "news", "payload": "late"}, "k")

    async with Runner(Late()) as runner:
        await runner.start(hearing(), run_id="r", queue="default").result()
        events = await work(runner, hearing(), enough=2)
        assert ends(events) == [("r", "waiting"), ("r", "finished")]
        assert (await runner.state_at("r"))["seen"] == ["late"]


async def test_a_run_that_cannot_be_resumed_does_not_block_others(
    timed: Runner, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that no longer fits is reported, and retried a minute later. It keeps no place in its queue."""
    steps, changed = Steps(), Steps("changed")
    steps.gate.set()
    refused: list[set[str]] = []
    store_take = timed.store.take

    def take(pick: ClaimQuery) -> Awaitable[Sequence[ClaimedRun]]:
        refused.append(set(pick.refused))
        return store_take(pick)

    monkeypatch.setattr(timed.store, "take", take)
    await orphan(timed, changed.graph, "c")
    await orphan(timed, steps.graph, "r")
    began = clock.now()
    events = await work(timed, hearing("changed"), steps.graph, enough=3, concurrency=1, poll_seconds=1.0)
    assert [type(each).__name__ for each in events] == ["Refused", "Took", "RunOutcome", "Refused"]
    assert isinstance(events[0], Refused)
    assert "was changed" in str(events[0].error)
    assert 60 <= clock.now() - began < 65
    assert (await timed.store.info("c")).status == "running"
    assert refused[0] == set()
    assert {"c"} in refused


async def test_a_run_that_another_worker_took_over_is_left_to_it_only_while_it_lives(
    timed: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was suspended for too long reports it, and takes the run again as soon as it is free."""
    steps = Steps()
    steps.gate.set()
    await orphan(timed, steps.graph, "r")
    lost = [LeaseLost("the run is no longer driven from here")]
    lives = lives_of(timed)
    begin = lives.begin

    def begin_late(*given: Any, **how: bool) -> Any:
        if lost:
            raise lost.pop()
        return begin(*given, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(lives, "begin", begin_late)
    began = lives_of(timed).shared.clock.now()
    events = await work(timed, steps.graph, enough=2, poll_seconds=1.0)
    assert [type(each).__name__ for each in events] == ["Refused", "Took", "RunOutcome"]
    assert lives_of(timed).shared.clock.now() - began < 5


@pytest.mark.parametrize("how", ["another process has the run", "its asyncio task was cancelled"])
async def test_a_worker_lives_on_when_it_loses_a_run_in_flight(tmp_path: Path, how: str) -> None:
    """1. Its process is suspended past its lease. 2. Another takes the run. 3. It continues, and asks what it lost."""
    steps, store = Steps(), SQLiteStore(tmp_path / "runs.db")
    async with Runner(store, clock=FakeClock()) as runner:
        await runner.start(steps.graph, queue="nights", run_id="r").result()
        working = asyncio.create_task(work(runner, steps.graph, enough=2, poll_seconds=1.0))
        await steps.begun.wait()
        if how == "another process has the run":
            change(store.path, "UPDATE runs SET fence = fence + 1, driver = 'another'")
            await store._on_lease_doubt("renewed")  # noqa: SLF001 - as its lease's thread says
        else:
            lives_of(runner).shared.driven["r"].task.cancel()
        steps.gate.set()
        events = await working
    assert [type(each).__name__ for each in events] == ["Took", "Refused", "Took", "RunOutcome"]
    assert isinstance(events[1], Refused)
    assert isinstance(events[1].error, LeaseLost)
    assert ends(events) == [("r", "finished")]


async def test_a_run_that_is_refused_at_once_is_released(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """If its life cannot begin, another process can claim the run while this worker continues."""
    steps = Steps()
    await runner.start(steps.graph, queue="nights", run_id="r").result()

    def refuse(*_: object, **__: bool) -> None:
        text = "its executor is gone"
        raise DefinitionError(text)

    monkeypatch.setattr(lives_of(runner), "begin", refuse)
    claimed: list[asyncio.Task[int]] = []

    def tell(event: WorkerEvent) -> None:
        if isinstance(event, Refused):
            claimed.append(asyncio.ensure_future(runner.store.claim("r")))

    worker = Worker(runner, steps.graph, poll_seconds=HOUR, on_event=tell)
    working = asyncio.create_task(worker.run())
    await until(lambda: bool(claimed))
    await runner.store.release("r", await claimed[0])
    worker.stop()
    await working


async def test_a_worker_that_stops_releases_its_runs(runner: Runner) -> None:
    """The node in flight is finished and recorded, no other begins, and the next worker continues after it."""
    steps = Steps()
    await orphan(runner, steps.graph, "r")
    events: list[WorkerEvent] = []
    worker = Worker(runner, steps.graph, on_event=events.append)
    working = asyncio.create_task(worker.run())
    await steps.begun.wait()
    worker.stop()
    while not runner._shared.driven["r"].claim.released:  # noqa: ASYNC110, SLF001 - a poll of its store ends first
        await asyncio.sleep(0.001)
    assert not working.done()
    steps.gate.set()
    await asyncio.wait_for(working, SOON)
    assert ends(events) == [("r", "running")]
    info = await runner.store.info("r")
    assert (info.status, info.driver) == ("running", None)
    assert (await runner.state_at("r"))["seen"] == ["first"]
    assert ends(await work(runner, steps.graph)) == [("r", "finished")]
    assert steps.ran == ["first", "second"]


async def test_a_cancelled_worker_releases_its_runs_too(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelling is stopping: it ends no run."""
    steps = Steps()
    released: list[str] = []
    release = runner.release

    async def noted(run_id: str) -> None:
        released.append(run_id)
        await release(run_id)

    await orphan(runner, steps.graph, "r")
    monkeypatch.setattr(runner, "release", noted)
    working = asyncio.create_task(Worker(runner, steps.graph).run())
    await steps.begun.wait()
    working.cancel()
    await until(lambda: released == ["r"])
    steps.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert (await runner.store.info("r")).status == "running"
    assert steps.ran == ["first"]


async def test_at_most_concurrency_runs_are_driven_at_once(runner: Runner) -> None:
    """The others wait for a free slot."""
    steps = Steps()
    for n in range(3):
        await orphan(runner, steps.graph, f"r{n}")
    events: list[WorkerEvent] = []
    worker = Worker(runner, steps.graph, concurrency=2, on_event=events.append)
    working = asyncio.create_task(worker.run())
    await until(lambda: len(steps.ran) >= 2)
    await turns()
    assert steps.ran == ["first", "first"]
    steps.gate.set()
    await until(lambda: len(ends(events)) >= 3)
    worker.stop()
    await working


async def test_a_store_that_fails_for_a_while_is_polled_again(clock: FakeClock) -> None:
    """An error of the first poll ends the worker; later errors are reported, and the worker continues."""

    class Failing(InMemoryStore):
        polls = 0

        async def take(self, pick: ClaimQuery) -> Sequence[ClaimedRun]:
            self.polls += 1
            if self.polls in failing:
                raise StoreMissing("gone", where="here")
            return await super().take(pick)

    steps = Steps()
    steps.gate.set()
    failing = {1}
    async with Runner(Failing(), clock=clock) as runner:
        with pytest.raises(StoreMissing):
            await Worker(runner, steps.graph).run()
        failing = {3}
        events: list[WorkerEvent] = []

        def tell(event: WorkerEvent) -> None:
            events.append(event)
            if len(events) == 1:
                adding.append(asyncio.ensure_future(orphan(runner, steps.graph, "r")))
            if ends(events):
                worker.stop()

        adding: list[asyncio.Future[None]] = []
        worker = Worker(runner, steps.graph, on_event=tell)
        await asyncio.wait_for(worker.run(), SOON)
    assert [type(each) for each in events] == [Refused, Took, RunOutcome]


async def test_a_worker_of_a_closed_runner_ends() -> None:
    """It has nothing left to do."""
    steps = Steps()
    async with Runner() as runner:
        await orphan(runner, steps.graph, "r")
        working = asyncio.create_task(Worker(runner, steps.graph).run())
        await steps.begun.wait()
        await runner.store.info("r")
    with pytest.raises(RunnerClosed):
        await asyncio.wait_for(Worker(runner, steps.graph).run(), SOON)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def test_a_run_that_failed_elsewhere_meanwhile_is_not_retried(
    still: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker was faster, after this one had found the run due."""
    tries: list[int] = []

    async def breaks() -> str:
        tries.append(1)
        raise ValueError

    broken = alone(Log, breaks, "seen", name="broken", node="breaks")
    await orphan(still, broken, "r")
    await orphan(still, Steps("other").graph, "s")
    found = await still.store.due(lives_of(still).shared.clock.now())
    with pytest.raises(RunFailed):
        await still.resume("r", broken).result()
    polls = [found]

    async def take(pick: ClaimQuery) -> Sequence[ClaimedRun]:
        return [ClaimedRun(info, None) for info in polls.pop()] if polls else ()

    monkeypatch.setattr(still.store, "take", take)
    other = Steps("other")
    other.gate.set()
    assert ends(await work(still, broken, other.graph)) == [("s", "finished")]
    assert tries == [1]
