"""A run that was in flight at two crashes is driven alone, also if another process claims it in between and dies."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from graphengine import Graph, RunFailed, Runner
from graphengine.compile.compiler import compiled
from graphengine.engine.events import RunResumed
from graphengine.engine.session import Session
from graphengine.engine.steps import Resumed
from graphengine.errors import GraphChanged
from graphengine.history.load import load_snapshot
from graphengine.stores.base import Append
from graphengine.stores.memory import InMemoryStore
from graphengine.worker.worker import RunOutcome, Worker, WorkerEvent
from tests.crash.deadly import State, graph_of
from tests.kit import forks
from tests.kit.facts import said
from tests.kit.runs import SOON, alone


class Here:
    """The runs of this process: the deadly one, and a harmless one that stays in flight until it may end.

    Attributes:
        graphs: Their graphs, by name; each run has the name of its graph.
        in_flight: Set when the harmless one is in flight.
        may_end: Set when it may end.
        driven: What is driven here; set by the test.
        meanwhile: What happens while the node of the deadly one is in flight.
        beside: What was driven beside the deadly run, each time its node began.
    """

    def __init__(self) -> None:
        self.in_flight, self.may_end = asyncio.Event(), asyncio.Event()
        self.beside: list[set[str]] = []
        self.driven: Callable[[], set[str]] = set
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.graphs = {"bad": graph_of("bad", self._bad), "good": graph_of("good", self._good)}

    async def _bad(self) -> str:
        self.beside.append(self.driven() - {"bad"})
        if self.meanwhile is not None:
            await self.meanwhile()
        self.may_end.set()
        return "bad"

    async def _good(self) -> str:
        self.in_flight.set()
        await self.may_end.wait()
        return "good"


async def dies(database: str, how: str) -> None:
    """Let a process start or recover the deadly run, and kill it while the node is in flight."""
    process = forks.start("tests.crash.deadly", database, how, loads=["graphengine.databases.postgres"])
    try:
        assert await asyncio.to_thread(process.stdout.readline) == "in flight\n"
    finally:
        process.kill()
        process.communicate()
    async with Runner(database) as runner:
        while (await runner.store.info("bad")).driver is not None:  # noqa: ASYNC110 - the server notices its end
            await asyncio.sleep(0.01)


async def leave(runner: Runner, graph: Graph[State], run_id: str) -> None:
    """Start a run, and release it before its first node."""
    runner.start(graph, run_id=run_id)
    await runner.release(run_id)


def once_before(runner: Runner, method: str, happens: Callable[[], Awaitable[None]]) -> None:
    """Let something happen before a store's method is called for the deadly run for the first time."""
    original, due = getattr(runner.store, method), [happens]

    async def call(*given: Any) -> Any:
        if given[0] == "bad" and due:
            await due.pop()()
        return await original(*given)

    setattr(runner.store, method, call)


async def crashes_of(runner: Runner, run_id: str) -> list[bool]:
    """Return of each resume of a run whether it counted a crash."""
    return ["crashed" in said(step) for step in await runner.history(run_id) if step.kind == "resumed"]


@pytest.mark.parametrize("at", ["info", "claim"])
async def test_a_worker_that_looked_before_the_second_crash_drives_it_alone(database: str, at: str) -> None:
    """It sees one crash; another worker claims the run and dies; then it claims it, and drives it after the others.

    It does not give the run back before the second crash is recorded: whoever took it then would see only one.
    """
    here, ends = Here(), list[tuple[str, str]]()
    released: list[list[bool]] = []

    async def in_between() -> None:
        await here.in_flight.wait()
        await dies(database, "recover")

    def note(event: WorkerEvent) -> None:
        if isinstance(event, RunOutcome):
            ends.append((event.info.id, event.result.status))
            here.may_end.set()
            if len(ends) == 3:
                worker.stop()

    async with asyncio.timeout(SOON), Runner(database) as runner:
        await leave(runner, here.graphs["good"], "good")
        await dies(database, "start")
        worker = Worker(runner, *here.graphs.values(), poll_seconds=0.01, on_event=note)
        here.driven = lambda: set(worker.state.driven)
        once_before(runner, at, in_between)

        async def note_crashes() -> None:
            released.append(await crashes_of(runner, "bad"))

        once_before(runner, "release", note_crashes)
        await worker.run()
        assert released == [[True, True]]
        assert ends == [("bad", "running"), ("good", "finished"), ("bad", "finished")]
        assert here.beside == [set()]
        assert await crashes_of(runner, "bad") == [True, True, False]
        assert await crashes_of(runner, "good") == [False]


@pytest.mark.parametrize("at", ["info", "claim"])
async def test_recover_that_looked_before_the_second_crash_drives_it_alone(database: str, at: str) -> None:
    """The run is driven after the others, as if it had crashed twice from the start; its handle waits for that."""
    here = Here()

    async def in_between() -> None:
        await here.in_flight.wait()
        await dies(database, "recover")

    async with asyncio.timeout(SOON), Runner(database) as runner:
        await leave(runner, here.graphs["good"], "good")
        await dies(database, "start")
        here.driven = lambda: set(runner._shared.driven)  # noqa: SLF001 - what a crash would cut
        once_before(runner, at, in_between)
        runs = {run.id: run for run in await runner.recover(*here.graphs.values())}
        assert await crashes_of(runner, "bad") == [True, True]
        here.may_end.set()
        assert [(await runs[name].result()).status for name in ("bad", "good")] == ["finished"] * 2
        assert here.beside == [set()]
        assert await crashes_of(runner, "bad") == [True, True, False]


async def test_the_crash_that_is_found_while_it_gives_way_counts(database: str) -> None:
    """A crash that another process left is recorded before the run is released: the third is the last."""
    here = Here()

    async def in_between() -> None:
        await here.in_flight.wait()
        await dies(database, "recover")

    def note(event: WorkerEvent) -> None:
        if isinstance(event, RunOutcome) and event.info.id == "bad":
            worker.stop()
            here.may_end.set()

    async with asyncio.timeout(SOON), Runner(database) as runner:
        await leave(runner, here.graphs["good"], "good")
        await dies(database, "start")
        worker = Worker(runner, *here.graphs.values(), poll_seconds=0.01, on_event=note)
        once_before(runner, "info", in_between)
        await worker.run()
        assert here.beside == []
        await dies(database, "recover")
        (run,) = await runner.recover(here.graphs["bad"])
        with pytest.raises(RunFailed):
            await run.result()
        assert said((await runner.history("bad"))[-1])["error"]["kind"] == "crash_loop"
        assert here.beside == []


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def runner(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Runner]:
    """A Runner over each store."""
    places: dict[str, Callable[[], Any]] = {
        "memory": InMemoryStore,
        "sqlite": lambda: tmp_path / "runs.db",
        "postgres": lambda: request.getfixturevalue("postgres"),
    }
    async with Runner(places[request.param]()) as made:
        yield made


async def crash(runner: Runner, graph: Graph[State], run_id: str) -> None:
    """Record that a run crashed, and release it."""
    store, plan = runner.store, compiled(graph)
    fence = await store.claim(run_id)
    snapshot = await load_snapshot(store, run_id, None)
    facts = Resumed(crashed=True, limits=snapshot.limits, fingerprint=plan.fingerprint)
    event = RunResumed(snapshot.now, facts)
    done = Session(plan, snapshot).commit([event], lambda steps: store.append(Append(run_id, fence, steps, "running")))
    if done.durable is not None:
        await done.durable
    await store.release(run_id, fence)


async def test_a_released_run_with_two_crashes_is_driven_alone(runner: Runner) -> None:
    """A worker takes it together with others, since no dead process holds it, and still drives it after them."""
    here, ends = Here(), list[tuple[str, str]]()

    def note(event: WorkerEvent) -> None:
        if isinstance(event, RunOutcome):
            ends.append((event.info.id, event.result.status))
            here.may_end.set()
            if len(ends) == 3:
                worker.stop()

    for name, graph in reversed(here.graphs.items()):
        await leave(runner, graph, name)
    for _ in range(2):
        await crash(runner, here.graphs["bad"], "bad")
    worker = Worker(runner, *here.graphs.values(), poll_seconds=0.01, on_event=note)
    here.driven = lambda: set(worker.state.driven)
    await asyncio.wait_for(worker.run(), SOON)
    assert ends == [("bad", "running"), ("good", "finished"), ("bad", "finished")]
    assert here.beside == [set()]


async def test_no_run_begins_beside_one_with_two_crashes(runner: Runner) -> None:
    """A worker that takes it when nothing else is due lets it be alone too: others wait until it has ended."""
    here, ends = Here(), list[str]()
    await leave(runner, here.graphs["bad"], "bad")
    for _ in range(2):
        await crash(runner, here.graphs["bad"], "bad")

    async def polled() -> None:
        """Wait until the worker has looked for more to do."""
        await leave(runner, here.graphs["good"], "good")
        before = worker.state.polled_at
        while worker.state.polled_at == before:  # noqa: ASYNC110 - the worker says nothing when it takes nothing
            await asyncio.sleep(0)
        here.beside.append(here.driven() - {"bad"})

    def note(event: WorkerEvent) -> None:
        if isinstance(event, RunOutcome) and event.result.status == "finished":
            ends.append(event.info.id)
            if len(ends) == 2:
                worker.stop()

    here.meanwhile = polled
    worker = Worker(runner, *here.graphs.values(), poll_seconds=0.01, on_event=note)
    here.driven = lambda: set(worker.state.driven)
    await asyncio.wait_for(worker.run(), SOON)
    assert ends == ["bad", "good"]
    assert here.beside == [set(), set()]


async def test_a_run_that_cannot_be_resumed_holds_no_other_back(runner: Runner) -> None:
    """A run that is to be driven alone notices when the opening of another one is refused."""
    here = Here()
    changed = alone(State, lambda: "renamed", "text", name="good", node="renamed")
    for name, graph in (("good", changed), ("bad", here.graphs["bad"])):
        await leave(runner, graph, name)
    for _ in range(2):
        await crash(runner, here.graphs["bad"], "bad")
    runs = {run.id: run for run in await runner.recover(*here.graphs.values())}
    assert (await asyncio.wait_for(runs["bad"].result(), SOON)).status == "finished"
    with pytest.raises(GraphChanged):
        await runs["good"].result()
