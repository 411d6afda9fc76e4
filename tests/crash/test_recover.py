"""`Runner.recover`: a restarted program continues the runs of its dead process."""

import asyncio
import time
from pathlib import Path

import pytest

from graphengine import Graph, Runner
from graphengine.errors import DefinitionError, GraphChanged
from graphengine.runner.opening import is_better_alone
from graphengine.worker import Worker
from graphengine.worker.worker import Took, WorkerEvent
from tests.crash.leaver import ORPHANS, Work, graph, work
from tests.kit import forks
from tests.kit.runs import alone, row

PROGRAM = Path(__file__).with_name("leaver.py")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The database of a killed process."""
    process = forks.start(PROGRAM, str(tmp_path / "runs.db"))
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate()
    return tmp_path / "runs.db"


@pytest.mark.parametrize("page", [1, 1000])
async def test_every_orphan_is_resumed(database: Path, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It returns a handle for each; runs that are over, that wait, or of other graphs are untouched."""
    monkeypatch.setattr("graphengine.runner.runner._PAGE", page)
    async with Runner(database) as runner:
        before = {run_id: len(await runner.history(run_id)) for run_id in ("b1", "over", "asking")}
        runs = await runner.recover(graph("a"), graph("q", asks=True))
        assert sorted(run.id for run in runs) == ["a1", "a2"]
        assert [(await run.result()).status for run in runs] == ["finished"] * 2
        assert {run_id: len(await runner.history(run_id)) for run_id in before} == before
        assert [run.id for run in await runner.recover(graph("a"), graph("b"))] == ["b1"]
        assert await runner.recover(graph("a"), graph("b")) == []  # it is driven here now, or over
        assert await runner.recover() == []


async def test_two_that_recover_share_the_orphans(database: Path) -> None:
    """Each run goes to one of the two, and no handle raises that another process drives its run."""
    async with Runner(database) as first, Runner(database) as second:
        found = await asyncio.gather(*(each.recover(graph("a"), graph("b")) for each in (first, second)))
        assert sorted(run.id for runs in found for run in runs) == list(ORPHANS)
        for run in (*found[0], *found[1]):
            assert (await run.result()).status == "finished"
        for run_id in ORPHANS:
            assert sum(step.kind == "resumed" for step in await first.history(run_id)) == 1


async def test_an_orphan_that_another_process_takes_first_is_no_suspect(database: Path) -> None:
    """Its crash counts once: the step that records it here is not read together with the listed orphan."""

    async def never(*, patient: bool) -> int:
        del patient
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return await answer

    held = alone(Work, never, "done", name="b")
    async with Runner(database) as first, Runner(database) as second:
        (info,) = await second.store.due(time.time(), graphs=["b"])
        assert not await is_better_alone(second.store, info)
        assert [run.id for run in await first.recover(held)] == ["b1"]
        assert not await is_better_alone(second.store, info)


async def test_an_orphan_that_cannot_be_resumed_raises_the_reason(database: Path) -> None:
    """Its handle is among the others, and its result raises."""
    async with Runner(database) as runner:
        (run,) = await runner.recover(graph("b", node="renamed"))
        with pytest.raises(GraphChanged):
            await run.result()


async def test_a_worker_takes_the_same_orphans(database: Path) -> None:
    """It reports for each that no process drove it."""
    events: list[WorkerEvent] = []

    def note(event: WorkerEvent) -> None:
        events.append(event)
        if sum(not isinstance(each, Took) for each in events) == len(ORPHANS):
            worker.stop()

    async with Runner(database) as runner:
        graphs = {name: graph(name) for name in ("a", "b")}
        worker = Worker(runner, *graphs.values(), poll_seconds=0.01, on_event=note)
        await worker.run()
    taken = {event.info.id: event.why for event in events if isinstance(event, Took)}
    assert taken == dict.fromkeys(ORPHANS, "orphan")


async def test_memory_has_no_orphans() -> None:
    """A driven run is not an orphan; a released run is one, since no process drives it."""
    async with Runner() as runner:
        run = runner.start(graph("a"), Work(patient=False), run_id="a1")
        await run.begun()
        assert await runner.recover(graph("a")) == []
        await run.result()
        begun, go = asyncio.Event(), asyncio.Event()

        async def hold() -> int:
            begun.set()
            await go.wait()
            return 1

        two: Graph[Work] = row(Work, ("hold", hold, "done"), ("work", work, "done"), name="a")
        runner.start(two, run_id="a2")
        await begun.wait()
        leaving = asyncio.create_task(runner.release("a2"))
        await asyncio.sleep(0)  # it has asked, and waits for the node
        go.set()
        await leaving
        (again,) = await runner.recover(two)
        assert (await again.result()).status == "finished"


async def test_two_graphs_of_one_name_are_refused() -> None:
    """It would be unknown whose runs are meant."""
    async with Runner() as runner:
        with pytest.raises(DefinitionError, match="two of the graphs have the same name"):
            await runner.recover(graph("a"), graph("a", node="other"))
