"""Workers, and letting go of a run: what is due is gone on with, once, and never ended by a worker's end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Limits, Retry, RunFailed, Runner, ask
from graphengine.errors import DefinitionError, RunnerClosed, StoreMissing
from graphengine.reducers import append
from graphengine.runner import StepRecorded
from graphengine.runner.worker import Ended, Refused, Took, Worker, WorkerEvent
from graphengine.stores.base import RunInfo
from graphengine.stores.memory import MemoryStore
from graphengine.testing import FakeClock
from tests.kit.facts import said

HOUR = 3600.0
WEEK = 168 * HOUR


class Log(BaseModel):
    seen: Annotated[list[str], append] = []
    ok: bool = False


def napping(seconds: float = WEEK, name: str = "napping") -> Graph[Log]:
    """A node that sleeps."""

    async def nap(ctx: Context) -> str:
        await ctx.sleep(seconds)
        return "awake"

    graph = Graph(name, Log)
    graph.add_node("nap", nap, writes="seen")
    graph.add_path(START, "nap", END)
    return graph


def asking() -> Graph[Log]:
    """A question."""
    graph = Graph("asking", Log)
    graph.add_node("approve", ask("Go on?", bool), writes="ok")
    graph.add_path(START, "approve", END)
    return graph


def hearing() -> Graph[Log]:
    """A node that receives a message."""

    async def hear(ctx: Context) -> str:
        return await ctx.receive("news", str)

    graph = Graph("hearing", Log)
    graph.add_node("hear", hear, writes="seen")
    graph.add_path(START, "hear", END)
    return graph


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
    """A Runner on a clock that stands still."""
    store = None if request.param == "memory" else tmp_path / "still.db"
    async with Runner(store, clock=FakeClock(start=1000.0, jumps=False)) as made:
        yield made


@contextmanager
def passing(runner: Runner) -> Iterator[None]:
    """Let the time of such a runner pass, an hour at each turn of the event loop."""
    clock = runner.clock
    assert isinstance(clock, FakeClock)

    async def move() -> None:
        while True:
            clock.move(HOUR)
            await asyncio.sleep(0)

    moving = asyncio.ensure_future(move())
    try:
        yield
    finally:
        moving.cancel()


async def turns(count: int = 30) -> None:
    """Let everything else have its turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Let everything else have its turn until this holds."""
    while not condition():
        await turns(1)


async def work(runner: Runner, *graphs: Graph[Any], enough: int = 1, **options: Any) -> list[WorkerEvent]:
    """Let a worker work until so many runs came to something; what it told."""
    told: list[WorkerEvent] = []

    def tell(event: WorkerEvent) -> None:
        told.append(event)
        if sum(not isinstance(each, Took) for each in told) >= enough:
            worker.stop()

    worker = Worker(runner, {graph.name: graph for graph in graphs}, tell=tell, **{"poll_seconds": HOUR, **options})
    await asyncio.wait_for(worker.run(), 20)
    return told


def ends(told: list[WorkerEvent]) -> list[tuple[str, str]]:
    """Which runs came to what."""
    return [(each.info.id, each.result.status) for each in told if isinstance(each, Ended)]


async def left_asleep(runner: Runner, graph: Graph[Log], run_id: str) -> None:
    """A run that sleeps and that nobody waits for."""
    run = runner.start(graph, run_id=run_id)
    await run.begun()
    while (await runner.store.info(run_id)).status != "waiting":
        await turns(1)
    await runner.leave(run_id)
    assert (await run.result()).status == "waiting"


async def orphan(runner: Runner, graph: Graph[Log], run_id: str) -> None:
    """A run that was let go before its first node."""
    run = runner.start(graph, run_id=run_id)
    await runner.leave(run_id)
    assert (await run.result()).status == "running"


async def test_a_sleeper_is_woken_when_its_time_has_come(still: Runner) -> None:
    """A run that nobody drives and that sleeps for a week is finished by a worker a week later."""
    await left_asleep(still, napping(), "r")
    with passing(still):
        began = still.clock.now()
        told = await work(still, napping())
        passed = still.clock.now() - began
    assert [type(each) for each in told] == [Took, Ended]
    assert isinstance(told[0], Took)
    assert told[0].why == "due"
    assert ends(told) == [("r", "finished")]
    assert passed >= WEEK


async def test_what_was_answered_or_sent_something_goes_on(runner: Runner) -> None:
    """A worker takes up a run with an answer and one with a message; one that still waits is left alone."""
    for graph, run_id in ((asking(), "answered"), (asking(), "asks"), (hearing(), "told")):
        assert (await runner.start(graph, run_id=run_id).result()).status == "waiting"
    await runner.answer("answered", value=True)
    await runner.send("told", "news", "hello")
    told = await work(runner, asking(), hearing(), enough=2)
    assert {(each.info.id, each.why) for each in told if isinstance(each, Took)} == {
        ("answered", "sent"),
        ("told", "sent"),
    }
    assert sorted(ends(told)) == [("answered", "finished"), ("told", "finished")]
    assert (await runner.state_at("told"))["seen"] == ["hello"]
    assert (await runner.store.info("asks")).status == "waiting"


async def test_an_orphan_is_gone_on_with(runner: Runner) -> None:
    """A run that is running though nobody drives it is taken up, and is no crash where it was let go."""
    steps = Steps()
    steps.gate.set()
    await orphan(runner, steps.graph, "r")
    told = await work(runner, steps.graph)
    assert isinstance(told[0], Took)
    assert (told[0].why, ends(told)) == ("orphan", [("r", "finished")])
    assert steps.ran == ["first", "second"]
    assert all("crashed" not in said(step) for step in await runner.history("r"))


async def test_runs_of_other_graphs_are_left_alone_and_hide_no_others(runner: Runner) -> None:
    """Though they are due for longer, and there is room for one run alone."""
    steps, other = Steps(), Steps("other")
    steps.gate.set()
    for n in range(3):
        await orphan(runner, other.graph, f"other{n}")
    await orphan(runner, steps.graph, "r")
    assert ends(await work(runner, steps.graph, concurrency=1)) == [("r", "finished")]
    assert other.ran == []
    assert (await runner.store.info("other0")).status == "running"


async def test_a_run_that_fails_is_left_failed(runner: Runner) -> None:
    """Its error is told, it is not tried again, and the others go on."""

    async def bad() -> str:
        message = "no luck"
        raise ValueError(message)

    graph = Graph("bad", Log)
    graph.add_node("bad", bad, writes="seen")
    graph.add_path(START, "bad", END)
    steps = Steps()
    steps.gate.set()
    await orphan(runner, graph, "b")
    await orphan(runner, steps.graph, "r")
    told = await work(runner, graph, steps.graph, enough=2, concurrency=1)
    assert ends(told) == [("b", "failed"), ("r", "finished")]
    failed = next(each.result for each in told if isinstance(each, Ended))
    assert failed.error is not None
    assert failed.error.message == "no luck"


async def test_a_run_that_cannot_be_gone_on_with_hides_no_others(timed: Runner, clock: FakeClock) -> None:
    """A graph that no longer fits is told, and tried again a minute later, not sooner."""
    steps, changed = Steps(), Steps("changed")
    steps.gate.set()
    await orphan(timed, changed.graph, "c")
    await orphan(timed, steps.graph, "r")
    began = clock.now()
    told = await work(timed, napping(name="changed"), steps.graph, enough=3, concurrency=1, poll_seconds=1.0)
    assert [type(each).__name__ for each in told] == ["Refused", "Took", "Ended", "Refused"]
    assert isinstance(told[0], Refused)
    assert "was changed" in str(told[0].error)
    assert 60 <= clock.now() - began < 65
    assert (await timed.store.info("c")).status == "running"


async def test_a_worker_that_stops_lets_go_of_what_it_drives(runner: Runner) -> None:
    """The node in flight is finished and recorded, no other begins, and the next worker goes on behind it."""
    steps = Steps()
    await orphan(runner, steps.graph, "r")
    told: list[WorkerEvent] = []
    worker = Worker(runner, {"steps": steps.graph}, tell=told.append)
    working = asyncio.create_task(worker.run())
    await steps.begun.wait()
    worker.stop()
    await turns()
    assert not working.done()
    steps.gate.set()
    await asyncio.wait_for(working, 10)
    assert ends(told) == [("r", "running")]
    info = await runner.store.info("r")
    assert (info.status, info.driver) == ("running", None)
    assert (await runner.state_at("r"))["seen"] == ["first"]
    assert ends(await work(runner, steps.graph)) == [("r", "finished")]
    assert steps.ran == ["first", "second"]


async def test_a_worker_that_is_cancelled_lets_go_as_well(runner: Runner) -> None:
    """Cancelling is stopping: no run is ended by it."""
    steps = Steps()
    await orphan(runner, steps.graph, "r")
    working = asyncio.create_task(Worker(runner, {"steps": steps.graph}).run())
    await steps.begun.wait()
    working.cancel()
    await turns()
    steps.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert (await runner.store.info("r")).status == "running"
    assert steps.ran == ["first"]


async def test_a_run_that_sleeps_again_takes_no_room(still: Runner) -> None:
    """With room for one run, one that goes on to wait for a later time makes place for the next."""

    async def twice(ctx: Context) -> str:
        await ctx.sleep(HOUR)
        await ctx.sleep_until(1e15)
        return "awake"

    graph = Graph("twice", Log)
    graph.add_node("twice", twice, writes="seen")
    graph.add_path(START, "twice", END)
    await left_asleep(still, graph, "first")
    await left_asleep(still, napping(2 * HOUR), "second")
    with passing(still):
        told = await work(still, graph, napping(2 * HOUR), enough=2, concurrency=1)
    assert ends(told) == [("first", "waiting"), ("second", "finished")], [e for e in told if isinstance(e, Refused)]


async def test_two_workers_share_a_database(tmp_path: Path) -> None:
    """Each of many runs is driven by one of them, once."""
    steps = Steps()
    steps.gate.set()
    async with Runner(tmp_path / "runs.db") as one, Runner(tmp_path / "runs.db") as two:
        for n in range(12):
            await orphan(one, steps.graph, f"r{n}")
        told: list[WorkerEvent] = []

        def tell(event: WorkerEvent) -> None:
            told.append(event)
            if len(ends(told)) == 12:
                for worker in workers:
                    worker.stop()

        workers = [Worker(each, {"steps": steps.graph}, poll_seconds=0.01, tell=tell) for each in (one, two)]
        await asyncio.wait_for(asyncio.gather(*(worker.run() for worker in workers)), 20)
    assert sorted(ends(told)) == sorted((f"r{n}", "finished") for n in range(12))
    assert steps.ran.count("first") == 12


async def test_at_most_so_many_runs_are_driven_at_once(runner: Runner) -> None:
    """The others wait for room."""
    steps = Steps()
    for n in range(3):
        await orphan(runner, steps.graph, f"r{n}")
    told: list[WorkerEvent] = []
    worker = Worker(runner, {"steps": steps.graph}, concurrency=2, tell=told.append)
    working = asyncio.create_task(worker.run())
    await until(lambda: len(steps.ran) >= 2)
    await turns()
    assert steps.ran == ["first", "first"]
    steps.gate.set()
    await until(lambda: len(ends(told)) >= 3)
    worker.stop()
    await working


async def test_a_store_that_fails_for_a_while_is_looked_at_again(clock: FakeClock) -> None:
    """Trouble with the first look ends the worker; later trouble is told, and the worker goes on."""

    class Failing(MemoryStore):
        looks = 0

        async def due(self, *given: Any, **options: Any) -> Any:
            self.looks += 1
            if self.looks in failing:
                raise StoreMissing("gone", where="here")
            return await super().due(*given, **options)

    steps = Steps()
    steps.gate.set()
    failing = {1}
    async with Runner(Failing(), clock=clock) as runner:
        with pytest.raises(StoreMissing):
            await Worker(runner, {"steps": steps.graph}).run()
        failing = {3}
        told: list[WorkerEvent] = []

        def tell(event: WorkerEvent) -> None:
            told.append(event)
            if len(told) == 1:
                adding.append(asyncio.ensure_future(orphan(runner, steps.graph, "r")))
            if ends(told):
                worker.stop()

        adding: list[asyncio.Future[None]] = []
        worker = Worker(runner, {"steps": steps.graph}, tell=tell)
        await asyncio.wait_for(worker.run(), 10)
    assert [type(each) for each in told] == [Refused, Took, Ended]


async def test_a_worker_of_a_closed_runner_ends() -> None:
    """There is nothing left that it could do."""
    steps = Steps()
    async with Runner() as runner:
        await orphan(runner, steps.graph, "r")
        working = asyncio.create_task(Worker(runner, {"steps": steps.graph}).run())
        await steps.begun.wait()
        await runner.store.info("r")
    with pytest.raises(RunnerClosed):
        await asyncio.wait_for(Worker(runner, {"steps": steps.graph}).run(), 5)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"poll_seconds": 0.0}, {"poll_seconds": -1.0}])
async def test_numbers_that_make_no_sense_are_refused(runner: Runner, options: dict[str, Any]) -> None:
    """When the worker is made, with the repair."""
    with pytest.raises(DefinitionError, match=r"above 0|or more"):
        Worker(runner, {}, **options)


# -- Runner.leave


async def test_a_run_that_waits_for_its_next_attempt_is_left_at_once() -> None:
    """Nobody waits for the time of a retry before letting go; it is due to whoever goes on."""

    async def bad() -> str:
        raise ValueError

    graph = Graph("bad", Log)
    graph.add_node("bad", bad, writes="seen", retry=Retry(attempts=2, initial_seconds=WEEK, max_seconds=WEEK, jitter=0))
    graph.add_path(START, "bad", END)
    async with Runner(clock=FakeClock(jumps=False)) as runner:
        run = runner.start(graph, run_id="r")
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.kind == "attempt":
                break
        await runner.leave("r")
        assert (await run.result()).status == "running"
        assert [step.kind for step in await runner.history("r")] == ["started", "attempt"]


@pytest.mark.parametrize("other", ["stop first", "stop last"])
async def test_a_stop_is_stronger_than_letting_go(runner: Runner, other: str) -> None:
    """A run that was asked to stop as well is stopped."""
    steps = Steps()
    run = runner.start(steps.graph, run_id="r")
    await steps.begun.wait()
    calls: list[Callable[[str], Any]] = [runner.leave, runner.stop]
    asked = [asyncio.ensure_future(call("r")) for call in (calls if other == "stop last" else reversed(calls))]
    await asyncio.sleep(0)
    steps.gate.set()
    await asyncio.gather(*asked)
    assert (await run.result()).status == "stopped"


async def test_a_node_may_let_go_of_its_own_run(runner: Runner) -> None:
    """It finishes, and what comes behind it is left to others."""

    async def leave(ctx: Context) -> str:
        await runner.leave(ctx.run_id)
        return "left"

    graph = Graph("leaving", Log, limits=Limits(steps=5))
    graph.add_node("leave", leave, writes="seen")
    graph.add_node("more", lambda: "more", writes="seen", thread=False)
    graph.add_path(START, "leave", "more", END)
    result = await runner.start(graph, run_id="r").result()
    assert (result.status, result.state.seen) == ("running", ["left"])
    assert (await runner.resume(graph, "r").result()).state.seen == ["left", "more"]


async def test_items_in_flight_are_finished_and_the_others_left(runner: Runner) -> None:
    """A map is let go between its items, none of which is run twice."""
    ran: list[int] = []
    gate = asyncio.Event()

    class Many(BaseModel):
        numbers: list[int] = []
        found: list[int] = []

    async def one(number: int) -> int:
        ran.append(number)
        await gate.wait()
        return number

    graph = Graph("many", Many)
    graph.add_node("one", one, each={"number": "numbers"}, concurrency=2, writes="found")
    graph.add_path(START, "one", END)
    run = runner.start(graph, Many(numbers=list(range(5))), run_id="r")
    await until(lambda: len(ran) >= 2)
    leaving = asyncio.ensure_future(runner.leave("r"))
    await asyncio.sleep(0)
    gate.set()
    await leaving
    assert ((await run.result()).status, ran) == ("running", [0, 1])
    assert (await runner.resume(graph, "r").result()).state.found == [0, 1, 2, 3, 4]
    assert ran == [0, 1, 2, 3, 4]


async def test_a_run_that_failed_elsewhere_meanwhile_is_not_tried_again(
    still: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker was quicker with it, after this one had found it due."""
    tries: list[int] = []

    async def breaks() -> str:
        tries.append(1)
        raise ValueError

    broken = Graph("broken", Log)
    broken.add_node("breaks", breaks, writes="seen")
    broken.add_path(START, "breaks", END)
    await orphan(still, broken, "r")
    await orphan(still, Steps("other").graph, "s")
    found = await still.due()
    with pytest.raises(RunFailed):
        await still.resume(broken, "r").result()
    looks = [found]

    async def due(graphs: object = None, *, limit: int = 0) -> Sequence[RunInfo]:
        return looks.pop() if looks else ()

    monkeypatch.setattr(still, "due", due)
    other = Steps("other")
    other.gate.set()
    assert ends(await work(still, broken, other.graph)) == [("s", "finished")]
    assert tries == [1]


async def test_a_run_that_is_not_driven_here_is_none_to_leave(runner: Runner) -> None:
    """Nothing happens, also where there is no such run."""
    await runner.leave("nobody")
